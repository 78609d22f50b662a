"""Whatever goes wrong on the way to etcd has its exit code and a line that tells the mend."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from etcd_settings.testing import EtcdServer
from etcd_settings.testing.ports import free_port
from tests.cli.conftest import Run
from tests.cli.terminals import PATIENCE, PROGRAM


@pytest.fixture(scope="module")
def secured() -> Iterator[EtcdServer]:
    with EtcdServer(auth=True) as server:
        yield server


@pytest.fixture(scope="module")
def encrypted() -> Iterator[EtcdServer]:
    with EtcdServer(tls=True) as server:
        yield server


def check(run: Run, url: str, code: int, line: str) -> None:
    """It ends with that code, nothing on stdout, and at most three lines on stderr, one of which has *line*."""
    done = run("show", "--url", url)

    assert (code, "") == (done.code, done.out)
    assert done.err.startswith("Error: ")
    assert line in done.err
    assert len(done.err.splitlines()) <= 3


def test_unreachable_is_code_3(run: Run) -> None:
    """The endpoint and the reason are told."""
    port = free_port()

    check(run, f"etcd://127.0.0.1:{port}/app/?timeout=5", 3, f"127.0.0.1:{port}")


def test_unauthorised_is_code_4(run: Run, secured: EtcdServer) -> None:
    """A wrong password, no user at all, and a prefix that the user may not read; no password is shown."""
    check(run, f"etcd://app:wrong-horse@{secured.endpoint}/config/app/", 4, "user 'app'")
    check(run, f"etcd://{secured.endpoint}/config/app/", 4, "asks for a user")
    check(run, secured.url.replace("/config/app/", "/other/"), 4, "etcdctl role grant-permission")
    assert "wrong-horse" not in run("show", "--debug", "--url", f"etcd://app:wrong-horse@{secured.endpoint}/a/").err


VERBS = {
    "show": [],
    "get": ["a"],
    "explain": ["a"],
    "check": ["shop_in_trouble:Settings"],
    "diff": ["a.json"],
    "push": ["a.json"],
    "pull": ["--output", "b.json"],
    "copy": ["URL", "URL"],
    "history": ["a"],
    "rollback": ["--to-revision", "1"],
    "watch": [],
    "status": [],
}


@pytest.fixture
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").write_text('{"a": 1}')
    (tmp_path / "shop_in_trouble.py").write_text("import pydantic\nclass Settings(pydantic.BaseModel):\n    a: int\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("_files")
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_ends_alike(verb: str, run: Run, secured: EtcdServer, encrypted: EtcdServer) -> None:
    """Unreachable, unauthorised, with TLS that nobody vouches for, with a URL that is none, nowhere at all."""
    before = {*Path.cwd().glob("*.*")}
    places = {
        f"etcd://127.0.0.1:{free_port()}/app/?timeout=2": 3,
        f"etcd://app:wrong-horse@{secured.endpoint}/config/app/": 4,
        f"etcds://{encrypted.endpoint}/config/app/": 4,
        "etcd://localhost/a/?ttll=1": 6,
    }
    for url, code in places.items():
        done = run(verb, url, url) if verb == "copy" else run(verb, *VERBS[verb], "--url", url)
        assert code == done.code, url
        assert "" == done.out or verb == "status"
        assert 1 <= len(done.err.splitlines()) <= 3 or verb == "status"
        assert "wrong-horse" not in done.out + done.err
        assert "Traceback" not in done.err
    assert 2 == run(verb, *([] if verb == "copy" else VERBS[verb])).code
    assert before == {*Path.cwd().glob("*.*")}


def test_the_right_user_and_certificate_read(run: Run, secured: EtcdServer, encrypted: EtcdServer) -> None:
    """What the tests here vary is what makes the difference; etcdctl's variables may say it, too."""
    assert 0 == run("show", "--url", secured.url).code
    assert 0 == run("show", "--url", encrypted.url).code
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ETCDCTL_USER", "app:app-password")
        assert 0 == run("show", "--url", f"etcd://{secured.endpoint}/config/app/").code
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ETCDCTL_ENDPOINTS", encrypted.endpoint)
        patch.setenv("ETCDCTL_CACERT", str(encrypted.site.certificates and encrypted.site.certificates.ca))
        assert 0 == run("show", "--prefix", "/config/app/").code


def test_wrong_tls_is_code_4(run: Run, encrypted: EtcdServer) -> None:
    """A certificate that nobody vouches for, and one that is not there."""
    check(run, f"etcds://{encrypted.endpoint}/config/app/", 4, "TLS")
    check(run, f"etcds://{encrypted.endpoint}/config/app/?ca=/nowhere.pem", 6, "/nowhere.pem")


def test_tls_on_one_side_alone_is_code_3(run: Run, etcd_server: EtcdServer, encrypted: EtcdServer) -> None:
    """The other side hangs up, which may be an outage as well; the line asks for TLS."""
    check(run, f"etcds://{etcd_server.endpoint}/config/app/", 3, "does it speak TLS")
    check(run, f"etcd://{encrypted.endpoint}/config/app/", 3, "etcds://")


@pytest.mark.parametrize(
    ("content", "line"),
    [(None, "settings.toml: no such file"), ("a = [", "is not valid TOML"), ("'a/b' = 1", "a/b")],
)
def test_a_bad_file_is_code_6(content: str | None, line: str, run: Run, tmp_path: Path) -> None:
    """It is not there, does not parse, or has a name that cannot be a key."""
    file = tmp_path / "settings.toml"
    if content is not None:
        file.write_text(content)

    check(run, f"file://{file}", 6, line)


@pytest.mark.parametrize("url", ["localhost:2379", "etcd://localhost/a/?ttll=1", "http://localhost/"])
def test_a_bad_url_is_code_6(url: str, run: Run) -> None:
    """The message has the right form."""
    check(run, url, 6, "URL")


def test_a_bad_model_is_code_6(run: Run) -> None:
    """It is found out before etcd is asked."""
    done = run("show", "--url", "etcd://127.0.0.1:1/a/", "--model", "no_such_module:Settings")

    assert (6, "") == (done.code, done.out)
    assert "no_such_module" in done.err


def test_nowhere_is_code_2(run: Run) -> None:
    """Nobody said where the settings are."""
    done = run("show")

    assert (2, "") == (done.code, done.out)
    assert "--url" in done.err


def test_interrupted_is_code_130() -> None:
    """Ctrl-C while etcd lets us wait: one line, and no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(PATIENCE)
        url = f"etcd://127.0.0.1:{silent.getsockname()[1]}/app/?timeout={PATIENCE}"
        command = [*PROGRAM, "show", "--url", url]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process, silent.accept()[0]:
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=PATIENCE)

    assert (130, "Error: Interrupted.\n") == (process.returncode, err)


def test_a_reader_that_went_away_is_no_error(etcd_server: EtcdServer) -> None:
    """As with ``etcd-settings show | head -0``: silent, and code 0."""
    etcd_server.put(f"{etcd_server.prefix}a", "1")
    reader, writer = os.pipe()
    os.close(reader)
    command = [*PROGRAM, "show", "--url", etcd_server.url]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}  # what is buffered, stays
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=env, timeout=PATIENCE, check=False)
    os.close(writer)

    assert (0, b"") == (done.returncode, done.stderr)

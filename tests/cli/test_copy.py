"""`copy` brings keys from one prefix to another, byte for byte, or changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from etcd_settings.masking import MASK
from etcd_settings.testing import EtcdServer
from etcd_settings.testing.ports import free_port
from tests.cli.answering import answer
from tests.cli.conftest import Run
from tests.cli.terminals import on_terminal, piped
from tests.filling import fill, held

SECRET = "correct horse"
KEYS: dict[str, bytes] = {
    "db.json": b'{ "port":5432 }\n',
    "db/password": SECRET.encode(),
    "blob": b"\xff\0",
    "empty": b"",
    "marker/": b"",
}


@pytest.fixture(scope="module")
def secured() -> Iterator[EtcdServer]:
    with EtcdServer(auth=True) as server:
        yield server


@pytest.fixture
def src(etcd_server: EtcdServer) -> str:
    fill(etcd_server, KEYS, below="src/")
    return f"{etcd_server.url}src/"


@pytest.fixture
def dst(etcd_server: EtcdServer) -> str:
    return f"{etcd_server.url}dst/"


def test_it_copies_byte_for_byte(etcd_server: EtcdServer, src: str, dst: str) -> None:
    """As a program, in one revision; SRC stays, what SRC lacks stays in DST, and nothing secret is shown."""
    fill(etcd_server, {"own": b"1", "empty": b"x"}, below="dst/")
    before = etcd_server.revision()
    done = piped("copy", src, dst, "--json")

    assert 0 == done.returncode
    assert KEYS | {"own": b"1"} == held(etcd_server, below="dst/")
    assert KEYS == held(etcd_server, below="src/")
    told = json.loads(done.stdout)
    assert before + 1 == told["revision"] == etcd_server.revision()
    assert {"kind": "create", "path": "db/password", "old": None, "new": MASK} in told["changes"]
    assert {"kind": "put", "path": "empty", "old": "x", "new": ""} in told["changes"]


def test_prune_deletes_what_is_not_in_src(etcd_server: EtcdServer, src: str, dst: str, run: Run) -> None:
    """The second time there is nothing to do."""
    fill(etcd_server, {"own": b"1", "db": b"a value where SRC has a branch"}, below="dst/")
    done = run("copy", src, dst, "--prune")

    assert 0 == done.code
    assert "- own = 1" in done.out.splitlines()
    assert KEYS == held(etcd_server, below="dst/")
    before = etcd_server.revision()
    assert "already" in run("copy", src, dst, "--prune").out
    assert before == etcd_server.revision()


def test_it_copies_between_clusters(etcd_server: EtcdServer, secured: EtcdServer, src: str, run: Run) -> None:
    """Each with its own credentials, and under the same prefix, too."""
    same = f"{secured.url}src/"

    assert 0 == run("copy", src, same).code
    assert KEYS == held(secured, below="src/")
    assert 4 == run("copy", src, same.replace("/config/app/", "/other/")).code
    assert 4 == run("copy", same.replace("/config/app/", "/other/"), src).code


def test_a_dry_run_writes_nothing(etcd_server: EtcdServer, src: str, dst: str, run: Run) -> None:
    """It shows each change; ``--reveal`` shows secrets, too."""
    before = etcd_server.revision()
    done = run("copy", src, dst, "--dry-run")

    assert ["+ blob = 2 bytes that are no text", f"+ db/password = {MASK}"] == [
        line for line in done.out.splitlines() if "blob" in line or "password" in line
    ]
    assert SECRET not in done.out + done.err
    assert SECRET in run("copy", src, dst, "--dry-run", "--reveal").out
    assert before == etcd_server.revision()


def test_on_a_terminal_it_asks(
    etcd_server: EtcdServer, src: str, dst: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Declined it is code 1 and nothing is written; ``--yes`` asks nobody; Ctrl-C at the question is code 130."""
    answer(monkeypatch, "n")

    assert 1 == run("copy", src, dst).code
    assert 130 == on_terminal("copy", src, dst, interrupt_after="Go on?")[0]
    assert {} == held(etcd_server, below="dst/")
    assert 0 == on_terminal("copy", src, dst, "--yes")[0]
    assert KEYS == held(etcd_server, below="dst/")


def test_a_batch_copies_what_one_transaction_cannot(etcd_server: EtcdServer, src: str, dst: str, run: Run) -> None:
    """Without it nothing is copied."""
    many = {f"many/{n}": b"1" for n in range(4_200)}
    fill(etcd_server, many, below="src/")
    refused, done = run("copy", src, dst), run("copy", src, dst, "--batch")

    assert (6, 0) == (refused.code, done.code)
    assert "--batch" in refused.err
    assert "3 transactions" in done.err
    assert KEYS | many == held(etcd_server, below="dst/")


@pytest.mark.parametrize(("path", "prune"), [("empty", []), ("own", ["--prune"]), ("db/host", [])])
def test_another_writer_is_code_5(
    path: str,
    prune: list[str],
    etcd_server: EtcdServer,
    src: str,
    dst: str,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is copied, and the line names the key."""
    answer(monkeypatch, "y", meanwhile=lambda: etcd_server.put(f"{etcd_server.prefix}dst/{path}", "theirs"))
    done = run("copy", src, dst, *prune)

    assert 5 == done.code
    assert f"dst/{path}" in done.err
    assert {path: b"theirs"} == held(etcd_server, below="dst/")


def test_an_empty_src_is_code_1(etcd_server: EtcdServer, src: str, run: Run) -> None:
    """With ``--prune`` above all: it would delete everything."""
    for prune in ([], ["--prune"]):
        done = run("copy", f"{etcd_server.url}nothing/", src, *prune)
        assert (1, "") == (done.code, done.out)

        assert "Nothing is under" in done.err
    assert KEYS == held(etcd_server, below="src/")


def test_nested_prefixes_of_one_cluster_are_code_6(etcd_server: EtcdServer, src: str, run: Run) -> None:
    """Either way round, the same one too, and by whatever name the host is called."""
    other_name = src.replace("127.0.0.1", "localhost")
    for one, other in ((src, f"{src}deep/"), (etcd_server.url, src), (src, src), (src, other_name)):
        done = run("copy", one, other)
        assert (6, "") == (done.code, done.out)
        assert "one within the other" in done.err

    assert KEYS == held(etcd_server, below="src/")


def test_what_would_contradict_dst_is_code_1(etcd_server: EtcdServer, src: str, dst: str, run: Run) -> None:
    """A value where SRC has a branch; the secret in it is not shown."""
    fill(etcd_server, {"db": SECRET.encode()}, below="dst/")
    done = run("copy", src, dst)

    assert (1, "") == (done.code, done.out)
    assert "--prune" in done.err
    assert SECRET not in done.err
    assert len(done.err.splitlines()) <= 3
    assert {"db": SECRET.encode()} == held(etcd_server, below="dst/")


def test_200_keys_go_at_once(etcd_server: EtcdServer, dst: str, run: Run) -> None:
    """With a word on what the guard does not see."""
    many = {f"{number:03}": b"" for number in range(200)}
    fill(etcd_server, many, below="many/")
    fill(etcd_server, dict.fromkeys(many, b"x"), below="dst/")
    before = etcd_server.revision()
    done = run("copy", f"{etcd_server.url}many/", dst)

    assert 0 == done.code
    assert "deletion meanwhile would not be seen" in done.err
    assert many == held(etcd_server, below="dst/")
    assert before + 1 == etcd_server.revision()


def test_what_one_transaction_cannot_carry_is_code_6(etcd_server: EtcdServer, dst: str, run: Run) -> None:
    """4,097 keys are refused, and nothing is written."""
    fill(etcd_server, {f"{number:04}": b"" for number in range(4097)}, below="many/")
    done = run("copy", f"{etcd_server.url}many/", dst)

    assert 6 == done.code
    assert "4097" in done.err
    assert {} == held(etcd_server, below="dst/")


def test_wrong_input_has_its_code(etcd_server: EtcdServer, src: str, dst: str, run: Run, tmp_path: Path) -> None:
    """No DST, what is no URL, several layers, an etcd that is away on either side, a file."""
    away = f"etcd://127.0.0.1:{free_port()}/a/?timeout=1"

    assert 2 == run("copy", src).code
    assert [6, 6] == [run("copy", *urls).code for urls in ((src, "nonsense://a/"), ("nonsense://a/", dst))]
    assert [3, 3] == [run("copy", *urls).code for urls in ((src, away), (away, dst))]
    assert 6 == run("copy", src, f"file://{tmp_path}/a.toml").code
    assert 6 == run("copy", src, f"{etcd_server.url}?layer=a/&layer=b/").code
    assert {} == held(etcd_server, below="dst/")

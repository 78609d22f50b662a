"""`rollback` makes of a prefix exactly what it was, or says why it cannot and changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from etcd_settings.etcd import Client
from etcd_settings.masking import MASK
from etcd_settings.testing import EtcdServer
from etcd_settings.testing.ports import free_port
from tests.cli.answering import answer
from tests.cli.conftest import Run
from tests.cli.terminals import on_terminal, piped
from tests.filling import fill, held

SECRET = "correct horse"
BEFORE: dict[str, bytes] = {
    "db.json": b'{ "port":5432 }\n',
    "db/password": SECRET.encode(),
    "blob": b"\xff\0",
    "empty": b"",
    "marker/": b"",
    "same": b"1",
}


@pytest.fixture
def revision(etcd_server: EtcdServer, monkeypatch: pytest.MonkeyPatch) -> int:
    """Write `BEFORE`, then something else, and give the revision of the first."""
    monkeypatch.setenv("ETCD_SETTINGS_URL", etcd_server.url)
    prefix = etcd_server.prefix
    first = fill(etcd_server, BEFORE)
    with Client(etcd_server.url) as client:
        client.put(f"{prefix}db.json", "{}")
        client.put(f"{prefix}db/password", "swordfish")
        client.delete(f"{prefix}blob")
        client.delete(f"{prefix}marker/")
        client.put(f"{prefix}new", "x")
    return first


def test_it_restores_exactly(etcd_server: EtcdServer, revision: int) -> None:
    """As a program, byte for byte and in one revision; nothing beside the prefix is touched, nothing secret shown."""
    beside = etcd_server.prefix.rstrip("/") + "2/a"
    etcd_server.put(beside, "x")
    before = etcd_server.revision()
    done = piped("rollback", "--to-revision", str(revision), "--json")

    assert 0 == done.returncode
    assert BEFORE == held(etcd_server)
    told = json.loads(done.stdout)
    assert told["applied"]
    assert before + 1 == told["revision"] == etcd_server.revision()
    changes = {change["path"]: (change["kind"], change["old"], change["new"]) for change in told["changes"]}
    assert {
        "blob": ("create", None, {"base64": "/wA="}),
        "db.json": ("put", "{}", '{ "port":5432 }\n'),
        "db/password": ("put", MASK, MASK),
        "marker/": ("create", None, ""),
        "new": ("delete", "x", None),
    } == changes
    etcd_server.delete_prefix(beside)


def test_what_is_there_already_writes_nothing(etcd_server: EtcdServer, revision: int, run: Run) -> None:
    """The second time there is nothing to change, and nobody is asked."""
    assert 0 == run("rollback", "--to-revision", str(revision)).code
    before = etcd_server.revision()
    again = run("rollback", "--to-revision", str(revision))

    assert (0, "") == (again.code, again.err)
    assert "already" in again.out
    assert before == etcd_server.revision()


def test_a_dry_run_writes_nothing(etcd_server: EtcdServer, revision: int, run: Run) -> None:
    """It shows a line for each change, secrets masked unless ``--reveal`` is given."""
    before = etcd_server.revision()
    done = run("rollback", "--to-revision", str(revision), "--dry-run")

    assert [
        "+ blob = 2 bytes that are no text",
        '~ db.json = {} -> { "port":5432 }\\n',
        f"~ db/password = {MASK} -> {MASK}",
        "+ marker/ = ",
        "- new = x",
        f"Nothing was written at revision {before}: 4 to write, 1 to delete.",
    ] == done.out.splitlines()
    told = run("rollback", "--to-revision", str(revision), "--dry-run", "--json").json
    assert (False, before) == (told["applied"], told["revision"])
    assert SECRET in run("rollback", "--to-revision", str(revision), "--dry-run", "--reveal").out
    assert before == etcd_server.revision()


def test_on_a_terminal_it_asks(
    etcd_server: EtcdServer, revision: int, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Declined it is code 1 and nothing is written; ``--yes`` asks nobody."""
    answer(monkeypatch, "n")
    before = etcd_server.revision()
    declined = run("rollback", "--to-revision", str(revision))

    assert 1 == declined.code
    assert "Declined" in declined.err
    assert before == etcd_server.revision()
    code, shown = on_terminal("rollback", "--to-revision", str(revision), "--yes")
    assert 0 == code
    assert "Go on?" not in shown
    assert "\x1b[31m" in shown
    assert BEFORE == held(etcd_server)


@pytest.mark.parametrize("path", ["db.json", "new", "same", "elsewhere"])
def test_another_writer_is_code_5(
    path: str, etcd_server: EtcdServer, revision: int, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever key of the prefix is written while the question stands: nothing is half-done."""
    answer(monkeypatch, "y", meanwhile=lambda: etcd_server.put(etcd_server.prefix + path, "theirs"))
    before = held(etcd_server)
    done = run("rollback", "--to-revision", str(revision))

    assert 5 == done.code
    assert path in done.err
    assert before | {path: b"theirs"} == held(etcd_server)


def test_a_revision_that_is_gone_is_code_1(etcd_server: EtcdServer, revision: int, run: Run) -> None:
    """It names the oldest one that is left."""
    compacted = etcd_server.compact()
    before = held(etcd_server)
    done = run("rollback", "--to-revision", str(revision))

    assert (1, "") == (done.code, done.out)
    assert f"Revision {revision} is gone" in done.err
    assert f"is {compacted}." in done.err
    assert before == held(etcd_server)


def test_one_layer_of_several_is_brought_back(etcd_server: EtcdServer, revision: int, run: Run) -> None:
    """The others stay as they are."""
    url = f"{etcd_server.url}?layer=db/&layer=other/"
    etcd_server.put(f"{etcd_server.prefix}other/password", "kept")
    done = run("rollback", "--to-revision", str(revision), "--url", url, "--layer", "db")

    assert 0 == done.code
    found = held(etcd_server)
    assert (SECRET.encode(), b"{}", b"kept") == (found["db/password"], found["db.json"], found["other/password"])


def test_wrong_input_has_its_code(etcd_server: EtcdServer, revision: int, run: Run, tmp_path: Path) -> None:
    """A revision to come, none, one that is no number, several layers, an etcd that is away, a file."""
    future = run("rollback", "--to-revision", str(etcd_server.revision() + 100))
    to = ["rollback", "--to-revision", str(revision)]
    url = f"{etcd_server.url}?layer=common/&layer=orders/"
    layers, unknown = run(*to, "--url", url), run(*to, "--url", url, "--layer", "other")

    assert (6, "") == (future.code, future.out)
    assert "has not been yet" in future.err
    assert [2, 2, 2] == [run("rollback", *rest).code for rest in ([], ["--to-revision", "0"], ["--to-revision", "x"])]
    assert (6, 6) == (layers.code, unknown.code)
    assert "no layer 'other/'" in unknown.err
    assert "2 layers" in layers.err
    assert 3 == run(*to, "--url", f"etcd://127.0.0.1:{free_port()}/a/?timeout=1").code
    assert 6 == run(*to, "--url", f"file://{tmp_path}/a.toml").code
    assert BEFORE != held(etcd_server)

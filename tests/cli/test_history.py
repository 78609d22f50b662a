"""`history` tells every value that a key had, as far back as etcd remembers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from etcd_settings.etcd import Client
from etcd_settings.masking import MASK
from etcd_settings.testing import EtcdServer
from etcd_settings.testing.ports import free_port
from tests.cli.conftest import Run
from tests.cli.terminals import on_terminal, piped

SECRET = "correct horse"


def write(server: EtcdServer, path: str, *values: str | None) -> list[int]:
    """Write one value after the other, None deletes; gives the revisions."""
    revisions = []
    with Client(server.url) as client:
        for value in values:
            if value is None:
                client.delete(server.prefix + path)
                revisions.append(server.revision())
            else:
                revisions.append(client.put(server.prefix + path, value))
    return revisions


def test_it_tells_every_write_and_deletion(etcd_server: EtcdServer) -> None:
    """As a program: oldest first, each with its revision; keys beside it do not count."""
    values = ["a", "b", None, "c"]
    revisions = write(etcd_server, "told/host", *values)
    write(etcd_server, "told/host2", "x")
    told = piped("history", "told/host", "--json", "--url", etcd_server.url)
    lines = piped("history", "/told/host", "--url", etcd_server.url)

    kinds = ["create", "put", "delete", "create"]
    assert [
        {"revision": revision, "kind": kind, "layer": "", "path": "told/host", "value": value}
        for revision, kind, value in zip(revisions, kinds, values, strict=True)
    ] == json.loads(told.stdout)
    a, b, gone, c = revisions
    assert [f"{a} + told/host = a", f"{b} ~ told/host = b", f"{gone} - told/host", f"{c} + told/host = c"] == (
        lines.stdout.splitlines()
    )
    assert (0, 0) == (told.returncode, lines.returncode)


def test_a_key_that_is_gone_has_a_history(etcd_server: EtcdServer, run: Run) -> None:
    """All its lives and deletions are told."""
    revisions = write(etcd_server, "told/flag", "on", None, "off", None)
    write(etcd_server, "other", "x")

    assert [*zip(revisions, ["on", None, "off", None], strict=True)] == [
        (record["revision"], record["value"])
        for record in run("history", "told/flag", "--json", "--url", etcd_server.url).json
    ]


def test_it_says_where_compaction_ends_it(etcd_server: EtcdServer, run: Run) -> None:
    """The value of then is still told; a key that was gone by then has no history."""
    write(etcd_server, "old", "x", None)
    _, second, third = write(etcd_server, "level", "a", "b", "c")
    compacted = etcd_server.compact(second)
    done, gone = (run("history", path, "--url", etcd_server.url) for path in ("level", "old"))

    assert [f"{second} ~ level = b", f"{third} ~ level = c"] == done.out.splitlines()
    assert 0 == done.code
    assert f"before revision {compacted} is gone" in done.err
    assert (1, "") == (gone.code, gone.out)
    assert f"before revision {compacted} is gone" in gone.err


def test_layers_are_told_apart(etcd_server: EtcdServer, run: Run) -> None:
    """In the order of revisions, whichever layer they are in."""
    write(etcd_server, "common/a", "1")
    write(etcd_server, "orders/a", "2")
    write(etcd_server, "common/a", "3")
    told = run("history", "a", "--json", "--url", f"{etcd_server.url}?layer=common/&layer=orders/").json

    assert [("common/", "1"), ("orders/", "2"), ("common/", "3")] == [(each["layer"], each["value"]) for each in told]


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_secrets_are_masked(as_json: list[str], etcd_server: EtcdServer, run: Run) -> None:
    """By name, in documents too, unless ``--reveal`` is given."""
    write(etcd_server, "db/password", SECRET, "swordfish")
    write(etcd_server, "db.json", json.dumps({"token": SECRET}))
    for path in ("db/password", "db.json"):
        done = run("history", path, *as_json, "--url", etcd_server.url)
        assert MASK in done.out
        assert SECRET not in done.out + done.err

        assert SECRET in run("history", path, *as_json, "--reveal", "--url", etcd_server.url).out


def test_wrong_input_has_its_code(etcd_server: EtcdServer, run: Run, tmp_path: Path) -> None:
    """A key that never was, no path, an etcd that is away, a file."""
    never = run("history", "nothing", "--url", etcd_server.url)

    assert (1, "") == (never.code, never.out)
    assert "'nothing'" in never.err
    assert 2 == run("history", "/", "--url", etcd_server.url).code
    assert 2 == run("history", "--url", etcd_server.url).code
    assert 3 == run("history", "a", "--url", f"etcd://127.0.0.1:{free_port()}/a/?timeout=1").code
    assert 6 == run("history", "a", "--url", f"file://{tmp_path}/a.toml").code


def test_a_terminal_gets_colours(etcd_server: EtcdServer) -> None:
    """What etcd holds cannot steer it."""
    write(etcd_server, "a", "\x1b[31m")
    code, shown = on_terminal("history", "a", "--url", etcd_server.url)

    assert 0 == code
    assert "\x1b[32m" in shown
    assert "\x1b[31m" not in shown

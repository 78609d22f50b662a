"""`watch` and `dev` run until somebody ends them, and then leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from etcd_settings.etcd import Client, Delete, Put
from etcd_settings.masking import MASK
from etcd_settings.testing import EtcdServer
from etcd_settings.testing.ports import free_port
from tests.cli.conftest import Run
from tests.cli.terminals import PATIENCE, PROGRAM

SECRET = "correct horse"


@contextmanager
def running(*arguments: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """Run it piped; it is killed at the end if it still lives."""
    env = {**os.environ, **environ}
    command = [*PROGRAM, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(pipe: Any) -> str:
    line: str = pipe.readline()
    return line.rstrip("\n")


def end(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str, str]:
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def test_watch_prints_each_change(etcd_server: EtcdServer) -> None:
    """One JSON object a line, of every layer, with revision and masked secrets; Ctrl-C ends it with code 130."""
    etcd_server.put(f"{etcd_server.prefix}common/old", "1")
    with (
        Client(etcd_server.url) as client,
        running("watch", "--json", "--url", f"{etcd_server.url}?layer=common/&layer=orders/") as process,
    ):
        assert "Watching" in line_of(process.stderr)
        prefix = etcd_server.prefix
        first = client.txn(success=[Put(f"{prefix}common/a", "1"), Put(f"{prefix}orders/token", SECRET)]).revision
        second = client.txn(success=[Put(f"{prefix}common/a", "2"), Delete(f"{prefix}common/old")]).revision
        events = [json.loads(line_of(process.stdout)) for _ in range(4)]
        ended = end(process, signal.SIGINT)

    assert [
        {"revision": first, "kind": "create", "layer": "common/", "path": "a", "value": "1"},
        {"revision": first, "kind": "create", "layer": "orders/", "path": "token", "value": MASK},
        {"revision": second, "kind": "put", "layer": "common/", "path": "a", "value": "2"},
        {"revision": second, "kind": "delete", "layer": "common/", "path": "old", "value": None},
    ] == events
    assert (130, "", "Error: Interrupted.\n") == ended


def test_watch_goes_on_through_an_outage(etcd_server: EtcdServer) -> None:
    """What happened meanwhile is told afterwards; only what is below PATH counts."""
    with running("watch", "db", "--url", etcd_server.url) as process:
        assert "Watching" in line_of(process.stderr)
        etcd_server.put(f"{etcd_server.prefix}db/host", "pg1")
        assert line_of(process.stdout).endswith(" + db/host = pg1")
        etcd_server.restart()
        etcd_server.put(f"{etcd_server.prefix}other", "x")
        etcd_server.put(f"{etcd_server.prefix}db.json", '{"port": 1}')
        etcd_server.delete_prefix(f"{etcd_server.prefix}db/host")
        lines = [line_of(process.stdout), line_of(process.stdout)]
        ended = end(process, signal.SIGINT)

    assert ['+ db.json = {"port": 1}', "- db/host"] == [line.partition(" ")[2] for line in lines]
    assert 130 == ended[0]


def test_watch_needs_an_etcd_to_begin_with(run: Run, tmp_path: Path) -> None:
    """As all verbs do."""
    assert 3 == run("watch", "--url", f"etcd://127.0.0.1:{free_port()}/a/?timeout=1").code
    assert 6 == run("watch", "--url", f"file://{tmp_path}/nowhere.toml").code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_dev_runs_an_etcd_until_it_is_ended(number: signal.Signals, tmp_path: Path) -> None:
    """It prints the URL of a real etcd, and ends well: no process and no temporary data stay."""
    with running("dev", TMPDIR=str(tmp_path)) as process:
        url = line_of(process.stdout)
        with Client(f"{url}?timeout={PATIENCE}") as client:
            client.put("/config/app/a", "1")
        code, out, err = end(process, number)

    assert url.startswith("etcd://127.0.0.1:")
    assert (0, "", 1) == (code, out, len(err.splitlines()))
    assert [] == list(tmp_path.iterdir())
    assert not _is_listening(url)


def test_dev_keeps_its_data_where_it_is_told(tmp_path: Path) -> None:
    """The next one with that folder, on the port that was asked for, has them again."""
    data, port = tmp_path / "data", str(free_port())
    arguments = ["dev", "--json", "--port", port, "--data-dir", str(data)]
    for expected in (None, b"1"):
        with running(*arguments) as process:
            url = json.loads(line_of(process.stdout))["url"]
            with Client(f"{url}?timeout={PATIENCE}") as client:
                entry = client.get("/config/app/a")
                client.put("/config/app/a", "1")
            assert 0 == end(process, signal.SIGTERM)[0]
        assert expected == (entry and entry.value)
        assert f"etcd://127.0.0.1:{port}/config/app/" == url


def test_dev_says_why_it_cannot_start(etcd_server: EtcdServer, run: Run, tmp_path: Path) -> None:
    """A port that is taken and a folder that is none are code 6."""
    file = tmp_path / "file"
    file.write_text("")
    taken, no_folder = run("dev", "--port", str(etcd_server.ports.client)), run("dev", "--data-dir", str(file))

    assert (6, "") == (taken.code, taken.out)
    assert "The port is taken" in taken.err
    assert (6, "") == (no_folder.code, no_folder.out)
    assert "DIR" in no_folder.err
    assert 2 == run("dev", "--port", "0").code


def test_dev_without_an_etcd_says_how_to_get_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the extra."""
    monkeypatch.setenv("ETCD_BIN", "/nowhere/etcd")

    done = run("dev")

    assert (6, "") == (done.code, done.out)
    assert "ETCD_BIN" in done.err


def _is_listening(url: str) -> bool:
    """Tell whether anything still answers there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(url.rpartition(":")[2].partition("/")[0]))) == 0

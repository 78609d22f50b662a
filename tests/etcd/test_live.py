"""Live settings on a real etcd: reloads, refusals, transactions, outages, forks and exits."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr, field_validator

from etcd_settings import Live, Source
from etcd_settings.etcd import Client, Put
from etcd_settings.integrations.pydantic_settings import EtcdBaseSettings, EtcdSettingsConfigDict
from etcd_settings.testing import EtcdServer
from tests.filling import fill
from tests.forking import in_child, status
from tests.waiting import eventually

APP = "/config/app/"
SECRET = "hush-hush-4711"  # a marker that must not turn up anywhere


class Database(BaseModel):
    host: str = "localhost"
    password: SecretStr = SecretStr("")

    @field_validator("host")
    @classmethod
    def _known(cls, host: str) -> str:
        if host.startswith("no-"):
            raise ValueError(f"{host} is not known")
        return host


def settings_class(url: str) -> type[BaseModel]:
    class Settings(EtcdBaseSettings):
        model_config = EtcdSettingsConfigDict(etcd_url=url)
        workers: int = 1
        database: Database = Database()

    return Settings


def test_a_settings_class_reloads_refuses_and_recovers(
    etcd_server: EtcdServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The whole way, with pydantic-settings; nothing quotes the value that was refused, and the keys are named."""
    fill(etcd_server, {"workers": "2", "database/password": SECRET})
    with Live(settings_class(etcd_server.url)) as live:
        assert 2 == live.current.workers  # type: ignore[attr-defined]  # made above
        assert "applied" == live.wait(fill(etcd_server, {"workers": "3"}))
        assert "rejected" == live.wait(fill(etcd_server, {"workers": SECRET, "database/host": f"no-{SECRET}"}))

        assert 3 == live.current.workers  # type: ignore[attr-defined]
        rejection = live.rejection
        assert rejection is not None
        assert {"/config/app/workers", "/config/app/database/host"} == {
            key
            for error in rejection.error.errors  # type: ignore[attr-defined]  # an InvalidSettingsError
            for key in error["keys"]
        }
        assert "is not known" in str(rejection)
        assert "applied" == live.wait(fill(etcd_server, {"workers": "4", "database/host": "db"}))
        assert live.status().rejection is None
    assert "/config/app/workers" in caplog.text
    assert SECRET not in f"{caplog.text}{rejection!r}{vars(rejection.error)}"


def test_a_transaction_is_seen_whole(etcd_server: EtcdServer) -> None:
    """Across keys and layers, candidates never have one half of it."""
    seen: list[tuple[str, str]] = []

    def factory() -> tuple[str, str]:
        tree = source.tree()
        seen.append((tree["left"], tree["right"]))
        return seen[-1]

    fill(etcd_server, {"a/left": "0", "b/right": "0"})
    with (
        Source(etcd_server.url, layers=["a/", "b/"]) as source,
        Live(factory, debounce=(0, 0)) as live,
        Client(etcd_server.url) as client,
    ):
        for number in range(1, 51):
            put = [Put(f"{APP}a/left", str(number)), Put(f"{APP}b/right", str(number))]
            last = client.txn(success=put).revision
        assert "applied" == live.wait(last)

        assert ("50", "50") == live.current
    assert [] == [pair for pair in seen if pair[0] != pair[1]]


def test_it_survives_the_death_of_the_server(etcd_server: EtcdServer) -> None:
    """After ``kill -9`` the settings stay; what is written after the restart arrives."""
    fill(etcd_server, {"a": "1"})
    with Source(etcd_server.url) as source, Live(source.tree) as live:
        eventually(lambda: live.status().connected)
        etcd_server.kill()
        eventually(lambda: not live.status().connected)
        assert {"a": "1"} == live.current

        etcd_server.start()
        revision = fill(etcd_server, {"a": "2"})

        assert "applied" == live.wait(revision, timeout=30)
        assert {"a": "2"} == live.current


def test_the_same_wrong_state_after_a_reconnect_is_told_once(etcd_server: EtcdServer) -> None:
    """The server dies and comes back with what was refused before."""
    fill(etcd_server, {"workers": "2"})
    told: list[object] = []
    with Live(settings_class(etcd_server.url), on_reject=told.append) as live:
        assert "rejected" == live.wait(fill(etcd_server, {"workers": "many"}))
        etcd_server.kill()
        eventually(lambda: not live.status().connected)
        etcd_server.start()
        eventually(lambda: live.status().connected)
        still_wrong = fill(etcd_server, {"database/host": "db"})
        assert "rejected" == live.wait(still_wrong, timeout=30)

        assert 2 == len(told)
        assert "applied" == live.wait(fill(etcd_server, {"workers": "5"}), timeout=30)


def test_a_revision_that_touches_nothing_of_ours_is_confirmed(etcd_server: EtcdServer) -> None:
    """Etcd itself tells of progress every ten minutes only; whoever waits asks."""
    fill(etcd_server, {"a": "1"})
    with Source(etcd_server.url) as source, Live(source.tree) as live, Client(etcd_server.url) as client:
        assert "applied" == live.wait(client.put("/elsewhere", "1"))


def test_forked_children_follow_by_themselves(etcd_server: EtcdServer) -> None:
    """Each goes on with the parent's settings, over a connection of its own, and so does the parent."""
    fill(etcd_server, {"a": "1"})
    with Source(etcd_server.url) as source, Live(source.tree) as live:
        told, tell = os.pipe()

        def child() -> None:
            assert {"a": "1"} == live.current
            os.write(tell, b".")
            eventually(lambda: live.current == {"a": "2"})

        pids = [in_child(child) for _ in range(3)]
        for _ in pids:
            os.read(told, 1)
        os.close(told)
        os.close(tell)
        revision = fill(etcd_server, {"a": "2"})

        assert "applied" == live.wait(revision)
        assert [0, 0, 0] == [status(pid) for pid in pids]


EXITS = {
    "running": "live.start()",
    "in a callback": "live.on_change(lambda c: time.sleep(60)); live.start(); live.wait(put())",
    "closed": "live.start(); live.close()",
    "from an exception": "live.start(); raise SystemExit(0)",
}


@pytest.mark.parametrize("state", EXITS)
def test_the_interpreter_ends_at_once(etcd_server: EtcdServer, state: str) -> None:
    """No thread of ours holds it up or complains, not even one within somebody's callback."""
    fill(etcd_server, {"a": "1"})
    program = (
        "import sys, time\nfrom etcd_settings import Live, Source\nfrom etcd_settings.etcd import Client\n"
        "def put():\n    with Client(sys.argv[1]) as client: return client.put('/config/app/a', '2')\n"
        f"live = Live(Source(sys.argv[1]).tree)\n{EXITS[state]}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, etcd_server.url],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )

    assert (0, "") == (done.returncode, done.stderr)


def test_under_gevent(etcd_server: EtcdServer) -> None:
    """The dispatcher and the watch are greenlets that hold up nobody."""
    fill(etcd_server, {"a": "1"})
    program = """
from gevent import monkey; monkey.patch_all()
import sys
from etcd_settings import Live, Source
from etcd_settings.etcd import Client
told = []
with Client(sys.argv[1]) as client, Source(sys.argv[1]) as source, Live(source.tree) as live:
    live.on_change(told.append)
    assert live.wait(client.put("/config/app/a", "2")) == "applied"
    assert live.current == {"a": "2"}
    assert live.wait(client.put("/config/app/a", "3")) == "applied"
assert len(told) >= 1
"""
    done = subprocess.run(
        [sys.executable, "-c", program, etcd_server.url], capture_output=True, text=True, timeout=30, check=False
    )

    assert (0, "") == (done.returncode, done.stderr)


def test_nothing_is_left_behind(etcd_server: EtcdServer) -> None:
    """A hundred that were started and closed, each with a source of its own, leave no thread, socket or object."""
    fill(etcd_server, {"a": "1"})
    cycles(etcd_server, 20)  # what is made once
    eventually(lambda: "etcd-settings-watch" not in {thread.name for thread in threading.enumerate()})
    before = held()

    cycles(etcd_server, 100)

    # What a thread that ends holds, it holds for a moment; and where a busy machine made something worth a line in the
    # log, the runner keeps its error. What each of them left would be a hundred.
    eventually(lambda: all(now < then + 50 for now, then in zip(held(), before, strict=True)))


def cycles(server: EtcdServer, count: int) -> None:
    for _ in range(count):
        with Source(server.url) as source, Live(source.tree) as live:
            assert {"a": "1"} == live.current


def held() -> tuple[int, int, int]:
    """Count threads, open files, and objects of ours: of the others, the test runner and other tests make some too."""
    gc.collect()
    ours = sum(str(type(each).__module__).startswith("etcd_settings") for each in gc.get_objects())
    return threading.active_count(), sum(1 for _ in Path("/proc/self/fd").iterdir()), ours

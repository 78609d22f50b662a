"""What the README promises of a source, shown on a real etcd, by etcd's own count where calls are promised."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable

import pytest
from pydantic import BaseModel, SecretStr

from etcd_settings import InvalidSettingsError, Source, UnavailableError
from etcd_settings.errors import ConflictError, DecodeError, EtcdSettingsError
from etcd_settings.etcd import Client
from etcd_settings.integrations.pydantic_settings import EtcdBaseSettings, EtcdSettingsConfigDict
from etcd_settings.testing import EtcdServer
from tests.filling import fill

APP = "/config/app/"
SECRET = "hush-hush-4711"  # a marker that must not turn up anywhere


class Database(BaseModel):
    host: str = "localhost"
    port: int = 5432
    password: SecretStr = SecretStr("")


class Settings(BaseModel):
    debug: bool = False
    database: Database = Database()


def test_fifty_threads_that_ask_at_once_cause_one_call(etcd_server: EtcdServer, calls: Callable[[], int]) -> None:
    """One reads, the others wait for what it reads."""
    fill(etcd_server, {"a": "1"})
    gate, found = threading.Barrier(50), []
    with Source(etcd_server.url) as source:

        def ask() -> None:
            gate.wait()
            found.append(source.snapshot()["a"].text)

        before = calls()
        threads = [threading.Thread(target=ask) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert ["1"] * 50 == found
    assert 1 == calls() - before


def test_a_second_settings_object_asks_nobody(etcd_server: EtcdServer, calls: Callable[[], int]) -> None:
    """Within the TTL two objects of two classes cost one call, because their URL is one source."""
    fill(etcd_server, {"debug": "true", "database/port": "1"})

    class First(EtcdBaseSettings):
        model_config = EtcdSettingsConfigDict(etcd_url=etcd_server.url)
        debug: bool

    class Second(EtcdBaseSettings):
        model_config = EtcdSettingsConfigDict(etcd_url=etcd_server.url.rstrip("/"))
        database: Database

    before = calls()
    try:
        found = [First().debug, Second().database.port, First().debug]  # type: ignore[call-arg]  # etcd has them
        assert [True, 1, True] == found
        assert 1 == calls() - before
    finally:
        Source.shared(etcd_server.url).close()


def test_settings_can_be_made_inside_a_running_event_loop(etcd_server: EtcdServer) -> None:
    """There is no loop of ours that could clash with it."""
    fill(etcd_server, {"debug": "true"})

    class Looped(EtcdBaseSettings):
        model_config = EtcdSettingsConfigDict(etcd_url=etcd_server.url)
        debug: bool

    async def main() -> tuple[bool, bool]:
        source = Source.shared(etcd_server.url)
        looped = Looped()  # type: ignore[call-arg]  # etcd has it
        return looped.debug, (await source.load_async(Settings)).debug

    try:
        assert (True, True) == asyncio.run(main())
    finally:
        Source.shared(etcd_server.url).close()


def test_a_killed_server_is_survived_at_once(etcd_server: EtcdServer, caplog: pytest.LogCaptureFixture) -> None:
    """What was read is served on without a wait, the outage is logged once, and the status tells it with an age."""
    fill(etcd_server, {"a": "1"})
    caplog.set_level(logging.INFO, "etcd_settings")
    with Source(etcd_server.url, ttl=0) as source:
        source.snapshot()
        etcd_server.kill()

        started = time.monotonic()
        found = [source.snapshot()["a"].text for _ in range(5)]
        took = time.monotonic() - started

        assert ["1"] * 5 == found
        assert took < source.options.timeout / 2  # at once, on a machine that may be busy
        assert ["WARNING"] == [record.levelname for record in caplog.records]
        status = source.status()
        assert "stale" == status.state
        assert status.age is not None
        assert status.age >= 0
        assert isinstance(status.error, UnavailableError)


def test_no_server_at_the_start_is_told_in_time() -> None:
    """`UnavailableError` comes within the timeout, and names the endpoint and the reason."""
    started = time.monotonic()

    with Source("etcd://127.0.0.1:1/config/app/?timeout=2") as source, pytest.raises(UnavailableError) as e:
        source.snapshot()

    assert time.monotonic() - started < 2.5
    assert {"127.0.0.1:1": "connection refused"} == e.value.attempts


def test_settings_that_may_be_missing_are_empty_in_an_outage() -> None:
    """With ``required=False`` the defaults hold until etcd is there."""
    with Source("etcd://127.0.0.1:1/config/app/", required=False) as source:
        assert Settings() == source.load(Settings)


BAD = [
    pytest.param({"database/port": SECRET}, InvalidSettingsError, ["database/port"], id="a wrong type"),
    pytest.param(
        {"debug": SECRET, "database/port": SECRET}, InvalidSettingsError, ["debug", "database/port"], id="two"
    ),
    pytest.param(
        {"database": SECRET, "database/host": "h"}, ConflictError, ["database", "database/host"], id="conflict"
    ),
    pytest.param({"database.json": "{" + SECRET}, DecodeError, ["database.json"], id="a broken document"),
    pytest.param(
        {"a.json": SECRET, "b": SECRET, "b/c": "1"},
        EtcdSettingsError,
        ["a.json", "b", "b/c"],
        id="problems of two kinds",
    ),
]


@pytest.mark.parametrize(("values", "kind", "keys"), BAD)
def test_bad_values_are_told_by_key_all_at_once_and_never_shown(
    etcd_server: EtcdServer,
    caplog: pytest.LogCaptureFixture,
    values: dict[str, str],
    kind: type[EtcdSettingsError],
    keys: list[str],
) -> None:
    """Each problem names its key; no value stands in the error, in what led to it, or in the log."""
    fill(etcd_server, values)
    with Source(etcd_server.url) as source:
        with pytest.raises(kind) as e:
            source.load(Settings)
        shown = "".join([str(e.value), repr(e.value), repr(e.value.__dict__), caplog.text, repr(source)])

    for key in keys:
        assert repr(APP + key) in shown
    assert SECRET not in shown
    assert None is e.value.__cause__
    assert SECRET not in repr(e.value.__context__)


def test_an_undecodable_value_is_an_error_only_where_text_is_needed(etcd_server: EtcdServer) -> None:
    """A binary value beside the settings harms nobody; one for a text field is named."""
    with Client(etcd_server.url) as client:
        client.put(APP + "blob", b"\xff\xfe")
        client.put(APP + "database/host", b"\xff" + SECRET.encode())

    with Source(etcd_server.url) as source:
        assert b"\xff\xfe" == source.tree()["blob"]
        with pytest.raises(EtcdSettingsError, match="/config/app/database/host") as e:
            source.load(Settings)

    assert SECRET not in str(e.value)


def test_a_watch_brings_each_state_and_keeps_the_cache_live(etcd_server: EtcdServer, calls: Callable[[], int]) -> None:
    """While a watch stands, reading asks nobody, whatever the TTL, and gives the newest."""
    fill(etcd_server, {"a": "1"})
    with Source(etcd_server.url, ttl=0) as source, source.watch() as snapshots:
        assert "1" == next(snapshots)["a"].text
        fill(etcd_server, {"a": "2", "b": "new"})

        newest = next(snapshots)
        before = calls()

        assert {"a": "2", "b": "new"} == {path: entry.text for path, entry in newest.items()}
        assert newest.revision == source.snapshot().revision
        assert "live" == source.status().state
        assert 0 == calls() - before

"""Observers see what happens, and change nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from etcd_settings import Live, Source
from etcd_settings.errors import UnavailableError
from etcd_settings.hooks import (
    Connected,
    Event,
    OutageBegan,
    OutageEnded,
    Read,
    Rejected,
    Reloaded,
    log_records,
    observe,
    tell,
)
from etcd_settings.stores.memory import MemoryStore
from tests.living import App
from tests.waiting import eventually


@pytest.fixture
def seen() -> Iterator[list[Event]]:
    events: list[Event] = []
    end = observe(events.append)
    yield events
    end()


def test_reads_and_outages_are_seen(seen: list[Event], monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage begins and ends once, however many attempts fail."""

    def fail(*_: object, **__: object) -> None:
        raise UnavailableError({"memory": "gone"})

    with Source("memory://hooks/") as source:
        source.snapshot()
        with monkeypatch.context() as gone:
            gone.setattr(MemoryStore, "read", fail)
            source.snapshot(max_age=0)
            source.snapshot(max_age=0)
        source.refresh()

    assert [Read, OutageBegan, OutageEnded, Read] == [type(event) for event in seen]
    assert OutageBegan("memory://hooks/", "UnavailableError") == seen[1]
    assert OutageEnded("memory://hooks/", 2) == seen[2]


def test_reloads_and_rejections_are_seen(seen: list[Event]) -> None:
    """With revisions, paths and types, and without a value."""
    with Source("memory://hooks-live/config/app/") as source:
        app = App(source, MemoryStore.shared("hooks-live"))
        with Live(app.load) as live:
            reloaded = app.put("debug", "true")
            live.wait(reloaded)
            rejected = app.put("debug", "hunter2")
            live.wait(rejected)
            eventually(lambda: any(isinstance(event, Rejected) for event in seen))

    assert Connected(source.options.title) in seen
    assert Reloaded(source.options.title, reloaded, frozenset({"debug"})) in seen
    assert Rejected(source.options.title, rejected, "InvalidSettingsError") in seen
    assert "hunter2" not in repr(seen)


def test_an_observer_that_raises_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The others are told; the log names it."""
    told: list[Event] = []

    def broken(event: Event, /) -> None:
        raise ValueError("hunter2")

    ends = [observe(broken), observe(told.append)]
    tell(Connected("x"))
    for end in ends:
        end()
    tell(Connected("y"))

    assert [Connected("x")] == told
    assert "broken" in caplog.text
    assert "hunter2" not in caplog.text


def test_events_as_log_records(caplog: pytest.LogCaptureFixture) -> None:
    """The name is stable, and the facts can be taken from the record."""
    with caplog.at_level(logging.INFO, "etcd_settings.events"):
        log_records(Reloaded("x", 7, frozenset({"a"})))

    (record,) = caplog.records
    assert ("etcd_settings.events", "Reloaded", "Reloaded") == (record.name, record.getMessage(), vars(record)["event"])
    assert {"source": "x", "revision": 7, "paths": frozenset({"a"})} == vars(record)["facts"]

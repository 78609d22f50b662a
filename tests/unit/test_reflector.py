"""A reflector brings everybody the newest state, in order, on one thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

import pytest

from etcd_settings import hooks
from etcd_settings.errors import ClosedError, RestoredError, UnavailableError
from etcd_settings.snapshot import Entries, Snapshot
from etcd_settings.source import Source
from etcd_settings.stores.memory import MemoryStore
from tests.making import PREFIX, make_row
from tests.waiting import eventually


def texts(snapshot: Snapshot | None) -> dict[str, str]:
    assert snapshot is not None
    return {path: entry.text for path, entry in snapshot.items()}


def make(revision: int, *, cluster_id: int = 1) -> Snapshot:
    """A state of a cluster in which the key says at which revision it was written."""
    row = make_row("n", str(revision), revision=revision)
    return Snapshot({"": Entries([row], prefix=PREFIX)}, revision, cluster_id)


@dataclass
class Scripted:
    """A store whose reads and watch say what the test wants; what is in `says` comes from the watch, one by one."""

    reads: list[Snapshot]
    says: list[Snapshot | Exception] = field(default_factory=list)
    endpoint: str = "scripted"
    connected: bool = True

    def __post_init__(self) -> None:
        self.news = threading.Event()
        self.closed = False
        self.watches = 0

    def read(self, layers: Mapping[str, str], *, timeout: float) -> Snapshot:
        if self.closed:
            raise ClosedError("store")
        return self.reads.pop(0) if len(self.reads) > 1 else self.reads[0]

    def watch(self, layers: Mapping[str, str], since: Snapshot, *, on_connection: Callable[[bool], None]) -> Self:
        self.watches += 1
        on_connection(True)
        return self

    def poll(self, timeout: float) -> Snapshot | None:
        if not self.says:
            self.news.wait(timeout)
            self.news.clear()
        if self.closed:
            raise ClosedError("store")
        said = self.says.pop(0) if self.says else None
        if isinstance(said, Exception):
            raise said
        return said

    def close(self) -> None:
        self.news.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.put(PREFIX + "a", "1")
    return store


def test_whoever_comes_later_gets_the_present_state_first(store: MemoryStore) -> None:
    """A second watch of a source does not wait for the next change, and both share one thread."""
    with Source(store=store, prefix=PREFIX) as source, source.watch() as first:
        assert {"a": "1"} == texts(first.poll(5))
        threads = threading.active_count()
        with source.watch() as second:
            assert {"a": "1"} == texts(second.poll(5))
            assert threads == threading.active_count()


def test_after_the_last_listener_the_next_one_starts_anew(store: MemoryStore) -> None:
    """Between two watches nothing is watched; the second begins with what was written meanwhile."""
    with Source(store=store, prefix=PREFIX) as source:
        with source.watch() as snapshots:
            assert {"a": "1"} == texts(snapshots.poll(5))
        store.put(PREFIX + "a", "2")
        with source.watch() as snapshots:
            assert {"a": "2"} == texts(snapshots.poll(5))


def test_a_read_ahead_of_the_watch_is_not_taken_back() -> None:
    """Somebody reads revision 9 while the watch is at 5: what it tells of 6, 7, 8 does not replace that."""
    store = Scripted([make(5), make(9)])
    with Source(store=store, prefix=PREFIX) as source, source.watch() as snapshots:
        assert {"n": "5"} == texts(snapshots.poll(5))
        assert {"n": "9"} == texts(source.refresh())
        store.says += [make(6), make(7), make(8)]
        store.news.set()

        assert [6, 7, 8] == [next(snapshots).revision for _ in range(3)]
        assert 9 == source.snapshot().revision


def test_only_a_restore_goes_back(caplog: pytest.LogCaptureFixture) -> None:
    """When the store says that the cluster was restored, its earlier revision replaces what is held, at once."""
    store = Scripted([make(5), make(3)])
    with Source(store=store, prefix=PREFIX) as source, source.watch() as snapshots:
        assert 5 == next(snapshots).revision
        store.says.append(RestoredError(3))
        store.news.set()

        assert 3 == next(snapshots).revision
        assert 3 == source.snapshot().revision
    assert ["WARNING"] == [record.levelname for record in caplog.records]


def test_a_closed_store_ends_the_iteration() -> None:
    """Who closes a store that was given to a source leaves nobody waiting."""
    store = Scripted([make(5)])
    with Source(store=store, prefix=PREFIX) as source, source.watch() as snapshots:
        assert 5 == next(snapshots).revision
        store.closed = True
        store.news.set()

        assert [] == list(snapshots)


def test_a_closed_reflector_takes_no_listeners(store: MemoryStore) -> None:
    """A watch that was asked for while the source closed ends at once."""
    with Source(store=store, prefix=PREFIX) as source:
        pass
    reflector = source.reflector
    ended = threading.Event()

    class Listener:
        def take(self, snapshot: Snapshot) -> None:
            raise AssertionError

        def end(self) -> None:
            ended.set()

    reflector.subscribe(Listener())

    assert ended.is_set()


def test_the_most_impatient_listener_decides_how_often_everything_is_read(store: MemoryStore) -> None:
    """The least relist of all listeners counts, as long as it listens."""
    with Source(store=store, prefix=PREFIX) as source, source.watch(relist=100):
        assert 100 == source.reflector.relist
        with source.watch(relist=7), source.watch(relist=50):
            assert 7 == source.reflector.relist
        assert 100 == source.reflector.relist


def test_everything_is_read_again_after_a_while() -> None:
    """What no watch tells is found by reading again, and replaces what was held."""
    store = Scripted([make(5), make(5), make(8)])
    with Source(store=store, prefix=PREFIX) as source, source.watch(relist=0.05) as snapshots:
        assert [5, 8] == [next(snapshots).revision for _ in range(2)]
    assert store.watches >= 3


def test_reading_again_on_time_is_no_news(store: MemoryStore) -> None:
    """However often everything is read again, the watch is told to stand once, and to have ended once."""
    told: list[hooks.Event] = []
    end = hooks.observe(told.append)
    try:
        with Source(store=store, prefix="again/", ttl=0) as source, source.watch(relist=0.02) as snapshots:
            title = source.options.title
            assert snapshots.poll(5) is not None
            reads = [hooks.Read] * 5
            while reads != [type(event) for event in told if isinstance(event, hooks.Read)][:5]:
                assert snapshots.poll(0.01) is None
            assert "live" == source.status().state
        eventually(lambda: isinstance(told[-1], hooks.Disconnected))
    finally:
        end()

    mine = [
        event for event in told if isinstance(event, hooks.Connected | hooks.Disconnected) and event.source == title
    ]
    assert [hooks.Connected, hooks.Disconnected] == [type(event) for event in mine]


def test_a_failure_to_read_again_ends_being_live() -> None:
    """When the read that is due fails, nobody claims any longer that changes are coming in."""

    class Failing(Scripted):
        def read(self, layers: Mapping[str, str], *, timeout: float) -> Snapshot:
            if self.watches:
                raise UnavailableError({"scripted": "gone"})
            return super().read(layers, timeout=timeout)

    with Source(store=Failing([make(5)]), prefix=PREFIX) as source, source.watch(relist=0.02) as snapshots:
        assert 5 == next(snapshots).revision
        eventually(lambda: source.status().state == "stale")


def test_no_room_for_a_thread_is_told_and_passes(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the thread cannot be started the caller is told; the next call tries again."""

    def fail(_: object) -> None:
        raise RuntimeError("can't start new thread")

    with Source(store=store, prefix=PREFIX) as source:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", fail)
            with pytest.raises(RuntimeError):
                source.watch()
        assert [] == [*source.reflector.listeners]
        with source.watch() as snapshots:
            assert {"a": "1"} == texts(snapshots.poll(5))

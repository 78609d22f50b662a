"""The one object that everybody holds who wants settings."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from etcd_settings import source as source_module
from etcd_settings.connection import Connection
from etcd_settings.errors import (
    AuthenticationError,
    ClosedError,
    ConfigurationError,
    ConflictError,
    UnavailableError,
)
from etcd_settings.snapshot import Snapshot
from etcd_settings.source import Source
from etcd_settings.stores.memory import MemoryStore, MemoryWatch
from etcd_settings.testing.clocks import FakeClock
from tests.forking import in_child, status
from tests.waiting import eventually

OUTAGE = UnavailableError({"a:2379": "connection refused"})
PREFIX = "/config/app/"


class Flaky:
    """A store in memory that counts reads, and fails when told."""

    def __init__(self) -> None:
        self.memory = MemoryStore()
        self.error: Exception | None = None
        self.reads = 0
        self.closed = 0
        self.timeouts: list[float] = []

    @property
    def endpoint(self) -> str | None:
        return self.memory.endpoint

    def read(self, layers: Mapping[str, str], *, timeout: float) -> Snapshot:
        self.reads += 1
        self.timeouts.append(timeout)
        if self.error is not None:
            raise self.error
        return self.memory.read(layers, timeout=timeout)

    def watch(
        self, layers: Mapping[str, str], since: Snapshot, *, on_connection: Callable[[bool], None]
    ) -> MemoryWatch:
        return self.memory.watch(layers, since, on_connection=on_connection)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def store() -> Flaky:
    store = Flaky()
    store.memory.put(PREFIX + "database/host", "db.example.com")
    store.memory.put(PREFIX + "database/port", "5432")
    store.memory.put(PREFIX + "debug", "false")
    return store


@pytest.fixture
def fake() -> FakeClock:
    return FakeClock()


@pytest.fixture
def source(store: Flaky, fake: FakeClock) -> Source:
    return Source(store=store, prefix=PREFIX, clock=fake.clock)


@pytest.fixture(autouse=True)
def _close_shared() -> Iterator[None]:
    yield
    for source in source_module._registry.all():
        source.close()


# --- reading ---


def test_making_one_reads_nothing(store: Flaky) -> None:
    """A source may be made at import time, with no etcd in reach."""
    Source(store=store)
    Source("etcd://no.such.host.invalid/p/").close()

    assert 0 == store.reads


def test_everything_is_made_of_one_read(source: Source, store: Flaky) -> None:
    """Snapshot, tree and explanation within the TTL are one read."""
    assert 3 == len(source.snapshot())
    assert {"database": {"host": "db.example.com", "port": "5432"}, "debug": "false"} == source.tree()
    assert {"host": "db.example.com", "port": "5432"} == source.tree("/database/")
    assert {} == source.tree("missing")
    winner = source.explain("database/host").winner
    assert winner is not None
    assert (PREFIX + "database/host", 2) == (winner.key, winner.revision)
    assert 1 == store.reads


def test_a_tree_is_the_callers(source: Source) -> None:
    """Whoever changes a tree changes nobody else's."""
    source.tree()["database"]["host"] = "changed"
    source.tree("database")["host"] = "changed"

    assert "db.example.com" == source.tree()["database"]["host"]


def test_a_value_is_no_branch(source: Source) -> None:
    """A tree of a path that holds a single value is an error that names it."""
    with pytest.raises(ConflictError, match="'debug'"):
        source.tree("debug")


def test_after_the_ttl_it_is_read_again(source: Source, store: Flaky, fake: FakeClock) -> None:
    """The TTL is 30 seconds unless said otherwise; `max_age` and `refresh` do not wait for it."""
    source.snapshot()
    fake.tick(29)
    source.snapshot()
    assert 1 == store.reads
    fake.tick(1)
    source.snapshot()
    assert 2 == store.reads
    source.snapshot(max_age=0)
    source.refresh()
    assert 4 == store.reads


@pytest.mark.parametrize("wrong", [-1, float("nan")])
def test_a_wrong_max_age_is_an_error(source: Source, wrong: float) -> None:
    """An age is at least 0, with and without a loop."""
    with pytest.raises(ConfigurationError, match="max_age is a number of seconds"):
        source.snapshot(max_age=wrong)
    with pytest.raises(ConfigurationError, match="max_age is a number of seconds"):
        asyncio.run(source.snapshot_async(max_age=wrong))


def test_layers_are_read_together(store: Flaky) -> None:
    """All layers come in one read; later ones win, and the snapshot keeps them all."""
    store.memory.put(PREFIX + "production/debug", "true")
    source = Source(store=store, prefix=PREFIX, layers=["", "production/"])

    assert "true" == source.tree()["debug"]
    assert ["", "production/"] == list(source.snapshot().layers)
    assert 1 == store.reads


def test_the_timeout_reaches_the_store(store: Flaky) -> None:
    """The store is told how long the whole call may take."""
    Source(store=store, timeout=1.5).snapshot()

    assert 1.5 == pytest.approx(store.timeouts[0], abs=0.1)


def test_an_empty_prefix_is_no_error(store: Flaky) -> None:
    """A prefix without keys is an empty snapshot and an empty tree."""
    source = Source(store=store, prefix="/nothing/")

    assert (0, {}) == (len(source.snapshot()), source.tree())


# --- failing ---


def test_an_outage_serves_what_is_held(
    source: Source, store: Flaky, fake: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Stale at once, told once in the log and always in the status, and over with the next good read."""
    caplog.set_level(logging.INFO, "etcd_settings")
    first = source.snapshot()
    store.error = OUTAGE
    fake.tick(31)
    assert first is source.snapshot()
    fake.tick(5)
    status = source.status()

    assert ("stale", 36.0, first.revision, "memory") == (status.state, status.age, status.revision, status.endpoint)
    assert str(OUTAGE) == str(status.error)
    for _ in range(50):
        fake.tick(31)
        source.snapshot()
    store.error = None
    fake.tick(31)
    source.snapshot()
    assert ("fresh", 0.0, None) == (source.status().state, source.status().age, source.status().error)
    assert [logging.WARNING, logging.INFO] == [record.levelno for record in caplog.records]


def test_a_failed_refresh_raises(source: Source, store: Flaky) -> None:
    """`refresh` tells its caller, and others go on with what is held."""
    source.snapshot()
    store.error = OUTAGE

    with pytest.raises(UnavailableError):
        source.refresh()
    assert 3 == len(source.snapshot())


def test_stale_has_an_end(store: Flaky, fake: FakeClock) -> None:
    """With `max_stale` an outage is an error at last."""
    source = Source(store=store, prefix=PREFIX, max_stale=100, clock=fake.clock)
    source.snapshot()
    store.error = OUTAGE
    fake.tick(100)
    source.snapshot()
    fake.tick(1)

    with pytest.raises(UnavailableError):
        source.snapshot()


def test_an_outage_at_the_start_is_an_error(source: Source, store: Flaky) -> None:
    """With nothing to serve the error is raised, and the status is that of a source that never read."""
    store.error = OUTAGE
    with pytest.raises(UnavailableError):
        source.snapshot()

    status = source.status()
    assert ("empty", None, None) == (status.state, status.revision, status.age)
    assert isinstance(status.error, UnavailableError)


def test_what_is_not_required_may_be_missing(store: Flaky, fake: FakeClock) -> None:
    """`required=False` serves an empty snapshot in an outage, with every layer, until there is something."""
    source = Source(store=store, prefix=PREFIX, layers=["a/", ""], required=False, clock=fake.clock)
    store.error = OUTAGE

    assert {} == source.tree()
    assert ["a/", ""] == list(source.snapshot().layers)
    status = source.status()
    assert ("empty", None, None) == (status.state, status.revision, status.age)
    assert 1 == store.reads
    store.error = None
    fake.tick(1)
    assert "false" == source.tree()["debug"]


@pytest.mark.parametrize(
    "error", [AuthenticationError(endpoint="a:2379", user="u"), ConfigurationError("wrong"), OSError("disk")]
)
def test_only_an_outage_may_be_hidden(store: Flaky, error: Exception) -> None:
    """`required=False` hides neither refused credentials nor a wrong configuration nor anything else."""
    store.error = error

    with pytest.raises(type(error)):
        Source(store=store, required=False).snapshot()


def test_what_was_served_empty_is_an_error_once_credentials_are_refused(store: Flaky, fake: FakeClock) -> None:
    """An outage that was hidden turns into an error when the reason is no outage any more."""
    source = Source(store=store, required=False, clock=fake.clock)
    store.error = OUTAGE
    source.snapshot()
    store.error = AuthenticationError(endpoint="a:2379", user="u")
    fake.tick(1)

    with pytest.raises(AuthenticationError):
        source.snapshot()


# --- many at once ---


def test_fifty_threads_make_one_read(store: Flaky) -> None:
    """However many ask at once, the store is read once."""
    entered, leave = threading.Event(), threading.Event()
    read = store.read

    def slow(layers: Mapping[str, str], *, timeout: float) -> Snapshot:
        entered.set()
        assert leave.wait(10)
        return read(layers, timeout=timeout)

    store.read = slow  # type: ignore[method-assign]  # to hold it up
    source = Source(store=store, prefix=PREFIX)
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(id(source.snapshot()))) for _ in range(50)]
    for thread in threads:
        thread.start()
    eventually(entered.is_set)
    leave.set()
    for thread in threads:
        thread.join()

    assert 50 == len(found)
    assert 1 == len(set(found))
    assert 1 == store.reads


def test_a_child_of_a_busy_parent_works(store: Flaky) -> None:
    """A fork while another thread reads and the registry is locked leaves a child that reads, shares and closes."""
    entered, leave = threading.Event(), threading.Event()
    read, parent = store.read, os.getpid()

    def slow(layers: Mapping[str, str], *, timeout: float) -> Snapshot:
        if os.getpid() == parent:
            entered.set()
            assert leave.wait(10)
        return read(layers, timeout=timeout)

    store.read = slow  # type: ignore[method-assign]  # to hold it up
    source = Source.shared(store=store, prefix=PREFIX)
    reader = threading.Thread(target=source.snapshot)
    reader.start()
    eventually(entered.is_set)

    def child() -> None:
        assert 3 == len(source.snapshot())
        assert Source.shared(store=store, prefix=PREFIX) is source
        source.close()
        assert Source.shared(store=store, prefix=PREFIX) is not source

    with source_module._registry._lock:
        pid = in_child(child)
    assert 0 == status(pid)
    leave.set()
    reader.join()
    assert "fresh" == source.status().state


# --- async ---


def test_async_does_not_block_the_loop(store: Flaky) -> None:
    """While a read takes its time other tasks of the loop run."""
    entered, leave = threading.Event(), threading.Event()
    read = store.read

    def slow(layers: Mapping[str, str], *, timeout: float) -> Snapshot:
        entered.set()
        assert leave.wait(10)
        return read(layers, timeout=timeout)

    store.read = slow  # type: ignore[method-assign]  # to hold it up
    source = Source(store=store, prefix=PREFIX)

    async def main() -> int:
        task = asyncio.ensure_future(source.snapshot_async())
        while not entered.is_set():
            await asyncio.sleep(0)  # the loop is free to do this
        leave.set()
        return len(await task)

    assert 3 == asyncio.run(main())


def test_async_takes_no_thread_for_what_is_in_memory(source: Source, store: Flaky, fake: FakeClock) -> None:
    """A fresh snapshot, and a stale one while the next attempt waits, are given without a thread."""
    source.snapshot()

    async def main() -> None:
        async def no_thread(*_: object, **__: object) -> Any:
            raise AssertionError("a thread was used")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asyncio, "to_thread", no_thread)
            assert source.snapshot() is await source.snapshot_async()
            store.error = OUTAGE
            fake.tick(31)
            source.snapshot()
            assert source.snapshot() is await source.snapshot_async()

    asyncio.run(main())


def test_async_obeys_max_age_and_close(source: Source, store: Flaky) -> None:
    """`snapshot_async` is `snapshot`, with all that it promises."""

    async def main() -> None:
        await source.snapshot_async()
        await source.snapshot_async(max_age=0)
        source.close()
        with pytest.raises(ClosedError):
            await source.snapshot_async()

    asyncio.run(main())
    assert 2 == store.reads


# --- closing ---


def test_a_closed_source_says_so(source: Source) -> None:
    """After `close`, which may be called twice, reading raises ClosedError; the status tells what was last served."""
    revision = source.snapshot().revision
    source.close()
    source.close()

    for use in (source.snapshot, source.refresh, source.tree, lambda: source.explain("a"), source.__enter__):
        with pytest.raises(ClosedError, match="Source"):
            use()
    assert ("closed", revision) == (source.status().state, source.status().revision)


def test_a_given_store_is_not_closed(source: Source, store: Flaky) -> None:
    """Who brought the store closes it: others may be using it."""
    source.close()

    assert 0 == store.closed


def test_a_store_of_its_own_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that the source made is closed with it."""
    closed: list[MemoryStore] = []
    monkeypatch.setattr(MemoryStore, "close", lambda self: closed.append(self))
    source = Source("memory://test_own/p/")
    source.close()
    source.close()

    assert [source.store] == closed


def test_with_closes(store: Flaky) -> None:
    """Leaving the `with` of a source closes it."""
    with Source(store=store) as source:
        source.snapshot()

    with pytest.raises(ClosedError):
        source.snapshot()


# --- sharing ---


@pytest.mark.parametrize(
    ("url", "keywords"),
    [
        ("memory://shared/p", {}),
        ("memory://shared/p/", {"ttl": 30}),
        ("memory://shared/p/", {"layers": [""]}),
        ("memory://shared/p/", {"layers": ("",), "max_stale": None, "required": True, "timeout": 5.0}),
        ("MEMORY://shared/%70/?ttl=30&layer=", {"connection": None, "store": None, "prefix": ""}),
        ("memory://shared/?prefix=/p", {}),
    ],
)
def test_equal_configurations_share_one_source(url: str, keywords: dict[str, Any]) -> None:
    """A missing slash, a list for a tuple, a default spelled out: the same configuration, the same object."""
    assert Source.shared("memory://shared/p/") is Source.shared(url, **keywords)


@pytest.mark.parametrize(
    ("url", "keywords"),
    [
        ("memory://shared/p2/", {}),
        ("memory://other/p/", {}),
        ("memory://shared/p/", {"ttl": 31}),
        ("memory://shared/p/", {"layers": ["a/"]}),
        ("memory://shared/p/", {"required": False}),
        ("memory://shared/p/?timeout=1", {}),
    ],
)
def test_different_configurations_do_not(url: str, keywords: dict[str, Any]) -> None:
    """Whatever makes a difference makes another source."""
    assert Source.shared("memory://shared/p/") is not Source.shared(url, **keywords)


def test_connections_are_compared_by_value() -> None:
    """Equal connections, and the URL that says the same, share; another user does not."""
    url = "etcd://u:p@a:2379,b/x/"
    connection = Connection(["A", "b:2379"], user="u", password="p")

    assert Source.shared(url) is Source.shared(connection=connection, prefix="/x")
    assert Source.shared(url) is not Source.shared("etcd://v:p@a:2379,b/x/")
    assert Source.shared(url) is not Source.shared("etcd://u:q@a:2379,b/x/")


def test_layers_are_ordered() -> None:
    """The order of layers decides who wins, so that it makes a difference."""
    assert Source.shared("memory://o/", layers=["a", "b"]) is not Source.shared("memory://o/", layers=["b", "a"])


def test_a_shared_source_is_the_environments_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a URL the environment names it, and the source is the one of that URL."""
    monkeypatch.setenv("ETCD_SETTINGS_URL", "memory://shared/p")

    assert Source.shared() is Source.shared("memory://shared/p/")


def test_leaving_a_with_does_not_close_what_is_shared() -> None:
    """Others may be using it."""
    with Source.shared("memory://shared/p/") as source:
        pass

    assert 0 == len(source.snapshot())
    assert source is Source.shared("memory://shared/p/")


def test_a_closed_source_is_never_handed_out() -> None:
    """After `close` the same configuration gives a new source, and closing the old one again does not take it away."""
    old = Source.shared("memory://shared/p/")
    old.close()
    new = Source.shared("memory://shared/p/")
    old.close()

    assert old is not new
    assert 0 == len(new.snapshot())
    assert new is Source.shared("memory://shared/p/")


def test_a_source_of_ones_own_is_not_shared() -> None:
    """`Source(…)` is a new one each time, and is not handed out to others."""
    own = Source("memory://shared/p/")

    assert own is not Source.shared("memory://shared/p/")


def test_threads_that_share_get_one_source() -> None:
    """Many threads that ask for the first time at once get the same object."""
    found: list[Source] = []
    barrier = threading.Barrier(16)

    def ask() -> None:
        barrier.wait()
        found.append(Source.shared("memory://threads/p/"))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 1 == len({id(source) for source in found})


# --- what it shows ---


def test_a_repr_shows_state_and_no_secret() -> None:
    """Where, which layers, which state and revision; neither user nor password."""
    source = Source("memory://repr/p/", layers=["a/"])
    assert "<Source memory://repr/p/ layers=['a/']: empty>" == repr(source)
    source.snapshot()

    assert "<Source memory://repr/p/ layers=['a/']: fresh at revision 1>" == repr(source)
    with Source("etcd://root:s3cret@h/p/") as other:
        assert "<Source etcd://h:2379/p/: empty>" == repr(other)


def test_memory_is_written_through_the_source() -> None:
    """`source.store` of a memory URL is the shared store, which takes whole keys."""
    source = Source("memory://written/config/app/", ttl=0)
    assert isinstance(source.store, MemoryStore)
    source.store.put("/config/app/a", "1")

    assert {"a": "1"} == source.tree()
    assert 1 == source.store.delete("/config/app/a")
    assert {} == source.tree()


def test_a_status_is_a_value(source: Source, fake: FakeClock) -> None:
    """A status is frozen, and tells since when the state has lasted in seconds since 1970."""
    started = fake.clock.wall()
    fake.tick(5)
    source.snapshot()
    fake.tick(7)
    status = source.status()

    assert (started + 5, 7.0) == (status.since, status.age)
    with pytest.raises(AttributeError):
        status.state = "closed"  # type: ignore[misc]  # that is the point


def test_a_password_file_is_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment completes a URL that names a user alone."""
    (tmp_path / "password").write_text("s3cret\n")
    monkeypatch.setenv("ETCD_SETTINGS_PASSWORD_FILE", str(tmp_path / "password"))
    with Source("etcd://u@h/p/") as source:
        where = source.options.where

    assert isinstance(where, Connection)
    assert "s3cret" == where.read_password()

"""
Be the one object that everybody holds who wants settings.

A source joins a store (where entries are) and a cache (how fresh they must be), and gives what it has as a snapshot, a
tree or a typed object.

It knows its options. It knows nothing of HTTP/2, of frameworks, or of how a tree becomes a model.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any, Self, TypeVar, Unpack, overload

from etcd_settings.cache import Cache
from etcd_settings.connection import Connection
from etcd_settings.errors import ClosedError, ConfigurationError, UnavailableError
from etcd_settings.freshness import CLOCK, Clock, Held, Policy
from etcd_settings.last_good import LastGood
from etcd_settings.location import Location
from etcd_settings.options import UNSET, Given, Keywords, Options, Unset, resolve
from etcd_settings.overlays import Overlays
from etcd_settings.pinning import pins_in_force
from etcd_settings.reflector import Plan, Reflector, SnapshotIterator
from etcd_settings.registry import Registry
from etcd_settings.snapshot import Entry, Snapshot
from etcd_settings.status import Status
from etcd_settings.stores.base import Store
from etcd_settings.tree import Explanation, branch, build, explain

__all__ = ["UNSET", "Source"]

T = TypeVar("T")

RELIST = 300.0
"""Seconds after which a watched source is read again in any case; see `Reflector`."""


class Source:
    """
    Where settings come from, with its cache.

    Making one reads nothing and connects to nothing; the first `snapshot`, `tree` or `load` does.

    Args:
        url: Where the settings are: ``etcd://host:2379/config/app/``, ``etcds://…``, ``etcd+srv://…``, ``memory://…``
            or ``file:///…``. None takes ``$ETCD_SETTINGS_URL``.

        connection: In place of a URL: which etcd.

        store: In place of a URL: any store. The source does not close it.

        prefix: The prefix, with *connection* or *store*; a URL names it itself.

        layers: Prefixes under the source's, lowest first; later ones win.

        ttl: For how many seconds a snapshot is served from memory.

        max_stale: How many seconds after the last good read settings may be served while reading fails; None: for ever.

        last_good: A file to keep the last good snapshot in, so that a start succeeds while etcd is away. It holds the
            settings in clear, and is readable by its owner alone.

        required: Whether an outage at the very start is an error. False serves an empty snapshot instead; a wrong
            configuration and refused credentials are errors all the same.

        timeout: How many seconds a read may take in all.

        clock: Where time comes from; for tests.

    Raises:
        ConfigurationError: Something of that is not usable, or contradicts something else.

    Thread-safe; it survives a fork, and works under gevent.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        connection: Connection | None = None,
        store: Store | None = None,
        prefix: str | Unset = UNSET,
        layers: Iterable[str] | Unset = UNSET,
        ttl: float | Unset = UNSET,
        max_stale: float | Unset | None = UNSET,
        last_good: str | os.PathLike[str] | Unset | None = UNSET,
        required: bool | Unset = UNSET,
        timeout: float | Unset = UNSET,
        clock: Clock = CLOCK,
    ) -> None:
        given = Keywords(
            connection=connection,
            store=store,
            prefix=prefix,
            layers=layers,
            ttl=ttl,
            max_stale=max_stale,
            last_good=last_good,
            required=required,
            timeout=timeout,
        )
        self._options, self._clock = resolve(url, given), clock
        self._store = _open(self._options.where)
        self._overlays = Overlays()
        self._closed_at: float | None = None
        self._last_good = _open_last_good(self._options, clock)
        self._cache = Cache(
            self._read,
            Policy(self._options.ttl, self._options.max_stale),
            name=self._options.title,
            substitute=self._substitute,
            accepted=self._accepted,
            clock=clock,
        )
        self._reflector = Reflector(
            Plan(
                self._store,
                self._options.prefixes,
                self._cache,
                timeout=self._options.timeout,
                relist=RELIST,
                name=self._options.title,
            ),
            show=self._overlays.show,
        )

    @classmethod
    def shared(cls, url: str | None = None, **same: Unpack[Keywords]) -> Source:
        """
        Give the process's source for that configuration; equal configurations share one.

        It takes what `Source` takes. A missing trailing slash, a list in place of a tuple and a default that is spelled
        out make no difference. It lives until somebody calls `close`; leaving a ``with`` does not close it.
        """
        options = resolve(url, same)
        source = _registry.find(options)
        if source is None:
            source = _registry.add(options, cls(url, **same))
        return source

    @property
    def store(self) -> Any:
        """The store that it reads from; what it can do beyond `Store`, such as ``put``, depends on the URL."""
        return self._store

    @property
    def last_good(self) -> LastGood | None:
        """The file that keeps the last good snapshot; None without one. A Live judges what goes there."""
        return self._last_good

    @property
    def options(self) -> Options:
        """All that makes it what it is, in one spelling."""
        return self._options

    @property
    def reflector(self) -> Reflector:
        """What tells of snapshots as they come; `watch` and `Live` listen to it."""
        return self._reflector

    def snapshot(self, *, max_age: float | None = None) -> Snapshot:
        """
        Give every entry, at one revision.

        It comes from memory while it is younger than the TTL; otherwise it is read, by one caller for all. If reading
        fails, what is held is served: see `status`. While a `Live` builds settings, all that they are built of comes
        from one snapshot.

        Args:
            max_age: Take from memory only what is younger, in seconds; 0 reads in any case.

        Raises:
            EtcdSettingsError: It could not be read, and there is nothing to serve.
            ClosedError: The source is closed.
        """
        self._check_open()
        _check_age(max_age)
        pins = pins_in_force()
        if pins is not None:
            return pins.take(self)
        return self._overlays.show(self._cache.get(timeout=self._options.timeout, max_age=max_age))

    def refresh(self) -> Snapshot:
        """
        Read now, and give what was read.

        Raises:
            EtcdSettingsError: It could not be read; what is served to others stays.
            ClosedError: The source is closed.
        """
        self._check_open()
        pins = pins_in_force()
        if pins is not None:
            return pins.take(self)
        return self._overlays.show(self._cache.refresh(timeout=self._options.timeout))

    def tree(self, path: str = "") -> dict[str, Any]:
        """
        Give the settings as a nested dict of texts, which is the caller's to change.

        Args:
            path: The branch to give, such as ``database``; a missing one is empty.

        Raises:
            ConflictError: Keys contradict each other, or there is a single value at *path*.
            DecodeError: A document does not parse.
            EtcdSettingsError: See `snapshot`.
        """
        return branch(build(self.snapshot(), path), path)

    @overload
    def load(self, target: type[T], path: str = "") -> T: ...
    @overload
    def load(self, target: Any, path: str = "") -> Any: ...
    def load(self, target: Any, path: str = "") -> Any:
        """
        Give the settings as an object of a type (anything that pydantic's `TypeAdapter` takes; extra ``pydantic``).

        Args:
            target: The type.

            path: The branch to take, such as ``database``.

        Raises:
            InvalidSettingsError: The settings do not have that type.
            EtcdSettingsError: See `tree`.
        """
        from etcd_settings.fitting import load  # pydantic comes with it

        return load(target, self.snapshot(), path)

    def explain(self, path: str) -> Explanation:
        """Tell which key, layer and revision the value at *path* came from, and what it shadows."""
        return explain(self.snapshot(), path)

    async def snapshot_async(self, *, max_age: float | None = None) -> Snapshot:
        """Do as `snapshot` without blocking the event loop; what is in memory is given without a thread."""
        self._check_open()
        _check_age(max_age)
        if pins_in_force() is not None:
            return self.snapshot()
        ready = self._cache.peek(max_age)
        if ready is not None:
            return self._overlays.show(ready)
        from asyncio import to_thread  # only programs with a loop get here, and have loaded it

        return await to_thread(self.snapshot, max_age=max_age)

    @overload
    async def load_async(self, target: type[T], path: str = "") -> T: ...
    @overload
    async def load_async(self, target: Any, path: str = "") -> Any: ...
    async def load_async(self, target: Any, path: str = "") -> Any:
        """Do as `load` without blocking the event loop on I/O."""
        from etcd_settings.fitting import load  # pydantic comes with it

        return load(target, await self.snapshot_async(), path)

    def watch(self, *, relist: float = RELIST) -> SnapshotIterator:
        """
        Iterate over the snapshots as they come: the present one first, then each that differs, without a gap.

        It goes on through outages, compactions and restores, until ``close`` on the iterator or the source. All
        watches of a source share one connection and one thread.

        Args:
            relist: Seconds, spread by a fifth, after which everything is read again in any case: only so is noticed
                that a role was revoked, or that a cluster was restored from a backup and has grown since. Of all
                watches of a source the least counts.

        Raises:
            ClosedError: The source is closed.
        """
        self._check_open()
        return SnapshotIterator(self._reflector, relist=relist)

    @contextmanager
    def overlaid(self, layer: Mapping[str, Entry]) -> Generator[None]:
        """
        Show one more layer, above all others, while the block runs; whoever watches is told when it comes and goes.

        Made for tests, which use `etcd_settings.testing.override`.

        Args:
            layer: Path → entry. It must not change meanwhile.
        """
        try:
            with self._overlays.add(layer):
                self._reflector.republish()
                yield
        finally:
            self._reflector.republish()

    def status(self) -> Status:
        """Tell how it is doing; asks nobody."""
        state, held = self._cache.state, self._cache.state.held
        is_real = held is not None and held.kind != "empty"
        return Status(
            state=state.name if self._closed_at is None else "closed",
            since=state.since if self._closed_at is None else self._closed_at,
            revision=held.snapshot.revision if held and is_real else None,
            age=self._clock.timer() - held.read_at if held and is_real else None,
            endpoint=self._store.endpoint,
            error=state.outage.error if state.outage else None,
        )

    def close(self) -> None:
        """Give back connections; whoever reads afterwards gets a `ClosedError`. Closing twice is harmless."""
        if self._closed_at is None:
            self._closed_at = self._clock.wall()
            self._cache.close()
            self._reflector.close()
            _registry.remove(self._options, self)
            if not isinstance(self._options.where, Given):
                self._store.close()

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(self, *_: object) -> None:
        if _registry.find(self._options) is not self:
            self.close()

    def __repr__(self) -> str:
        status = self.status()
        layers = "" if self._options.layers == ("",) else f" layers={list(self._options.layers)}"
        revision = "" if status.revision is None else f" at revision {status.revision}"
        return f"<Source {self._options.title}{layers}: {status.state}{revision}>"

    def _read(self, timeout: float) -> Snapshot:
        return self._store.read(self._options.prefixes, timeout=timeout)

    def _accepted(self, snapshot: Snapshot) -> None:
        if self._last_good is not None:
            self._last_good.offer(snapshot)

    def _substitute(self, error: Exception) -> Held | None:
        """Find something to serve when reading failed: the file, or nothing at all if that is allowed."""
        if self._last_good is not None and not isinstance(error, ConfigurationError):
            saved = self._last_good.load()
            if saved is not None:
                return self._cache.hold(saved[0], age=saved[1], kind="last_good", ttl=0)
        if self._options.required or not isinstance(error, UnavailableError):
            return None
        return self._cache.hold(Snapshot({layer: {} for layer in self._options.layers}, 0), kind="empty", ttl=0)

    def _check_open(self) -> None:
        if self._closed_at is not None:
            raise ClosedError("Source")


def _open(where: Connection | Location | Given) -> Store:
    match where:
        case Given(store=store):
            return store
        case Connection():
            from etcd_settings.stores.etcd import EtcdStore  # 45 ms of HTTP/2 and protobuf

            return EtcdStore(where)
        case Location(scheme="memory", name=name):
            from etcd_settings.stores.memory import MemoryStore

            return MemoryStore.shared(name)
        case Location(name=path):
            from etcd_settings.stores.file import FileStore

            return FileStore(path)


def _check_age(max_age: float | None) -> None:
    if max_age is not None and not max_age >= 0:  # a NaN is not, either
        raise ConfigurationError("max_age is a number of seconds, and at least 0.")


def _open_last_good(options: Options, clock: Clock) -> LastGood | None:
    if options.last_good is None:
        return None
    return LastGood(options.last_good, options.prefix, options.layers, max_age=options.max_stale, wall=clock.wall)


_registry: Registry[Options, Source] = Registry()

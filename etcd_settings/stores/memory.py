"""
Keep entries in this process.

Revisions count as etcd counts them: a store starts at revision 1, every write raises it by one, a deletion too if there
was something to delete, and a key that is created again starts at version 1.

It knows keys and revisions. It knows nothing of leases' time, watches or other processes.

Invariant: `_keys` is sorted, and every key in it has a row. A key is therefore added to the rows first and taken from
them last: a fork in the middle of a write leaves a child with either the old state or the new.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self
from weakref import WeakSet

from etcd_settings.errors import ClosedError, ConfigurationError
from etcd_settings.forks import tell_after_fork
from etcd_settings.keys import ALL_KEYS, encode_key, range_end
from etcd_settings.registry import Registry
from etcd_settings.snapshot import Entries, Snapshot

__all__ = ["MemoryStore", "MemoryWatch"]


class MemoryStore:
    """
    An in-process store: for tests, and for work without etcd.

    Keys are whole keys, as in etcd: ``store.put("/config/app/debug", "true")``. Reading costs what is read, whatever
    else the store holds. Thread-safe; a fork copies it.
    """

    def __init__(self) -> None:
        self._keys: list[bytes] = []
        self._rows: dict[bytes, _Row] = {}
        self._revision = 1
        self._lock = threading.Lock()  # held for a few steps in memory, never over I/O
        self._watches: WeakSet[MemoryWatch] = WeakSet()
        tell_after_fork(self)

    @classmethod
    def shared(cls, name: str) -> MemoryStore:
        """Give the process's store of that name; the same name gives the same store."""
        return _shared.find(name) or _shared.add(name, cls())

    @property
    def endpoint(self) -> str | None:
        """Always ``"memory"``: there is nobody else."""
        return "memory"

    @property
    def revision(self) -> int:
        """The revision of the last write."""
        return self._revision

    def read(self, layers: Mapping[str, str], *, timeout: float) -> Snapshot:  # noqa: ARG002  # nothing here can take long
        """Read all entries under all layers, at one revision."""
        with self._lock:
            rows = {layer: list(self._under(encode_key(prefix))) for layer, prefix in layers.items()}
            revision = self._revision
        return Snapshot(
            {layer: Entries(rows[layer], prefix=prefix, layer=layer) for layer, prefix in layers.items()}, revision
        )

    def put(self, key: str | bytes, value: str | bytes, *, lease: int = 0) -> int:
        """Write one key; gives the revision of the write."""
        name, content = _key(key), encode_key(value)
        with self._lock:
            old, revision = self._rows.get(name), self._revision + 1
            created, version = (revision, 1) if old is None else (old.create_revision, old.version + 1)
            self._rows[name] = _Row(name, content, created, revision, version, lease)
            if old is None:
                insort(self._keys, name)
            self._revision = revision
        self._tell()
        return revision

    def delete(self, key: str | bytes) -> int:
        """Delete one key; gives how many there were, 0 or 1."""
        name = _key(key)
        with self._lock:
            if name not in self._rows:
                return 0
            del self._keys[bisect_left(self._keys, name)]
            del self._rows[name]
            self._revision += 1
        self._tell()
        return 1

    def watch(
        self, layers: Mapping[str, str], since: Snapshot, *, on_connection: Callable[[bool], None]
    ) -> MemoryWatch:
        """Watch for writes; whoever is slow gets the newest state."""
        watch = MemoryWatch(self, layers, since, on_connection)
        with self._lock:
            self._watches.add(watch)
        return watch

    def close(self) -> None:
        """Do nothing: there is nothing to give back, and a shared store outlives those who read it."""

    def after_fork(self) -> None:
        """Replace the lock, which a thread of the parent may have held, and forget watches, whose threads are there."""
        self._lock = threading.Lock()
        self._watches = WeakSet()

    def __repr__(self) -> str:
        return f"<MemoryStore of {len(self._rows)} keys at revision {self._revision}>"

    def _tell(self) -> None:
        with self._lock:  # a watch that is added meanwhile would break the iteration
            watches = list(self._watches)
        for watch in watches:
            watch.wake()

    def _under(self, prefix: bytes) -> Iterator[_Row]:
        end = range_end(prefix)
        stop = len(self._keys) if end == ALL_KEYS else bisect_left(self._keys, end)
        return (self._rows[key] for key in self._keys[bisect_left(self._keys, prefix) : stop])


class MemoryWatch:
    """Waits until the store's revision rises."""

    def __init__(
        self,
        store: MemoryStore,
        layers: Mapping[str, str],
        since: Snapshot,
        on_connection: Callable[[bool], None],
    ) -> None:
        self._store, self._layers, self._revision = store, layers, since.revision
        self._news = threading.Event()
        self._closed = False
        self._on_connection = on_connection

    @property
    def connected(self) -> bool:
        """Whether it is not closed: there is nothing that could break."""
        return not self._closed

    def poll(self, timeout: float) -> Snapshot | None:
        """Wait for the next snapshot; see `StoreWatch`."""
        self._on_connection(True)
        if self._store.revision == self._revision:
            self._news.wait(timeout)
        self._news.clear()
        if self._closed:
            raise ClosedError("watch")
        if self._store.revision == self._revision:
            return None
        snapshot = self._store.read(self._layers, timeout=timeout)
        self._revision = snapshot.revision
        return snapshot

    def wake(self) -> None:
        """Make `poll` look again."""
        self._news.set()

    def close(self) -> None:
        """End it."""
        self._closed = True
        self._news.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._on_connection(False)


@dataclass(frozen=True, slots=True)
class _Row:
    key: bytes
    value: bytes = field(repr=False)
    create_revision: int
    mod_revision: int
    version: int
    lease: int


_shared: Registry[str, MemoryStore] = Registry()


def _key(key: str | bytes) -> bytes:
    if not key:
        raise ConfigurationError("A key has at least one character: etcd refuses an empty one.")
    return encode_key(key)

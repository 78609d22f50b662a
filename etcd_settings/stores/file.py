"""
Keep entries in a file: one TOML, JSON or YAML document in place of etcd, for work without one.

The document's tree becomes entries as `spelling` has it, so that a source reads the same from the file as from an etcd
into which the file was pushed. Keys are paths in the file, ``database/host``.

Revisions are counted here: the first content is revision 1, and each that differs is one more; an entry keeps its
revision while its value stays. They mean nothing to anybody else.

Invariant: what was read last is one frozen value, replaced as a whole; a file that cannot be read changes nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from etcd_settings.documents import SUFFIXES, parse, split_suffix
from etcd_settings.entries import Entries, Entry
from etcd_settings.errors import ClosedError, ConfigurationError, ConflictError, UnavailableError
from etcd_settings.forks import tell_after_fork
from etcd_settings.keys import encode_key
from etcd_settings.snapshot import Snapshot
from etcd_settings.spelling import flatten

__all__ = ["FileStore"]

_POLL = 0.5
"""Seconds between two looks at a file that is watched. A look costs a few microseconds."""


@dataclass(frozen=True, slots=True)
class _Row:
    key: bytes
    value: bytes = field(repr=False)
    create_revision: int
    mod_revision: int
    version: int
    lease: int = 0


@dataclass(frozen=True, slots=True)
class _State:
    content: bytes | None = field(default=None, repr=False)
    revision: int = 0
    rows: Mapping[str, _Row] = field(default_factory=dict)


class FileStore:
    """
    A file as a store, read whole at every read.

    Thread-safe: two threads that read at once may both read the file.

    Args:
        path: The file; its suffix says how it is written.

    Raises:
        ConfigurationError: The suffix says nothing.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        if not split_suffix(self.path.name)[1]:
            raise ConfigurationError(
                f"{path!r} does not say how it is written. Give it one of the suffixes {', '.join(SUFFIXES)}."
            )
        self._state = _State()
        self._lock = threading.Lock()  # held for a few steps in memory
        tell_after_fork(self)

    @property
    def endpoint(self) -> str | None:
        """The file's path."""
        return str(self.path)

    def read(self, layers: Mapping[str, str], *, timeout: float) -> Snapshot:  # noqa: ARG002  # nothing to wait for
        """
        Read the file, and give what is under all layers.

        Raises:
            UnavailableError: There is no such file, or it may not be read.
            DecodeError: It is not what its suffix promises.
            ConflictError: It holds no table, but a single value.
            ConfigurationError: A name in it cannot be a key.
        """
        state = self._read()
        entries = {
            layer: Entries(
                [row for path, row in state.rows.items() if path.startswith(prefix)], prefix=prefix, layer=layer
            )
            for layer, prefix in layers.items()
        }
        return Snapshot(entries, state.revision)

    def watch(self, layers: Mapping[str, str], since: Snapshot, *, on_connection: Callable[[bool], None]) -> FileWatch:
        """Look at the file twice a second."""
        return FileWatch(self, layers, since, on_connection)

    def stamp(self) -> tuple[int, ...] | None:
        """Give what changes when the file is written or replaced; None without a file."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def close(self) -> None:
        """Do nothing: the file is open only while it is read."""

    def after_fork(self) -> None:
        """Replace the lock, which a thread of the parent may have held."""
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<FileStore {str(self.path)!r}>"

    def _read(self) -> _State:
        content = self._content()
        state = self._state
        if content == state.content:
            return state
        leaves = self._leaves(content)
        with self._lock:  # two threads that found different contents must not count them as one revision
            if content != self._state.content:
                self._state = _next(self._state, content, leaves)
            return self._state

    def _leaves(self, content: bytes) -> Mapping[str, str | bytes]:
        tree = parse(self.path.name, Entry(str(self.path), content))
        if tree is None:  # an empty YAML file
            tree = {}
        if not isinstance(tree, dict):
            raise ConflictError([str(self.path)], "it holds a single value, and settings are a table")
        return flatten(tree)

    def _content(self) -> bytes:
        try:
            return self.path.read_bytes()
        except OSError as e:
            reason = (e.strerror or type(e).__name__).lower()
        raise UnavailableError({str(self.path): reason}, action="reading the settings file")


class FileWatch:
    """Waits until the file is another one."""

    def __init__(
        self, store: FileStore, layers: Mapping[str, str], since: Snapshot, on_connection: Callable[[bool], None]
    ) -> None:
        self._store, self._layers, self._revision = store, layers, since.revision
        self._on_connection = on_connection
        self._stamp: tuple[int, ...] | None = ()  # unlike any: what was written since the snapshot must not be missed
        self._closed = threading.Event()

    @property
    def connected(self) -> bool:
        """Whether there is a file to look at."""
        return self._stamp is not None and not self._closed.is_set()

    def poll(self, timeout: float) -> Snapshot | None:
        """Wait for the next snapshot; see `StoreWatch`."""
        deadline = time.monotonic() + timeout
        while not self._closed.is_set():
            stamp = self._store.stamp()
            if stamp != self._stamp:
                self._stamp = stamp
                snapshot = self._store.read(self._layers, timeout=timeout)
                self._on_connection(True)
                if snapshot.revision != self._revision:
                    self._revision = snapshot.revision
                    return snapshot
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._closed.wait(min(_POLL, left))
        raise ClosedError("watch")

    def close(self) -> None:
        """End it."""
        self._closed.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._on_connection(False)


def _next(state: _State, content: bytes, leaves: Mapping[str, str | bytes]) -> _State:
    revision = state.revision + 1
    rows = {path: _row(path, text, revision, state.rows.get(path)) for path, text in leaves.items()}
    return _State(content, revision, rows)


def _row(path: str, text: str | bytes, revision: int, old: _Row | None) -> _Row:
    value = text if isinstance(text, bytes) else text.encode()
    if old is None:
        return _Row(encode_key(path), value, revision, revision, 1)
    if old.value == value:
        return old
    return _Row(old.key, value, old.create_revision, revision, old.version + 1)

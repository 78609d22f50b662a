"""
Hold what etcd held at one revision.

An `Entry` is one key with its value; a `Snapshot` is every entry under the layers of a source, at one revision. Both
are frozen and do no I/O; change is the replacement of one reference.

A snapshot of 10,000 keys is read far more often as a tree than entry by entry, and building 10,000 entries costs more
than parsing the answer that they came in. So entries are made when somebody looks at one: until then the rows stay as
the store delivered them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from etcd_settings.errors import DecodeError
from etcd_settings.keys import ALL_KEYS, decode_key, encode_key, range_end

__all__ = ["Entries", "Entry", "PlainRow", "Row", "Snapshot"]

_MAX_PATCH = 1_000
"""Changes that entries carry besides their rows. Copying so many costs about as much as one small settings model."""


class Row(Protocol):
    """One key as a store delivers it; protobuf's ``mvccpb.KeyValue`` is one."""

    @property
    def key(self) -> bytes: ...
    @property
    def value(self) -> bytes: ...
    @property
    def create_revision(self) -> int: ...
    @property
    def mod_revision(self) -> int: ...
    @property
    def version(self) -> int: ...
    @property
    def lease(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One key with its value and revisions, as etcd held it.

    Args:
        key: The whole key; bytes that are no UTF-8 come as surrogate escapes.

        value: The value's bytes.

        layer: The prefix below the source's that it was read under; ``""`` for a source without layers.

        create_revision: The revision that created the key.

        mod_revision: The revision that last wrote it.

        version: How often it was written since it was created.

        lease: The id of its lease; 0 without one.

    Frozen, and therefore safe to share between threads.
    """

    key: str
    value: bytes = field(repr=False)
    layer: str = ""
    create_revision: int = 0
    mod_revision: int = 0
    version: int = 0
    lease: int = 0

    @property
    def text(self) -> str:
        """
        The value as UTF-8 text.

        Raises:
            DecodeError: The value is not UTF-8.
        """
        try:
            return self.value.decode()
        except UnicodeDecodeError as e:
            error = DecodeError(self.key, "UTF-8 text", f"byte {e.start}")
        raise error  # outside the handler, so that no context holds the value

    @classmethod
    def from_row(cls, row: Row, layer: str = "") -> Entry:
        """Copy a store's row."""
        return cls(decode_key(row.key), row.value, layer, row.create_revision, row.mod_revision, row.version, row.lease)


class PlainRow(NamedTuple):
    """A row that no store delivered: made from an entry."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int

    @classmethod
    def from_entry(cls, entry: Entry) -> PlainRow:
        """Copy an entry."""
        return cls(
            encode_key(entry.key),
            entry.value,
            entry.create_revision,
            entry.mod_revision,
            entry.version,
            entry.lease,
        )


class Entries(Mapping[str, Entry]):
    """
    The entries of one layer, path → entry, each made when it is first looked at.

    Args:
        rows: What a store delivered: every key below *prefix*, each once. It is kept, so it must not change later.

        prefix: The whole prefix of the layer; what follows it in a key is the path.

        layer: The layer's name.

    Safe to share between threads: two that look at one path at the same time may make two entries, equal ones.
    """

    __slots__ = ("_base", "_layer", "_made", "_patch", "prefix")

    def __init__(self, rows: Iterable[Row], *, prefix: str = "", layer: str = "") -> None:
        self._base = _Base(rows if isinstance(rows, Sequence) else list(rows), len(encode_key(prefix)))
        self._patch: Mapping[str, Row | None] = {}  # what was written (or, None, deleted) since the base was read
        self._made: dict[str, Entry] = {}
        self.prefix, self._layer = prefix, layer

    def evolve(self, changes: Mapping[str, Entry | None]) -> Entries:
        """
        Give these entries after some were written, or deleted where the change is None.

        What stays is shared, so that the cost is that of the changes, and of those since the last bulk read: every
        thousand changes or so all rows are put in order once.
        """
        written = {path: None if entry is None else PlainRow.from_entry(entry) for path, entry in changes.items()}
        evolved = Entries((), prefix=self.prefix, layer=self._layer)
        evolved._base, evolved._patch = self._base, {**self._patch, **written}
        if len(evolved._patch) > _MAX_PATCH:
            evolved._base, evolved._patch = _Base(sorted(evolved.rows, key=_key), self._base.start), {}
        return evolved

    @property
    def rows(self) -> Sequence[Row]:
        """All rows, as the store delivered them or as they were written since."""
        if not self._patch:
            return self._base.rows
        kept = [row for path, row in self._base.index.items() if path not in self._patch]
        return kept + [row for row in self._patch.values() if row is not None]

    def rows_below(self, path: str) -> Sequence[Row]:
        """Give the rows of all keys below *path*; costs those, not all."""
        below = path + "/"
        found = self._base.starting_with(encode_key(self.prefix + below))
        kept = (row for row in found if self._path(row) not in self._patch)
        return [*kept, *(row for other, row in self._patch.items() if row is not None and other.startswith(below))]

    def row(self, path: str) -> Row:
        """Give the store's row for *path*; a `KeyError` if there is none."""
        row = self._patch[path] if path in self._patch else self._base.index[path]
        if row is None:
            raise KeyError(path)
        return row

    def changed_since(self, older: Entries) -> Iterator[str]:
        """Give the paths that differ from *older*; costs only what changed if the one evolved from the other."""
        paths = (
            {**self._patch, **older._patch}
            if self._base is older._base
            else {**dict.fromkeys(self), **dict.fromkeys(older)}
        )
        return (path for path in paths if not _same(self, older, path))

    def _path(self, row: Row) -> str:
        return decode_key(row.key[self._base.start :])

    def __getitem__(self, path: str) -> Entry:
        made = self._made.get(path)
        if made is None:
            made = self._made[path] = Entry.from_row(self.row(path), self._layer)
        return made

    def __iter__(self) -> Iterator[str]:
        if not self._patch:
            return iter(self._base.index)
        written = (path for path, row in self._patch.items() if row is not None)
        return chain((path for path in self._base.index if path not in self._patch), written)

    def __len__(self) -> int:
        added = sum((row is not None) - (path in self._base.index) for path, row in self._patch.items())
        return len(self._base.rows) + added

    def __contains__(self, path: object) -> bool:
        if isinstance(path, str) and path in self._patch:
            return self._patch[path] is not None
        return path in self._base.index

    def __repr__(self) -> str:
        return f"<Entries layer={self._layer!r} of {len(self)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)  # a plain mapping is just as good, and does not carry the store's rows


class _Base:
    """The rows of one bulk read, with what is known of their order; shared by all entries that evolved from them."""

    __slots__ = ("_in_order", "_index", "rows", "start")

    def __init__(self, rows: Sequence[Row], start: int) -> None:
        self.rows, self.start = rows, start
        self._index: Mapping[str, Row] | None = None
        self._in_order: Sequence[Row] | None = None

    @property
    def index(self) -> Mapping[str, Row]:
        if self._index is None:
            self._index = {decode_key(row.key[self.start :]): row for row in self.rows}
        return self._index

    def starting_with(self, prefix: bytes) -> Sequence[Row]:
        """Give the rows whose keys start with *prefix*."""
        if self._in_order is None:
            self._in_order = sorted(self.rows, key=_key)  # etcd's are in order already; nobody else has to sort
        rows, end = self._in_order, range_end(prefix)
        stop = len(rows) if end == ALL_KEYS else bisect_left(rows, end, key=_key)
        return rows[bisect_left(rows, prefix, key=_key) : stop]


@dataclass(frozen=True, eq=False, repr=False)
class Snapshot(Mapping[str, Entry]):
    """
    Every entry under a source's layers at one revision.

    As a mapping it shows the winners, path → entry: of several layers that hold a path, the last. Equality,
    `changed_since` and the settings tree look at all entries, not at the winners alone; the order in which entries came
    makes no difference, and neither does the revision.

    Args:
        layers: Layer → path → entry, lowest layer first.

        revision: The revision at which etcd held exactly this.

        cluster_id: Which cluster it came from; 0 for stores that are none.

    Frozen, and therefore safe to share between threads. Nothing is computed ahead or kept: a lock around a cache would
    be one more thing that a fork may find held.
    """

    layers: Mapping[str, Mapping[str, Entry]]
    revision: int
    cluster_id: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", MappingProxyType(dict(self.layers)))

    def __getitem__(self, path: str) -> Entry:
        for layer in reversed([*self.layers.values()]):
            if path in layer:
                return layer[path]
        raise KeyError(path)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(chain.from_iterable(self.layers.values())))  # each path once, in a stable order

    def __len__(self) -> int:
        if len(self.layers) == 1:
            return sum(map(len, self.layers.values()))
        return len(set(chain.from_iterable(self.layers.values())))

    def __contains__(self, path: object) -> bool:
        return any(path in layer for layer in self.layers.values())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Snapshot):
            return NotImplemented
        return [*self.layers] == [*other.layers] and not self.changed_since(other)

    def changed_since(self, older: Snapshot) -> frozenset[str]:
        """Give the paths whose entry differs from the one in *older*, in any layer, or is only in one of the two."""
        names = {**self.layers, **older.layers}
        return frozenset(
            path for name in names for path in _differing(self.layers.get(name, {}), older.layers.get(name, {}))
        )

    def evolve(self, revision: int, changes: Mapping[str, Mapping[str, Entry | None]]) -> Snapshot:
        """
        Give this snapshot at a later revision.

        Args:
            revision: The revision.

            changes: Layer → path → the entry that was written, or None where it was deleted.
        """
        layers = {layer: _evolve(entries, changes.get(layer, {})) for layer, entries in self.layers.items()}
        return Snapshot(layers, revision, self.cluster_id)

    def __repr__(self) -> str:
        return f"<Snapshot at revision {self.revision}: {len(self)} entries in layers {list(self.layers)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Snapshot, (dict(self.layers), self.revision, self.cluster_id)


def _evolve(entries: Mapping[str, Entry], changes: Mapping[str, Entry | None]) -> Mapping[str, Entry]:
    if not changes:
        return entries
    if isinstance(entries, Entries):
        return entries.evolve(changes)
    return {path: entry for path, entry in {**entries, **changes}.items() if entry is not None}


def _differing(new: Mapping[str, Entry], old: Mapping[str, Entry]) -> Iterator[str]:
    if new is old:
        return iter(())
    if isinstance(new, Entries) and isinstance(old, Entries):
        return new.changed_since(old)
    return (path for path in {**dict.fromkeys(new), **dict.fromkeys(old)} if new.get(path) != old.get(path))


def _same(new: Entries, old: Entries, path: str) -> bool:
    if path not in new or path not in old:
        return path not in new and path not in old
    mine, theirs = new.row(path), old.row(path)
    if mine is theirs or (type(mine) is type(theirs) and mine == theirs):
        return True  # for protobuf's rows one call in C, where two entries would have to be made
    return new[path] == old[path]


def _key(row: Row) -> bytes:
    return row.key

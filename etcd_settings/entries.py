"""
Hold the entries of one layer: keys with their values and revisions, as etcd held them.

10,000 entries are read far more often as a tree than one by one, and making them costs more than parsing the answer
that they came in. So entries are made when somebody looks at one; until then the rows stay as the store delivered them.

It knows keys, values and revisions. It knows nothing of other layers and of what the values mean.

Invariant: everything here is frozen, and reading it does no I/O. Change is a new object, which shares what stays.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple, Protocol

from etcd_settings.errors import DecodeError
from etcd_settings.keys import ALL_KEYS, decode_key, encode_key, range_end

__all__ = ["Entries", "Entry", "Row"]

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


class _PlainRow(NamedTuple):
    """A row that no store delivered: made from an entry."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int

    @classmethod
    def from_entry(cls, entry: Entry) -> _PlainRow:
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
        written = {path: None if entry is None else _PlainRow.from_entry(entry) for path, entry in changes.items()}
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


def _same(new: Entries, old: Entries, path: str) -> bool:
    if path not in new or path not in old:
        return path not in new and path not in old
    mine, theirs = new.row(path), old.row(path)
    if mine is theirs or (type(mine) is type(theirs) and mine == theirs):
        return True  # for protobuf's rows one call in C, where two entries would have to be made
    return new[path] == old[path]


def _key(row: Row) -> bytes:
    return row.key

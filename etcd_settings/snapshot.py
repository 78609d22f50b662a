"""
Hold what etcd held at one revision.

An `Entry` is one key with its value; a `Snapshot` is every entry under the layers of a source, at one revision. Both
are frozen and do no I/O; change is the replacement of one reference.

A snapshot of 10,000 keys is read far more often as a tree than entry by entry, and building 10,000 entries costs more
than parsing the answer that they came in. So entries are made when somebody looks at one: until then the rows stay as
the store delivered them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from types import MappingProxyType
from typing import Any, Protocol

from etcd_settings.errors import DecodeError
from etcd_settings.keys import decode_key, encode_key

__all__ = ["Entries", "Entry", "Row", "Snapshot"]


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


class Entries(Mapping[str, Entry]):
    """
    The entries of one layer, path → entry, each made when it is first looked at.

    Args:
        rows: What a store delivered: every key below *prefix*, each once. It is kept, so it must not change later.

        prefix: The whole prefix of the layer; what follows it in a key is the path.

        layer: The layer's name.

    Safe to share between threads: two that look at one path at the same time may make two entries, equal ones.
    """

    __slots__ = ("_index", "_layer", "_made", "prefix", "rows")

    def __init__(self, rows: Iterable[Row], *, prefix: str = "", layer: str = "") -> None:
        self.rows: Sequence[Row] = rows if isinstance(rows, Sequence) else list(rows)
        self.prefix = prefix
        self._layer = layer
        self._index: Mapping[str, Row] | None = None
        self._made: dict[str, Entry] = {}

    def row(self, path: str) -> Row:
        """Give the store's row for *path*; a `KeyError` if there is none."""
        return self._rows_by_path()[path]

    def _rows_by_path(self) -> Mapping[str, Row]:
        if self._index is None:
            start = len(encode_key(self.prefix))
            self._index = {decode_key(row.key[start:]): row for row in self.rows}
        return self._index

    def __getitem__(self, path: str) -> Entry:
        made = self._made.get(path)
        if made is None:
            made = self._made[path] = Entry.from_row(self.row(path), self._layer)
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows_by_path())

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, path: object) -> bool:
        return path in self._rows_by_path()

    def __repr__(self) -> str:
        return f"<Entries layer={self._layer!r} of {len(self)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)  # a plain mapping is just as good, and does not carry the store's rows


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

    def __repr__(self) -> str:
        return f"<Snapshot at revision {self.revision}: {len(self)} entries in layers {list(self.layers)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Snapshot, (dict(self.layers), self.revision, self.cluster_id)


def _differing(new: Mapping[str, Entry], old: Mapping[str, Entry]) -> Iterator[str]:
    if new is old:
        return
    yield from (path for path in new if path not in old or not _equal(new, old, path))
    yield from (path for path in old if path not in new)


def _equal(new: Mapping[str, Entry], old: Mapping[str, Entry], path: str) -> bool:
    if isinstance(new, Entries) and isinstance(old, Entries) and new.row(path) == old.row(path):
        return True  # for protobuf's rows one call in C, where two entries would have to be made
    return new[path] is old[path] or new[path] == old[path]

"""
Hold what etcd held at one revision.

A `Snapshot` is every entry under the layers of a source, at one revision of etcd.

It knows layers, and which of them wins. What the entries make as settings is the tree's business.

Invariant: a snapshot never changes, and reading it does no I/O; change is the replacement of one reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import Any

from etcd_settings.entries import Entries, Entry, Row
from etcd_settings.errors import ConfigurationError

__all__ = ["Entries", "Entry", "Row", "Snapshot"]


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

    def only(self, layer: str | None = None) -> Snapshot:
        """
        Give this snapshot with one of its layers alone.

        Args:
            layer: Which; None will do if there is but one.

        Raises:
            ConfigurationError: There is no such layer, or there are several and none was named.
        """
        name = next(iter(self.layers)) if layer is None and len(self.layers) == 1 else layer
        if name is None or name not in self.layers:
            found = "None of several layers was chosen" if layer is None else f"There is no layer {layer!r}"
            known = ", ".join(map(repr, filter(None, self.layers)))
            mend = f"name one of {known}" if known else "the source has none, so name none"
            raise ConfigurationError(f"{found}: {mend}.", subject=layer)
        return Snapshot({name: self.layers[name]}, self.revision, self.cluster_id)

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

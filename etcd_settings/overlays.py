"""
Show settings that etcd does not hold, for a while.

An overlay is one more layer above all others. So it merges as layers do, deep and path by path, it is explained as
layers are, and when it goes, what it covered is there again.

It knows layers and snapshots. Who wants to show what is somebody else's business: `etcd_settings.testing.override`.

Invariant: a snapshot shows an overlay whole or not at all. The layers are in one dict, of which single operations are
atomic; so there is no lock, and nothing to be inherited locked by a child process.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from etcd_settings.snapshot import Entry, Snapshot

__all__ = ["Overlays"]


class Overlays:
    """The overlays of one source, the last one on top. Thread-safe."""

    def __init__(self) -> None:
        self._layers: dict[object, Mapping[str, Entry]] = {}

    @contextmanager
    def add(self, layer: Mapping[str, Entry]) -> Generator[None]:
        """Show *layer* until the block is left, in whatever order those of others are."""
        mine = object()
        self._layers[mine] = layer
        try:
            yield
        finally:
            del self._layers[mine]

    def show(self, snapshot: Snapshot) -> Snapshot:
        """Give *snapshot* with the overlays on it; the same object if there are none."""
        layers = [*self._layers.values()]
        if not layers:
            return snapshot
        # Layers of a source end with a slash, but for the one that is empty: these names are nobody's.
        named = {f"override {number}": layer for number, layer in enumerate(layers, 1)}
        return Snapshot({**snapshot.layers, **named}, snapshot.revision, snapshot.cluster_id)

"""Snapshots for the tests of fitting, written down as they would be in etcd, in whatever order."""

from __future__ import annotations

from collections.abc import Mapping

from etcd_settings.snapshot import Entry, Snapshot


def snapshot(*layers: Mapping[str, str | bytes]) -> Snapshot:
    """Lay them under ``/config/app/``, lowest first; several are called ``layer0/``, ``layer1/`` and so on."""
    named = {f"layer{number}/" if len(layers) > 1 else "": layer for number, layer in enumerate(layers)}
    return Snapshot({name: _entries(name, layer) for name, layer in named.items()}, 7)


def _entries(name: str, layer: Mapping[str, str | bytes]) -> dict[str, Entry]:
    return {
        path: Entry(f"/config/app/{name}{path}", value.encode() if isinstance(value, str) else value, name, 1, 7)
        for path, value in layer.items()
    }

"""Make entries, rows and snapshots in one short line each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from etcd_settings.snapshot import Entries, Entry, Row, Snapshot

PREFIX = "/config/app/"

Value = str | bytes


@dataclass(frozen=True)
class PlainRow:
    """A store's row, as plain as they come."""

    key: bytes
    value: bytes
    create_revision: int = 1
    mod_revision: int = 1
    version: int = 1
    lease: int = 0


def make_row(path: str, value: Value = "", *, prefix: str = PREFIX, revision: int = 1) -> PlainRow:
    key = (prefix + path).encode("utf-8", "surrogateescape")
    return PlainRow(key, value.encode() if isinstance(value, str) else value, mod_revision=revision)


def make_entry(path: str, value: Value = "", *, layer: str = "", revision: int = 1) -> Entry:
    return Entry.from_row(make_row(path, value, prefix=PREFIX + layer, revision=revision), layer)


def make_entries(values: Mapping[str, Value], *, layer: str = "") -> Entries:
    """Make what a store would deliver: rows, sorted by key, and no entry yet."""
    prefix = PREFIX + layer
    rows: list[Row] = sorted((make_row(path, value, prefix=prefix) for path, value in values.items()), key=_key)
    return Entries(rows, prefix=prefix, layer=layer)


def make_snapshot(values: Mapping[str, Value], *, revision: int = 1) -> Snapshot:
    """Make a snapshot without layers, which is one layer named ``""``."""
    return Snapshot({"": make_entries(values)}, revision)


def make_layers(layers: Mapping[str, Mapping[str, Value]], *, revision: int = 1) -> Snapshot:
    return Snapshot({layer: make_entries(values, layer=layer) for layer, values in layers.items()}, revision)


def _key(row: Row) -> bytes:
    return row.key

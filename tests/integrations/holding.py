"""Shared sources in memory, ``memory://…/config/app/``, that hold what a test says; they are closed when it ends."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import uuid4

from etcd_settings.source import Source
from etcd_settings.stores.memory import MemoryStore


def held(paths: Mapping[str, str | bytes], *, layers: tuple[str, ...] = ("",)) -> Source:
    """Make a source that holds these paths."""
    source = Source.shared(f"memory://{uuid4()}/config/app/", layers=layers)
    for path, value in paths.items():
        put(source, path, value)
    return source


def put(source: Source, path: str, value: str | bytes) -> None:
    assert isinstance(source.store, MemoryStore)
    source.store.put(f"/config/app/{path}", value)

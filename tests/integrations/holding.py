"""What the tests of the adapters share: settings that are quick to write down, and a source that reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol
from uuid import uuid4

import pytest

from etcd_settings.source import Source
from etcd_settings.stores.memory import MemoryStore


class Held(Protocol):
    """Make a shared source, ``memory://…/config/app/``, that holds these paths; later keywords are the source's."""

    def __call__(self, paths: Mapping[str, str | bytes], /, *, layers: tuple[str, ...] = ...) -> Source: ...


@pytest.fixture
def held() -> Iterator[Held]:
    made: list[Source] = []

    def make(paths: Mapping[str, str | bytes], /, *, layers: tuple[str, ...] = ("",)) -> Source:
        source = Source.shared(f"memory://{uuid4()}/config/app/", layers=layers)
        made.append(source)
        for path, value in paths.items():
            put(source, path, value)
        return source

    yield make
    for source in made:
        source.close()


def put(source: Source, path: str, value: str | bytes) -> None:
    """Write into the store of a source that `held` made."""
    assert isinstance(source.store, MemoryStore)
    source.store.put(f"/config/app/{path}", value)

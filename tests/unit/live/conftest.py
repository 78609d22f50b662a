"""An application for each test."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from etcd_settings import Source
from etcd_settings.stores.memory import MemoryStore
from tests.living import App

_numbers = count()


@pytest.fixture
def app() -> Iterator[App]:
    name = f"live-{next(_numbers)}"
    with Source(f"memory://{name}/config/app/") as source:
        yield App(source, MemoryStore.shared(name))

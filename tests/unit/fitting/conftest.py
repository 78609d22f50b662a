"""What the tests of fitting share: snapshots written down as they would be in etcd."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import pytest

from etcd_settings.snapshot import Entry, Snapshot


class MakeSnapshot(Protocol):
    """Make a snapshot of one mapping a layer, lowest first; values are texts or bytes."""

    def __call__(self, *layers: Mapping[str, str | bytes]) -> Snapshot: ...


@pytest.fixture
def snapshot() -> MakeSnapshot:
    """Under the prefix ``/config/app/``; several layers are called ``layer0/``, ``layer1/`` and so on."""

    def make(*layers: Mapping[str, str | bytes]) -> Snapshot:
        named = {f"layer{number}/" if len(layers) > 1 else "": layer for number, layer in enumerate(layers)}
        return Snapshot(
            {
                name: {
                    path: Entry(
                        f"/config/app/{name}{path}", value.encode() if isinstance(value, str) else value, name, 1, 7
                    )
                    for path, value in layer.items()
                }
                for name, layer in named.items()
            },
            7,
        )

    return make

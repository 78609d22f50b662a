"""What the tests of the client share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from etcd_settings.etcd import Client
from etcd_settings.testing import EtcdServer


@pytest.fixture
def client(etcd_server: EtcdServer) -> Iterator[Client]:
    with Client(etcd_server.url) as client:
        yield client


@pytest.fixture
def calls(etcd_server: EtcdServer) -> Callable[[], int]:
    """Count, by the server's own metrics, the reads and transactions that it has handled."""

    def count() -> int:
        handled = etcd_server.metrics()
        return sum(
            int(value)
            for name, value in handled.items()
            if name.startswith("grpc_server_handled_total") and ('"Range"' in name or '"Txn"' in name)
        )

    return count

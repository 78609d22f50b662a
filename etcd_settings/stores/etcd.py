"""Keep entries in etcd."""

from __future__ import annotations

from collections.abc import Mapping

from etcd_settings.connection import Connection
from etcd_settings.etcd import Client
from etcd_settings.snapshot import Snapshot

__all__ = ["EtcdStore"]


class EtcdStore:
    """
    An etcd cluster as a store.

    Thread-safe. Nothing is opened before the first read.

    Args:
        connection: Where the cluster is, and who we are.
    """

    def __init__(self, connection: Connection) -> None:
        self.client = Client(connection)

    @property
    def endpoint(self) -> str | None:
        """The endpoint that served last, or will be asked first."""
        return self.client.endpoint

    def read(self, layers: Mapping[str, str], *, timeout: float) -> Snapshot:
        """Read all layers at one revision; see `Client.read`."""
        return self.client.read(layers, timeout=timeout)

    def close(self) -> None:
        """Drop all connections."""
        self.client.close()

    def __repr__(self) -> str:
        return f"<EtcdStore at {', '.join(self.client.connection.endpoints)}>"

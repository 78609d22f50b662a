"""Fill a real etcd below the application's prefix, and say what it holds there, in one line each."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from etcd_settings.etcd import Client, Put
from etcd_settings.testing import EtcdServer


def fill(server: EtcdServer, keys: Mapping[str, str | bytes], *, below: str = "") -> int:
    """Write all keys, a hundred in each transaction, and give the last one's revision."""
    puts = (Put(server.prefix + below + path, value) for path, value in keys.items())
    revision = 0
    with Client(server.url) as client:
        while some := [*islice(puts, 100)]:
            revision = client.txn(success=some).revision
    return revision


def held(server: EtcdServer, *, below: str = "") -> dict[str, bytes]:
    with Client(server.url) as client:
        return {path: entry.value for path, entry in client.get_prefix(server.prefix + below).items()}

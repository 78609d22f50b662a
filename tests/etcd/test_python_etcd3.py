"""A python-etcd3 client that somebody already has serves a source, also when its server dies under it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from etcd_settings import Source
from etcd_settings.connection import Connection
from etcd_settings.errors import (
    AuthenticationError,
    ClosedError,
    CompactedError,
    ConfigurationError,
    PermissionDeniedError,
    UnavailableError,
)
from etcd_settings.etcd import Client, Put
from etcd_settings.stores import python_etcd3
from etcd_settings.stores.python_etcd3 import Etcd3Client, PythonEtcd3Store
from etcd_settings.testing import EtcdServer
from tests.conftest import import_etcd3
from tests.waiting import eventually

APP = "/config/app/"


@contextmanager
def guest(server: EtcdServer, **options: object) -> Iterator[Etcd3Client]:
    host, port = server.endpoint.split(":")
    with import_etcd3().client(host, int(port), **options) as client:
        yield client


def test_what_is_no_such_client_is_refused() -> None:
    """The mistake is told where it was made, with what is lacking."""
    with pytest.raises(ConfigurationError, match="SimpleNamespace has no 'timeout'"):
        PythonEtcd3Store(SimpleNamespace(channel=None))


def test_layers_come_at_one_revision_and_pages_are_pinned(etcd_server: EtcdServer, etcd3_client: Etcd3Client) -> None:
    """More keys than one page, in two layers: everything at one revision, of the cluster that it came from."""
    with Client(etcd_server.url) as client:
        for start in range(0, 10_100, 100):
            client.txn(success=[written(f"common/k{number}") for number in range(start, start + 100)])
        last = client.put(APP + "own/a", "1")
        truth = client.read({"common/": APP + "common/", "own/": APP + "own/"})

    with Source(store=PythonEtcd3Store(etcd3_client), prefix=APP, layers=["common/", "own/"]) as source:
        snapshot = source.snapshot()

    assert truth == snapshot
    assert (last, truth.cluster_id) == (snapshot.revision, snapshot.cluster_id)
    assert 10_101 == len(snapshot)


def written(path: str) -> Put:
    return Put(APP + path, "x")


def test_a_server_that_dies_is_survived(etcd_server: EtcdServer) -> None:
    """The guest's watch dies with it; the reflector reads everything again, and what was written meanwhile comes."""
    with Client(etcd_server.url) as client, guest(etcd_server, timeout=2) as etcd3:
        client.put(APP + "a", "1")
        with Source(store=PythonEtcd3Store(etcd3), prefix=APP) as source, source.watch() as snapshots:
            assert "1" == next(snapshots)["a"].text
            eventually(lambda: source.status().state == "live")
            etcd_server.kill()
            eventually(lambda: source.status().state == "stale")
            assert "1" == source.snapshot()["a"].text
            etcd_server.start()
            client.put(APP + "a", "2")

            assert "2" == next(snapshots)["a"].text
            client.put(APP + "a", "3")
            assert "3" == next(snapshots)["a"].text
        assert "3" == etcd3_text(etcd3, APP + "a")  # it is still open, and its owner's


def test_a_server_that_freezes_is_noticed(etcd_server: EtcdServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection stands, and nobody PINGs it; being asked after some silence gives it away."""
    monkeypatch.setattr(python_etcd3, "_SILENCE", 0.5)
    with (
        Client(etcd_server.url) as client,
        guest(etcd_server, timeout=2) as etcd3,
        Source(store=PythonEtcd3Store(etcd3), prefix=APP) as source,
        source.watch() as snapshots,
    ):
        next(snapshots)
        eventually(lambda: source.status().state == "live")
        etcd_server.pause()
        eventually(lambda: source.status().state == "stale")
        etcd_server.resume()
        client.put(APP + "a", "1")

        assert "1" == next(snapshots)["a"].text


def etcd3_text(client: Etcd3Client, key: str) -> str:
    value: bytes = client.get(key)[0]  # type: ignore[attr-defined]  # the guest's own method
    return value.decode()


def test_users_and_roles_count() -> None:
    """With its token it may read its own, and what it may not is told with the command that grants it."""
    with EtcdServer(auth=True) as server:
        with Client(server.root_url) as client:
            client.put(APP + "a", "1")
        who = Connection.from_url(server.url)
        with guest(server, user=who.user, password=who.password) as etcd3:
            store = PythonEtcd3Store(etcd3)
            assert "1" == store.read({"": APP}, timeout=5)["a"].text
            with pytest.raises(PermissionDeniedError, match="grant-permission"):
                store.read({"": "/other/"}, timeout=5)
        with guest(server) as nobody, pytest.raises(AuthenticationError):
            PythonEtcd3Store(nobody).read({"": APP}, timeout=5)


def test_history_that_is_gone_is_told(etcd_server: EtcdServer, etcd3_client: Etcd3Client) -> None:
    """Compacted while nobody watched: `CompactedError`, so that the reflector reads everything again."""
    store = PythonEtcd3Store(etcd3_client)
    with Client(etcd_server.url) as client:
        client.put(APP + "a", "1")
        since = store.read({"": APP}, timeout=5)
        etcd_server.compact(client.put(APP + "a", "2"), physical=True)

    with store.watch({"": APP}, since, on_connection=lambda _: None) as watch, pytest.raises(CompactedError):
        watch.poll(20)


def test_nobody_there_and_a_closed_client_are_told(etcd_server: EtcdServer) -> None:
    """An outage names the endpoint; a channel that its owner closed is a `ClosedError`."""
    etcd3 = import_etcd3()
    with etcd3.client("127.0.0.1", 1, timeout=1) as client, pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1"):
        PythonEtcd3Store(client).read({"": APP}, timeout=1)
    with pytest.raises(ClosedError):
        PythonEtcd3Store(client).read({"": APP}, timeout=1)

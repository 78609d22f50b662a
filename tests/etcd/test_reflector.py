"""A source that is watched misses nothing, whatever etcd and the line do. Each test is a trap that others fell into."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from etcd_settings import Source
from etcd_settings.connection import Connection
from etcd_settings.errors import PermissionDeniedError
from etcd_settings.etcd import Client, Delete, Put
from etcd_settings.keys import encode_key, range_end
from etcd_settings.reflector import SnapshotIterator
from etcd_settings.snapshot import Snapshot
from etcd_settings.testing import EtcdCluster, EtcdServer, Proxy
from etcd_settings.testing.gateway import to_base64
from tests.waiting import eventually

APP = "/config/app/"


@pytest.fixture
def line(etcd_server: EtcdServer) -> Iterator[Proxy]:
    """The way of the source to etcd; tests write past it."""
    with Proxy(etcd_server.endpoint) as line:
        yield line


@pytest.fixture
def client(etcd_server: EtcdServer) -> Iterator[Client]:
    with Client(etcd_server.root_url) as client:
        yield client


def source_by(line: Proxy, server: EtcdServer, *, layers: Sequence[str] = ("",)) -> Source:
    connection = replace(Connection.from_url(server.url), endpoints=(line.endpoint,))
    return Source(connection=connection, prefix=APP, layers=layers)


def texts(snapshot: Mapping[str, object]) -> dict[str, str]:
    return {path: getattr(entry, "text") for path, entry in snapshot.items()}  # noqa: B009  # Mapping is covariant here


def until(snapshots: SnapshotIterator, wanted: Callable[[Snapshot], object]) -> list[Snapshot]:
    """Collect what comes, up to the first state that is wanted."""
    seen: list[Snapshot] = []
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        snapshot = snapshots.poll(1)
        if snapshot is not None:
            seen.append(snapshot)
            if wanted(snapshot):
                return seen
    pytest.fail(f"it did not come; the last was at {seen[-1].revision if seen else None}")


def permission(prefix: str) -> dict[str, object]:
    key = encode_key(prefix)
    return {"permType": "READ", "key": to_base64(key), "range_end": to_base64(range_end(key))}


def test_a_deletion_that_was_compacted_while_we_were_away(etcd_server: EtcdServer, line: Proxy, client: Client) -> None:
    """Deleted at R + 1, compacted physically at R + 1: a watch from R + 1 would never hear of it (etcd #19179)."""
    client.txn(success=[Put(APP + "a", "1"), Put(APP + "b", "1")])
    with source_by(line, etcd_server) as source, source.watch() as snapshots:
        known = next(snapshots).revision
        line.cut()
        client.delete(APP + "a")
        etcd_server.compact(known + 1, physical=True)
        line.heal()

        assert {"b": "1"} == texts(next(snapshots))


def test_a_quiet_prefix_beside_a_busy_neighbour(etcd_server: EtcdServer, line: Proxy, client: Client) -> None:
    """Its revision ages into compaction. Reading everything again then is no news, and the next change comes."""
    client.put(APP + "a", "1")
    with source_by(line, etcd_server) as source, source.watch() as snapshots:
        first = next(snapshots)
        for round_ in range(3):
            for number in range(20):
                client.put("/neighbour/n", str(number))
            newest = etcd_server.compact()
            line.drop()
            eventually(lambda least=newest: source.status().revision >= least)  # type: ignore[misc]  # a default binds it
            assert None is snapshots.poll(0), round_
        client.put(APP + "a", "2")

        assert {"a": "1"} == texts(first)
        assert {"a": "2"} == texts(next(snapshots))


def test_a_restore_to_an_earlier_revision(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A backup is played in under our feet: its state replaces ours, at its lower revision, and the log tells once."""
    with EtcdServer() as server, Client(server.url) as client:
        saved = client.put(APP + "a", "saved")
        server.backup(tmp_path / "backup")
        for number in range(5):
            client.put(APP + "a", f"lost {number}")
        with Source(server.url) as source, source.watch() as snapshots:
            assert saved < next(snapshots).revision
            server.restore(tmp_path / "backup")

            assert {"a": "saved"} == texts(until(snapshots, lambda s: s.revision <= saved)[-1])
            assert saved == source.snapshot().revision
    assert 1 == sum("restored from a backup" in record.message for record in caplog.records)


def test_a_restored_cluster_that_has_outgrown_us(tmp_path: Path) -> None:
    """Restored, and grown past our revision before we came back: no watch can tell, reading everything again does."""
    with EtcdServer() as server, Client(server.url) as client, Proxy(server.endpoint) as line:
        client.txn(success=[Put(APP + "a", "saved"), Put(APP + "b", "saved")])
        server.backup(tmp_path / "backup")
        client.put(APP + "a", "lost")
        with source_by(line, server) as source, source.watch(relist=1.0) as snapshots:
            assert {"a": "lost", "b": "saved"} == texts(next(snapshots))
            line.cut()
            server.restore(tmp_path / "backup")
            for number in range(10):
                client.put(APP + "c", str(number))
            line.heal()

            last = until(snapshots, lambda s: "a" in s and s["a"].text == "saved")[-1]
            assert {"a": "saved", "b": "saved", "c": "9"} == texts(last)
            assert client.get_prefix(APP) == last


def test_a_revoked_role_is_noticed_and_told(caplog: pytest.LogCaptureFixture) -> None:
    """Etcd goes on telling a watch whose role was revoked. Reading again finds it: an error in log and status."""
    with EtcdServer(auth=True) as server, Client(server.root_url) as client:
        client.put(APP + "a", "1")
        with Source(server.url) as source, source.watch(relist=1.0) as snapshots:
            assert {"a": "1"} == texts(next(snapshots))
            server.call("auth/role/revoke", {"role": "app", **_span(APP)})
            eventually(lambda: isinstance(source.status().error, PermissionDeniedError))
            eventually(lambda: source.status().state == "stale")
            client.put(APP + "a", "not for us")

            assert None is snapshots.poll(1.0)
            assert {"a": "1"} == texts(source.snapshot())
            server.call("auth/role/grant", {"name": "app", "perm": permission(APP)})
            assert {"a": "not for us"} == texts(next(snapshots))
            eventually(lambda: source.status().state == "live")
    assert 1 == sum(record.levelname == "ERROR" for record in caplog.records)
    assert "not for us" not in caplog.text


def test_a_watch_that_is_refused_when_it_is_created() -> None:
    """After a restart etcd 3.5 calls our forgotten token "permission denied": a fresh one, and nothing is missed."""
    with EtcdServer(auth=True) as server, Client(server.root_url) as client:
        client.put(APP + "a", "1")
        with Source(server.url) as source, source.watch() as snapshots:
            next(snapshots)
            for number in range(3):
                eventually(lambda: source.status().state == "live")
                server.restart()
                client.put(APP + "a", str(number))
                assert str(number) == until(snapshots, lambda s, n=number: s["a"].text == str(n))[-1]["a"].text  # type: ignore[misc]  # a default binds it


def test_a_burst_of_20_000_keys(etcd_server: EtcdServer, client: Client) -> None:
    """Each of the transactions that brought them is seen whole, and in the end all are there."""
    with Source(etcd_server.url) as source, source.watch() as snapshots:
        next(snapshots)
        for start in range(0, 20_000, 125):
            client.txn(success=[Put(f"{APP}{number}", str(number)) for number in range(start, start + 125)])
        seen = until(snapshots, lambda s: len(s) == 20_000)

    assert {0} == {len(snapshot) % 125 for snapshot in seen}
    assert client.get_prefix(APP) == seen[-1]


def test_a_backlog_of_6_mib_in_fragments(etcd_server: EtcdServer, line: Proxy, client: Client) -> None:
    """What was written while we were away is more than one message carries; each transaction is seen whole."""
    with source_by(line, etcd_server) as source, source.watch() as snapshots:
        next(snapshots)
        line.cut()
        for round_ in range(5):
            client.txn(success=[Put(f"{APP}{number}", f"{round_}" * 60_000) for number in range(20)])
        line.heal()
        seen = until(snapshots, lambda s: s["0"].text[0] == "4")

    assert {1} == {len({entry.text[0] for entry in snapshot.values()}) for snapshot in seen}
    assert {20} == {len(snapshot) for snapshot in seen}


def write_twins(client: Client, rounds: int, *places: str) -> None:
    for number in range(rounds):
        client.txn(success=[Put(f"{APP}{place}twin", str(number)) for place in places])
        if number % 5 == 4 and number < rounds - 1:
            client.txn(success=[Delete(f"{APP}{place}twin") for place in places])


def twins_were_never_parted(seen: list[Snapshot], count: int) -> bool:
    twins = [[layer["twin"].text for layer in s.layers.values() if "twin" in layer] for s in seen]
    return {0, count} >= {len(each) for each in twins} and {0, 1} >= {len({*each}) for each in twins}


@pytest.mark.parametrize("layers", [("",), ("common/", "production/")])
def test_a_transaction_is_seen_whole(etcd_server: EtcdServer, client: Client, layers: tuple[str, ...]) -> None:
    """Keys that change together are seen to change together, in one layer and across several."""
    with Source(etcd_server.url, layers=layers) as source, source.watch() as snapshots:
        next(snapshots)
        write_twins(client, 50, *layers)
        seen = until(snapshots, lambda s: "twin" in s and s["twin"].text == "49")

    assert twins_were_never_parted(seen, len(layers))


def test_a_transaction_is_seen_whole_where_only_the_layers_may_be_read() -> None:
    """A role that allows two layers, and not what they have in common: still whole, still live, nothing missed."""
    layers = ("common/", "production/")
    with EtcdServer(auth=True) as server, Client(server.root_url) as client:
        server.call("auth/role/add", {"name": "narrow"})
        for layer in layers:
            server.call("auth/role/grant", {"name": "narrow", "perm": permission(APP + layer)})
        server.call("auth/user/add", {"name": "narrow", "password": "narrow-password"})
        server.call("auth/user/grant", {"user": "narrow", "role": "narrow"})
        who = Connection((server.endpoint,), user="narrow", password="narrow-password")
        with Source(connection=who, prefix=APP, layers=layers) as source, source.watch() as snapshots:
            next(snapshots)
            eventually(lambda: source.status().state == "live")
            write_twins(client, 50, *layers)
            seen = until(snapshots, lambda s: "twin" in s and s["twin"].text == "49")

    assert twins_were_never_parted(seen, 2)


def test_a_paused_member_is_noticed_within_ten_seconds(etcd_cluster: EtcdCluster) -> None:
    """Its kernel goes on acknowledging, so only PINGs tell. The watch moves on, and brings what was written."""
    with Source(etcd_cluster.url) as source, source.watch() as snapshots:
        next(snapshots)
        eventually(lambda: source.status().state == "live")
        (watched,) = [member for member in etcd_cluster.members if member.endpoint == source.status().endpoint]
        began = time.monotonic()
        watched.pause()
        etcd_cluster.put(APP + "a", "1")

        assert {"a": "1"} == texts(until(snapshots, lambda s: "a" in s)[-1])
        assert time.monotonic() - began < 10.5
        watched.resume()


def test_idle_costs_next_to_nothing(etcd_server: EtcdServer) -> None:
    """Two watches of one source for 13 seconds: one thread, milliseconds of CPU, and PINGs alone on the line."""
    threads = threading.active_count()
    with Source(etcd_server.url) as source, source.watch() as snapshots, source.watch() as others:
        next(snapshots)
        next(others)
        eventually(lambda: source.status().state == "live")
        (watching,) = [each for each in threading.enumerate() if each.name == "etcd-settings-watch"]
        clock = time.pthread_getcpuclockid(watching.ident or 0)
        requests, cpu = _requests(etcd_server), time.clock_gettime(clock)

        assert None is snapshots.poll(13.0)  # two PINGs
        assert time.clock_gettime(clock) - cpu < 0.02
        assert requests == _requests(etcd_server)
        assert "live" == source.status().state
        assert threads + 1 == threading.active_count()


def _requests(server: EtcdServer) -> float:
    """Count the messages that the server was sent, on streams that still stand too."""
    return sum(n for name, n in server.metrics().items() if name.startswith("grpc_server_msg_received_total"))


def _span(prefix: str) -> dict[str, str]:
    key = encode_key(prefix)
    return {"key": to_base64(key), "range_end": to_base64(range_end(key))}

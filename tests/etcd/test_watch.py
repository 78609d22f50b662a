"""A watch misses nothing, tells nothing twice, and ends when it is told to."""

from __future__ import annotations

import threading

import pytest

from etcd_settings.errors import ClosedError, CompactedError, PermissionDeniedError, RestoredError, UnavailableError
from etcd_settings.etcd import Batch, Client, Delete, Put, Watch
from etcd_settings.testing import EtcdServer

APP = "/config/app/"


def revisions(watch: Watch, last: int) -> list[int]:
    """Collect the revisions that come, up to *last*."""
    found: list[int] = []
    for batch in watch:
        found.append(batch.revision)
        if batch.revision >= last:
            break
    return found


def test_every_revision_comes_once(client: Client) -> None:
    """From a start in the past: each revision that touched the prefix, in order, whole; nothing else."""
    first = client.put(APP + "a", "1")
    client.put("/config/other", "not ours")
    second = client.txn(success=[Put(APP + "b", "2"), Delete(APP + "a")]).revision
    client.delete("/config/other")

    with client.watch(APP, start_revision=first) as watch:
        batches = [next(watch), next(watch)]

    assert [first, second] == [batch.revision for batch in batches]
    assert [[("put", APP + "a")], [("put", APP + "b"), ("delete", APP + "a")]] == [
        [(event.kind, event.entry.key) for event in batch.events] for batch in batches
    ]


def test_from_now_on_means_after_creation(client: Client) -> None:
    """Without a start nothing of the past comes."""
    client.put(APP + "a", "old")
    with client.watch(APP) as watch:
        assert None is watch.poll(0.2)
        revision = client.put(APP + "a", "new")

        assert revision == next(watch).revision


def test_one_key_is_not_a_prefix(client: Client) -> None:
    """With ``prefix=False`` the key alone counts."""
    start = client.put(APP + "key2", "1")
    revision = client.put(APP + "key", "1")

    with client.watch(APP + "key", prefix=False, start_revision=start) as watch:
        assert revision == next(watch).revision


@pytest.mark.parametrize("how", ["kill", "restart", "pause"])
def test_a_watch_survives_its_member(how: str) -> None:
    """What was written around a crash, a restart, or a stop is all told, once, by the same iterator."""
    with EtcdServer() as server, Client(server.url) as client:
        start = client.put(APP + "a", "0")
        with client.watch(APP, start_revision=start) as watch:
            assert start == next(watch).revision
            if how == "kill":
                server.kill()
                server.start()
            elif how == "restart":
                server.restart()
            else:
                server.pause()
                assert None is watch.poll(0.5)
                server.resume()
            written = [client.put(APP + "a", str(i)) for i in range(5)]

            assert written == revisions(watch, written[-1])


def test_closing_from_another_thread_ends_the_iteration(client: Client) -> None:
    """The thread that waits in ``next`` is woken, and its loop ends."""
    watch = client.watch(APP)
    assert None is watch.poll(0.2)
    ended: list[list[Batch]] = []
    thread = threading.Thread(target=lambda: ended.append(list(watch)))
    thread.start()

    watch.close()
    thread.join(5)

    assert [[]] == ended
    with pytest.raises(ClosedError):
        watch.poll(0)


def test_a_compacted_start_names_the_compaction(client: Client, etcd_server: EtcdServer) -> None:
    """`CompactedError` carries etcd's compact revision."""
    start = client.put(APP + "a", "1")
    client.put(APP + "a", "2")
    compacted = client.put(APP + "a", "3")
    etcd_server.compact(compacted)

    with client.watch(APP, start_revision=start) as watch, pytest.raises(CompactedError) as e:
        next(watch)

    assert compacted == e.value.revision


def test_a_deletion_that_was_compacted_at_once_is_not_lost(client: Client, etcd_server: EtcdServer) -> None:
    """
    Deleted at R + 1 and compacted there: whoever resumes at R + 1 never hears of it (etcd #19179).

    We resume at R, and are told that something is missing.
    """
    known = client.put(APP + "a", "1")
    client.delete(APP + "a")
    etcd_server.compact(known + 1, physical=True)

    with client.watch(APP, start_revision=known + 1) as watch, pytest.raises(CompactedError):
        next(watch)


def test_a_restored_cluster_is_noticed() -> None:
    """A watch from a revision that the cluster has not reached is refused by us; etcd would accept it silently."""
    with EtcdServer() as server, Client(server.url) as client:
        revision = client.put(APP + "a", "1")
        with client.watch(APP, start_revision=revision + 100) as watch, pytest.raises(RestoredError) as e:
            next(watch)

    assert revision == e.value.revision


def test_a_forbidden_prefix_is_final_only_with_a_fresh_token() -> None:
    """A restart forgets tokens, and 3.5 then says "permission denied": a watch that is allowed goes on."""
    with EtcdServer(auth=True) as server, Client(server.url) as client:
        with client.watch("/other/") as watch, pytest.raises(PermissionDeniedError):
            next(watch)
        start = client.put(APP + "a", "1")
        with client.watch(APP, start_revision=start) as watch:
            assert start == next(watch).revision
            server.restart()
            revision = client.put(APP + "a", "2")

            assert revision == next(watch).revision


def test_a_large_backlog_comes_in_fragments_and_whole(client: Client) -> None:
    """6 MiB of events are more than one message carries; each revision comes whole."""
    value = "x" * 60_000
    written = [client.txn(success=[Put(f"{APP}{i}/{j}", value) for j in range(20)]).revision for i in range(5)]

    with client.watch(APP, start_revision=written[0]) as watch:
        batches = [next(watch) for _ in written]

    assert written == [batch.revision for batch in batches]
    assert [20] * 5 == [len(batch.events) for batch in batches]


def test_nobody_there_at_the_start_is_told() -> None:
    """At the first attempt an outage is an error; only later it is waited out."""
    with Client("etcd://127.0.0.1:1/") as client, client.watch(APP) as watch, pytest.raises(UnavailableError):
        next(watch)

"""One holder at a time, in the order of arrival, whoever dies, and whichever program contends."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from etcd_settings import Connection
from etcd_settings.errors import (
    ClosedError,
    CompactedError,
    ConfigurationError,
    PermissionDeniedError,
    UnavailableError,
)
from etcd_settings.etcd import Batch, Client, Compare, Lease, Lock, Put, Watch
from etcd_settings.snapshot import Entry
from etcd_settings.testing import EtcdCluster, EtcdServer
from tests.etcd.test_processes import run
from tests.forking import in_child, status
from tests.waiting import eventually

APP = "/config/app/"
NAME = APP + "lock"
TTL = 10
"""Seconds; those who hand over do not wait for it."""


def stand_in_line(client: Client, number: int) -> Callable[[], bool]:
    return lambda: len(line(client)) == number


def line(client: Client) -> list[str]:
    """Give the keys of all who hold the lock or wait for it, the holder first."""
    entries = client.get_prefix(NAME + "/").values()
    return [entry.key for entry in sorted(entries, key=lambda entry: entry.create_revision)]


class Critical:
    """A place where only one may be; it tells who was there together, and with which tokens."""

    def __init__(self) -> None:
        self.inside = 0
        self.tokens: list[int] = []
        self.crowds = 0

    def visit(self, lock: Lock) -> None:
        self.inside += 1
        self.crowds += self.inside != 1
        self.tokens.append(lock.token)
        time.sleep(0.002)  # to give others the time to be here
        self.inside -= 1


@contextmanager
def etcdctl_holds(server: EtcdServer) -> Generator[str]:
    """Have ``etcdctl lock`` hold the lock, and end it; gives the key that it printed."""
    site = server.site
    program = subprocess.Popen(
        [site.binaries.etcdctl, "lock", "--ttl", "10", NAME],
        env=site.environment([server.endpoint]),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout is not None
        yield program.stdout.readline().strip()
    finally:
        program.terminate()
        program.communicate(timeout=30)


def test_a_lock_is_held_between_its_with_and_the_end(client: Client) -> None:
    """Its key lies below its name, has the token as its revision, and goes with the lock."""
    with client.lock(NAME, TTL) as lock:
        entry = client.get(lock.key)

        assert entry is not None
        assert f"{NAME}/{entry.lease:x}" == entry.key
        assert (b"", lock.token) == (entry.value, entry.create_revision)
        assert not lock.lost
        assert f"<Lock {NAME}: held>" == repr(lock)

    assert lock.lost
    assert [] == line(client)
    assert f"<Lock {NAME}: not held>" == repr(lock)


def test_trying_does_not_wait_and_leaves_nothing(client: Client) -> None:
    """``acquire(0)`` tells at once that somebody else has it; so does any timeout when it has passed."""
    other = client.lock(NAME, TTL)
    with client.lock(NAME, TTL) as lock:
        assert not other.acquire(0)
        assert not other.acquire(timeout=0.2)
        assert [lock.key] == line(client)

    assert other.acquire(0)
    assert other.token > lock.token
    other.release()
    other.release()
    assert [] == line(client)


def test_many_threads_take_turns(client: Client) -> None:
    """Never two at once, and each one's token is higher than all before."""
    critical = Critical()

    def work(_: int) -> None:
        for _ in range(5):
            with client.lock(NAME, TTL) as lock:
                critical.visit(lock)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(work, range(12)))

    assert 0 == critical.crowds
    assert 60 == len(set(critical.tokens))
    assert sorted(critical.tokens) == critical.tokens
    assert [] == line(client)


def test_who_came_first_is_served_first(client: Client, etcd_server: EtcdServer) -> None:
    """Also when somebody in the middle gives up. Who goes wakes nobody but the next one, so that no herd asks etcd."""
    served: list[str] = []
    before = etcd_server.handled("Txn")

    def wait(name: str, timeout: float) -> None:
        lock = client.lock(NAME, TTL)
        if lock.acquire(timeout):
            served.append(name)
            lock.release()

    threads = []
    with client.lock(NAME, TTL):
        for number, (name, timeout) in enumerate([("a", 30), ("b", 0.5), ("c", 30), ("d", 30)], 2):
            threads.append(threading.Thread(target=wait, args=(name, timeout)))
            threads[-1].start()
            eventually(stand_in_line(client, number))
        threads[1].join(30)
        eventually(lambda: etcd_server.handled("Txn") - before == 5 + 1)  # five got in line, and one looked again
        assert [] == served
    for thread in threads:
        thread.join(30)

    assert ["a", "c", "d"] == served
    assert 5 + 4 == etcd_server.handled("Txn") - before


def test_one_object_is_one_contender(client: Client) -> None:
    """Neither the same thread nor another one can acquire it twice; that is told, and does not hang."""
    lock = client.lock(NAME, TTL)
    with ThreadPoolExecutor(1) as pool, lock:
        with pytest.raises(RuntimeError, match="in use already"):
            lock.acquire(0)
        with pytest.raises(RuntimeError, match="in use already"):
            pool.submit(lock.acquire, 0).result(30)
        assert [lock.key] == line(client)

    with lock:
        assert [lock.key] == line(client)


def test_while_one_thread_acquires_it_another_cannot(client: Client) -> None:
    """Nor does a release by that other one disturb who is acquiring."""
    lock = client.lock(NAME, TTL)
    with ThreadPoolExecutor(1) as pool:
        with client.lock(NAME, TTL):
            acquiring = pool.submit(lock.acquire, 30)
            eventually(stand_in_line(client, 2))
            lock.release()
            with pytest.raises(RuntimeError, match="in use already"):
                lock.acquire(0)

        assert acquiring.result(30)
    assert [lock.key] == line(client)
    lock.release()


def test_releasing_it_while_it_is_released_is_harmless(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a signal handler may; it is free once, and the next hold is whole."""
    lock = client.lock(NAME, TTL)
    close = Lease.close

    def close_twice(lease: Lease) -> None:
        monkeypatch.undo()
        lock.release()
        close(lease)

    lock.acquire()
    monkeypatch.setattr(Lease, "close", close_twice)
    lock.release()

    assert [] == line(client)
    with lock:
        assert [lock.key] == line(client)


def test_before_the_first_hold_there_is_no_token(client: Client) -> None:
    """Neither token nor key are made up; and mistakes in arguments are told."""
    lock = client.lock(NAME, TTL)

    assert lock.lost
    for ask in (lambda: lock.token, lambda: lock.key):
        with pytest.raises(RuntimeError, match="never held"):
            ask()
    with pytest.raises(ConfigurationError, match="at least 0"):
        lock.acquire(-1)
    with pytest.raises(ConfigurationError, match="needs a name"):
        client.lock("", TTL)
    with pytest.raises(ConfigurationError, match="ttl"):
        client.lock(NAME, 0).acquire()
    assert lock.acquire(0)
    lock.release()


def test_etcdctl_waits_for_us(client: Client, etcd_server: EtcdServer) -> None:
    """While we hold the lock ``etcdctl lock`` stands in line, and gets it after us."""
    site = etcd_server.site
    with client.lock(NAME, TTL):
        program = subprocess.Popen(
            [site.binaries.etcdctl, "lock", NAME, "echo", "mine"],
            env=site.environment([etcd_server.endpoint]),
            stdout=subprocess.PIPE,
            text=True,
        )
        eventually(stand_in_line(client, 2))
        assert program.poll() is None
    out, _ = program.communicate(timeout=30)

    assert "mine\n" == out
    assert 0 == program.returncode


def test_we_wait_for_etcdctl(client: Client, etcd_server: EtcdServer) -> None:
    """While ``etcdctl lock`` holds the lock we stand in line, and get it after it."""
    with ThreadPoolExecutor(1) as pool:
        with etcdctl_holds(etcd_server) as key:
            lock = client.lock(NAME, TTL)
            assert not lock.acquire(0)
            acquiring = pool.submit(lock.acquire, 30)
            with pytest.raises(TimeoutError):
                acquiring.result(0.3)
            assert key == line(client)[0]
        assert acquiring.result(30)
    lock.release()


@pytest.mark.parametrize("end", [KeyboardInterrupt, "timeout"])
def test_who_gives_up_leaves_nothing(client: Client, end: object) -> None:
    """Ctrl-C while waiting takes the key out of the line, and the object may be used again."""
    lock = client.lock(NAME, TTL)
    with client.lock(NAME, TTL) as holder:
        if end is KeyboardInterrupt:
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
            with pytest.raises(KeyboardInterrupt):
                lock.acquire(30)
        else:
            assert not lock.acquire(0.3)
        assert [holder.key] == line(client)
    with lock:
        assert [lock.key] == line(client)


def test_the_body_s_error_comes_out(client: Client, etcd_server: EtcdServer) -> None:
    """Also if the lock cannot be given back, which takes a second at most."""

    def fail() -> None:
        with client.lock(NAME, 2):
            etcd_server.kill()
            raise ZeroDivisionError

    started = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        fail()
    assert time.monotonic() - started < 10


def test_a_lease_that_is_lost_in_the_line_is_replaced(client: Client, etcd_server: EtcdServer) -> None:
    """Whoever waits gets in line anew, at its end, and gets the lock all the same."""
    lock = client.lock(NAME, 2)
    with ThreadPoolExecutor(1) as pool:
        with client.lock(NAME, TTL):
            acquiring = pool.submit(lock.acquire, 60)
            eventually(stand_in_line(client, 2))
            before = line(client)[1]
            etcd_server.etcdctl("lease", "revoke", before.rpartition("/")[2])
            eventually(stand_in_line(client, 2))
            assert before != line(client)[1]
        assert acquiring.result(30)

    assert not lock.lost
    lock.release()
    assert [] == line(client)


def test_who_has_lost_the_lease_does_not_have_the_lock(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though nobody is ahead, and etcd may not know yet: it gets in line anew."""
    look, leases = Lock._look_at_line, list[Lease]()

    def look_late(lock: Lock, key: str, lease: Lease) -> tuple[tuple[Entry, ...], int]:
        found = look(lock, key, lease)
        if not leases:
            lease.lost.set()
        leases.append(lease)
        return found

    monkeypatch.setattr(Lock, "_look_at_line", look_late)
    with client.lock(NAME, TTL) as lock:
        assert 2 == len(leases)
        assert not lock.lost
        assert [lock.key] == line(client)


def test_a_lock_is_lost_with_silence(etcd_server: EtcdServer, client: Client) -> None:
    """When etcd cannot be asked for the ttl, the holder knows that others may hold it; its token is too low then."""
    with client.lock(NAME, 2) as lock:
        etcd_server.pause()
        assert lock.lost.wait(60)
        etcd_server.resume()
        with client.lock(NAME, 2) as other:
            done = client.txn(
                compare=[Compare.create_revision(lock.key, "==", lock.token)], success=[Put(APP + "a", "late")]
            )

            assert other.token > lock.token
            assert not done.succeeded
        with pytest.raises(RuntimeError, match="in use already"):  # it must be released first
            lock.acquire(0)


def test_a_watch_that_nobody_gives_is_no_outage(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an election members answer requests late, and watches with a refusal; who waits just looks again."""
    refusals = [UnavailableError({"a:1": "no leader"}), CompactedError(1)]
    poll = Watch.poll

    def poll_later(watch: Watch, timeout: float) -> Batch | None:
        if refusals:
            raise refusals.pop()
        return poll(watch, timeout)

    monkeypatch.setattr(Watch, "poll", poll_later)
    with client.lock(NAME, TTL):
        assert not client.lock(NAME, TTL).acquire(0.5)

    assert [] == refusals


def test_an_outage_is_told(etcd_server: EtcdServer) -> None:
    """There is nobody to wait for if nobody answers."""
    etcd_server.kill()
    with Client(Connection([etcd_server.endpoint], timeout=1)) as client, pytest.raises(UnavailableError):
        client.lock(NAME, TTL).acquire()


def test_a_closed_client_ends_who_waits(client: Client, etcd_server: EtcdServer) -> None:
    """They are told; their place in the line goes when its lease runs out."""
    with Client(etcd_server.url) as other, ThreadPoolExecutor(1) as pool, client.lock(NAME, TTL) as lock:
        acquiring = pool.submit(other.lock(NAME, 2).acquire)
        eventually(stand_in_line(client, 2))
        other.close()
        with pytest.raises(ClosedError):
            acquiring.result(30)
        eventually(lambda: line(client) == [lock.key])


def test_a_lock_outlives_its_members(etcd_cluster: EtcdCluster) -> None:
    """The leader dies with a holder and a waiter on it: the one goes on holding, and the other waits, then gets it."""
    leader = etcd_cluster.leader()
    others = [member.endpoint for member in etcd_cluster.members if member is not leader]
    with Client(Connection([leader.endpoint, *others], timeout=15)) as client, ThreadPoolExecutor(1) as pool:
        waiting = client.lock(NAME, TTL)
        with client.lock(NAME, TTL) as lock:
            acquiring = pool.submit(waiting.acquire, 60)
            eventually(stand_in_line(client, 2))
            leader.kill()
            etcd_cluster.leader()
            assert not lock.lost.wait(1)
            assert lock.key == line(client)[0]
            assert not acquiring.done()
        assert acquiring.result(60)
        assert waiting.token > lock.token
        waiting.release()


def test_a_holder_that_is_cut_off_knows_it_first(etcd_cluster: EtcdCluster) -> None:
    """A leader that has lost the others may go on nodding for a while; the lock is lost before anybody else has it."""
    leader = etcd_cluster.leader()
    others = [member.endpoint for member in etcd_cluster.members if member is not leader]
    with Client(leader.url) as inside, Client(Connection(others, timeout=20)) as outside:
        lock, next_one = inside.lock(NAME, 3), outside.lock(NAME, TTL)
        assert lock.acquire(0)
        with etcd_cluster.partition(etcd_cluster.members.index(leader)):
            assert next_one.acquire(60)

            assert lock.lost
            assert next_one.token > lock.token
        next_one.release()
        lock.release()


@pytest.mark.parametrize("patched", ["early", "late"])
def test_greenlets_take_turns(etcd_server: EtcdServer, patched: str) -> None:
    """Whenever gevent patches, waiting for a lock holds up nobody else."""
    program = """
        import sys, warnings
        url, patched = sys.argv[1:]
        warnings.simplefilter("default")  # gevent warns of patching late, which is what is tested
        if patched == "early":
            from gevent import monkey; monkey.patch_all()
        from etcd_settings.etcd import Client
        client = Client(url)
        with client.lock("/config/app/lock", 10):
            pass
        if patched == "late":
            from gevent import monkey; monkey.patch_all()
        import gevent
        tokens = []
        def work():
            with client.lock("/config/app/lock", 10) as lock:
                tokens.append(lock.token)
                gevent.sleep(0.01)
        gevent.joinall([gevent.spawn(work) for _ in range(20)], timeout=60, raise_error=True)
        assert len(tokens) == 20 and tokens == sorted(set(tokens))
        """
    done = run(program, etcd_server.url, patched)

    assert 0 == done.returncode, done.stderr


def test_a_child_does_not_hold_its_parent_s_lock(client: Client) -> None:
    """It has lost it, gives nothing back, and may contend for itself."""
    with client.lock(NAME, TTL) as lock:

        def child() -> None:
            assert lock.lost
            assert not lock.acquire(0)
            lock.release()

        assert [0] * 3 == [status(pid) for pid in [in_child(child) for _ in range(3)]]
        assert [lock.key] == line(client)
        assert not lock.lost


def test_users_need_both_rights_below_the_name() -> None:
    """Who lacks them is told which role would do; who has them locks."""
    with EtcdServer(auth=True) as server, Client(server.url) as client:
        with client.lock(NAME, TTL) as lock:
            server.restart()  # and forget our token
            assert not lock.lost
        with pytest.raises(PermissionDeniedError, match="--prefix=true ROLE readwrite /else/lock/"):
            client.lock("/else/lock", TTL).acquire()


def test_processes_that_are_killed_never_let_two_in(etcd_server: EtcdServer, client: Client) -> None:
    """
    Processes count under the lock, holders are killed, and no count is lost or taken twice; tokens only rise.

    A count is read, and written if the token is still the one that holds the lock: that refuses nobody but the dead.
    """
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    client.put(APP + "count", "0")

    def work() -> None:
        while True:
            with client.lock(NAME, 2) as lock:
                entry = client.get(APP + "count")
                assert entry is not None
                count = int(entry.text.split()[0]) + 1
                mine = [Compare.create_revision(lock.key, "==", lock.token)]
                done = client.txn(compare=mine, success=[Put(APP + "count", f"{count} {lock.token}")])
                assert done.succeeded or bool(lock.lost)

    with client.watch(APP + "count", prefix=False) as watch:
        watch.poll(0.01)
        pids = [in_child(work) for _ in range(4)]
        counts: list[tuple[int, int]] = []
        for _ in range(3):
            wanted = len(counts) + chance.randrange(5, 30)
            while len(counts) < wanted:
                count, token = next(watch).events[0].entry.text.split()
                counts.append((int(count), int(token)))
            victim = pids.pop(chance.randrange(len(pids)))
            os.kill(victim, signal.SIGKILL)
            assert -signal.SIGKILL == status(victim), f"seed {seed}"
            pids.append(in_child(work))
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert [-signal.SIGKILL] * 4 == [status(pid) for pid in pids], f"seed {seed}"

    tokens = [token for _, token in counts]
    assert [*range(1, len(counts) + 1)] == [count for count, _ in counts], f"seed {seed}"
    assert sorted(set(tokens)) == tokens, f"seed {seed}"

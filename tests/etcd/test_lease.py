"""A lease lives while we keep it alive, dies when we do not, and is never believed in for longer than etcd does."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from etcd_settings import Connection
from etcd_settings.errors import ClosedError, ConfigurationError, LeaseLostError, RequestError, UnavailableError
from etcd_settings.etcd import Client, Lease
from etcd_settings.testing import EtcdCluster, EtcdServer, Member
from etcd_settings.testing.ports import free_port
from tests.etcd.test_processes import run
from tests.forking import in_child, status
from tests.waiting import eventually

KEY = "/config/app/a"
TTL = 3
"""Seconds; etcd grants 2 at least."""


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "etcd-settings-lease"]


def test_keys_live_as_long_as_the_lease(
    client: Client, etcd_server: EtcdServer, caplog: pytest.LogCaptureFixture
) -> None:
    """They outlive the ttl while it is open, for a request every third of that; they go at once when it is closed."""
    before = etcd_server.handled("LeaseKeepAlive")
    with client.lease(2) as lease:
        client.put(KEY, "1", lease=lease.id)

        assert not lease.lost.wait(2.5)

        entry = client.get(KEY)
        assert entry is not None
        assert lease.id == entry.lease
        assert etcd_server.handled("LeaseKeepAlive") - before in (3, 4)

    assert lease.lost
    assert client.get(KEY) is None
    lease.close()
    eventually(lambda: not threads())
    assert "" == caplog.text


def test_whoever_dies_loses_the_lease(client: Client) -> None:
    """A process that is killed gives nothing back; etcd deletes the keys when the ttl has passed."""
    told, tell = os.pipe()

    def child() -> None:
        lease = client.lease(2)
        client.put(KEY, "1", lease=lease.id)
        os.write(tell, b".")
        signal.pause()

    pid = in_child(child)
    os.read(told, 1)
    os.close(told)
    os.close(tell)
    os.kill(pid, signal.SIGKILL)
    status(pid)

    assert client.get(KEY) is not None
    eventually(lambda: client.get(KEY) is None)


def test_a_lease_that_somebody_revoked_is_lost(
    client: Client, etcd_server: EtcdServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The next renewal is told so, long before the ttl has passed; the log says it, and what is written is refused."""
    with client.lease(30) as lease:
        etcd_server.etcdctl("lease", "revoke", f"{lease.id:x}")
        lease._renew()  # by itself it would, after ten seconds

        assert lease.lost
        with pytest.raises(LeaseLostError) as e:
            client.put(KEY, "1", lease=lease.id)

    assert lease.id == e.value.lease
    assert f"Lease {lease.id:x} is lost" in caplog.text
    assert "was not given back" not in caplog.text
    assert client.get(KEY) is None


def test_the_time_runs_from_when_we_asked(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not from when the answer came, which may have been on its way for long."""
    ask, answered = Lease._ask, list[float]()

    def ask_and_note(lease: Lease, method: str, deadline: float, action: str, **fields: int) -> Any:
        try:
            return ask(lease, method, deadline, action, **fields)
        finally:
            answered.append(time.monotonic())

    monkeypatch.setattr(Lease, "_ask", ask_and_note)
    with client.lease(TTL) as lease:
        assert lease.lost._until < answered[0] + lease.ttl
        lease._renew()
        assert lease.lost._until < answered[1] + lease.ttl


def test_a_restored_cluster_tells_what_it_knows(tmp_path: Path) -> None:
    """A lease that is in the backup lives on after the restore; a later one is lost as soon as etcd is asked."""
    with EtcdServer() as server, Client(server.url) as client, client.lease(60) as early:
        client.put(KEY, "1", lease=early.id)
        backup = server.backup(tmp_path / "backup")
        late = client.lease(60)
        server.restore(backup)
        early._renew()
        late._renew()

        assert not early.lost
        assert late.lost
        assert client.get(KEY) is not None
        early.close()
        assert client.get(KEY) is None


def test_silence_for_the_ttl_is_a_loss(client: Client, etcd_server: EtcdServer) -> None:
    """A frozen server confirms nothing; after the ttl, not before and not long after, the lease is lost for good."""
    paused_at = lost_at = 0.0

    def fail_when_lost() -> None:
        nonlocal paused_at, lost_at
        with client.lease(TTL) as lease:
            client.put(KEY, "1", lease=lease.id)
            etcd_server.pause()
            paused_at = time.monotonic()
            assert lease.lost.wait(60)
            lost_at = time.monotonic()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):  # and not the error of giving it back, which is tried for a second
        fail_when_lost()
    left_at = time.monotonic()
    etcd_server.resume()

    assert TTL * 0.4 < lost_at - paused_at < TTL + 2
    assert left_at - lost_at < 3
    eventually(lambda: client.get(KEY) is None)
    eventually(lambda: not threads())


@pytest.mark.parametrize("hurt", [Member.kill, Member.pause])
def test_a_failover_that_is_shorter_than_the_ttl_loses_nothing(
    etcd_cluster: EtcdCluster, hurt: Callable[[Member], None]
) -> None:
    """When the leader that we talk to dies or freezes, others elect a new one and are asked in time."""
    leader = etcd_cluster.leader()
    others = [member.endpoint for member in etcd_cluster.members if member is not leader]
    with Client(Connection([leader.endpoint, *others])) as client, client.lease(6) as lease:
        client.put(KEY, "1", lease=lease.id)
        hurt(leader)

        assert not lease.lost.wait(6.5)
        assert client.get(KEY) is not None


def test_a_server_that_comes_back_within_the_ttl_loses_nothing() -> None:
    """Killed and started again, with its tokens forgotten, it goes on renewing; a user needs no right to do so."""
    with EtcdServer(auth=True) as server, Client(server.url) as client, client.lease(30) as lease:
        client.put(KEY, "1", lease=lease.id)
        server.kill()
        server.start()
        lease._renew()

        assert lease._failure is None
        assert not lease.lost
        assert client.get(KEY) is not None
        server.etcdctl("user", "add", "another:word")  # makes every token "old"
        lease.close()
        assert client.get(KEY) is None


def test_a_lease_and_a_lock_live_behind_etcds_own_proxy(etcd_server: EtcdServer) -> None:
    """Etcd's grpc-proxy gathers renewals, takes our end of a stream for the end of all, and ends it with an error."""
    port = free_port()
    proxy = subprocess.Popen(
        [
            *(etcd_server.site.binaries.etcd, "grpc-proxy", "start"),
            *("--endpoints", etcd_server.endpoint, "--listen-addr", f"127.0.0.1:{port}"),
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        with Client(f"etcd://127.0.0.1:{port}/") as client:
            eventually(lambda: client.health() == {f"127.0.0.1:{port}": True})
            with client.lock(KEY, TTL) as lock, client.lease(TTL) as lease:
                client.put(KEY, "1", lease=lease.id)

                assert not lease.lost.wait(TTL + 1)
                assert client.get(KEY) is not None
                assert not lock.lost
                assert not client.lock(KEY, TTL).acquire(0.3)
            assert [] == [*client.get_prefix(KEY)]
    finally:
        proxy.kill()
        proxy.wait(30)


def test_a_child_does_not_own_the_lease(client: Client) -> None:
    """It neither keeps it alive nor gives it back, and may have its own; the parent's lives on."""
    with client.lease(TTL) as lease:
        client.put(KEY, "1", lease=lease.id)

        def child() -> None:
            assert lease.lost
            assert lease.lost.wait()
            assert not threads()
            lease.close()
            with client.lease(TTL) as mine:
                assert not mine.lost

        assert [0] * 3 == [status(pid) for pid in [in_child(child) for _ in range(3)]]
        assert not lease.lost
        assert client.get(KEY) is not None


def test_the_interpreter_ends_at_once(etcd_server: EtcdServer) -> None:
    """An open lease holds nobody up, and is left to run out."""
    program = """
        import sys
        from etcd_settings.etcd import Client
        client = Client(sys.argv[1])
        lease = client.lease(60)
        client.put("/config/app/a", "1", lease=lease.id)
        print(lease.id)
        """
    done = run(program, etcd_server.url, timeout=20)
    etcd_server.etcdctl("lease", "revoke", f"{int(done.stdout):x}")

    assert (0, "") == (done.returncode, done.stderr)


def test_a_closed_client_leaves_its_leases_to_run_out(
    etcd_server: EtcdServer, caplog: pytest.LogCaptureFixture
) -> None:
    """They are lost, nothing is logged as a mishap, and their threads end; closing them afterwards is harmless."""
    with Client(etcd_server.url) as other, Client(etcd_server.url) as client:
        lease = client.lease(2)
        client.put(KEY, "1", lease=lease.id)
        client.close()

        assert lease.lost
        assert other.get(KEY) is not None
        lease.close()
        with pytest.raises(ClosedError):
            client.lease(2)
        eventually(lambda: not threads())
        eventually(lambda: other.get(KEY) is None)
        assert "" == caplog.text


def test_what_cannot_be_granted_is_an_error(client: Client) -> None:
    """A ttl that is none, one that etcd finds too large, and an etcd that is not there."""
    for ttl in (0, -1, 2.5):
        with pytest.raises(ConfigurationError, match="whole number of seconds"):
            client.lease(ttl)  # type: ignore[arg-type]  # the mistake is the point
    with pytest.raises(RequestError, match="TTL"):
        client.lease(10_000_000_000)
    with Client("etcd://127.0.0.1:1/") as nowhere, pytest.raises(UnavailableError, match="granting a lease"):
        nowhere.lease(10)
    assert not threads()


def test_giving_back_in_an_outage_is_logged(etcd_server: EtcdServer, caplog: pytest.LogCaptureFixture) -> None:
    """The keys stay for a while, and somebody may wonder why."""
    with caplog.at_level(logging.WARNING), Client(etcd_server.url) as client, client.lease(2) as lease:
        etcd_server.kill()

    assert f"Lease {lease.id:x}" in caplog.text
    assert "was not given back" in caplog.text


def test_a_lease_tells_how_it_is(client: Client) -> None:
    """Its repr shows the id as etcdctl prints it."""
    lease = client.lease(TTL)
    assert f"<Lease {lease.id:x}: alive>" == repr(lease)
    lease.close()
    assert f"<Lease {lease.id:x}: lost>" == repr(lease)
    assert isinstance(lease, Lease)

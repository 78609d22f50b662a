"""Who registers is found, for as long as it lives, and finds its way back after an outage."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from etcd_settings.discovery import Registry
from etcd_settings.errors import ClosedError, ConfigurationError, DecodeError, PermissionDeniedError, UnavailableError
from etcd_settings.etcd import Client
from etcd_settings.testing import EtcdServer
from tests.etcd.test_processes import run
from tests.forking import in_child, status
from tests.waiting import eventually


@pytest.fixture
def registry(etcd_server: EtcdServer) -> Iterator[Registry]:
    with Registry(etcd_server.url) as registry:
        yield registry


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("etcd-settings")]


def test_an_instance_is_found_while_it_is_registered(registry: Registry, etcd_server: EtcdServer) -> None:
    """With its record as it is, by its service and no other; its key says who it is."""
    assert {} == registry.instances("web")

    with (
        registry.register("web", "web-1", ttl=10, host="10.0.0.1", port=8080, tags=["a"], tls={"on": True}),
        registry.register("web", "10.0.0.2:80", ttl=10),
        registry.register("webmail", "x", ttl=10),
    ):
        record = {"host": "10.0.0.1", "port": 8080, "tags": ["a"], "tls": {"on": True}}
        assert {"web-1": record, "10.0.0.2:80": {}} == registry.instances("web")
        assert "/config/app/web/web-1.json" in etcd_server.etcdctl("get", "--prefix", "--keys-only", "/config/app/")

    assert {} == registry.instances("web")


def test_a_service_can_be_followed(registry: Registry, etcd_server: EtcdServer) -> None:
    """Instances come and go, down to none; what another service does is no news; a wrong record is kept out."""
    with registry.watch("web") as live, registry.watch("web") as other:
        assert {} == live.current == other.current
        assert 1 == threads().count("etcd-settings-watch")  # for both

        with registry.register("web", "1", ttl=10, port=1), registry.register("other", "1", ttl=10, port=1):
            eventually(lambda: live.current == {"1": {"port": 1}})
            etcd_server.put("/config/app/web/foreign.json", "{")
            eventually(lambda: live.rejection)
            with registry.register("web", "2", ttl=10, port=2):
                with pytest.raises(DecodeError, match=r"foreign\.json"):
                    registry.instances("web")
                etcd_server.delete_prefix("/config/app/web/foreign.json")
                etcd_server.put("/config/app/web/README", "not an instance")
                eventually(lambda: live.current == {"1": {"port": 1}, "2": {"port": 2}})
                etcd_server.delete_prefix("/config/app/web/README")

        eventually(lambda: live.current == {})
        assert live.rejection is None


def test_the_dead_are_not_found(registry: Registry) -> None:
    """A process that was killed is gone after its ttl."""

    def child() -> None:
        registry.register("web", "child", ttl=2)
        signal.pause()

    pid = in_child(child)
    eventually(lambda: "child" in registry.instances("web"))
    os.kill(pid, signal.SIGKILL)
    status(pid)

    assert "child" in registry.instances("web")
    eventually(lambda: {} == registry.instances("web"))


def test_a_lost_lease_is_replaced(registry: Registry, etcd_server: EtcdServer) -> None:
    """Whoever was forgotten registers again by itself, and is gone at the end all the same."""
    with registry.register("web", "1", ttl=2) as registration:
        before = registration._lease
        etcd_server.etcdctl("lease", "revoke", f"{before.id:x}")
        eventually(lambda: before is not registration._lease)

        assert {"1": {}} == registry.instances("web")

    assert {} == registry.instances("web")


def test_an_outage_that_outlasts_the_lease_ends_well(
    registry: Registry, etcd_server: EtcdServer, caplog: pytest.LogCaptureFixture
) -> None:
    """While etcd is away it is tried again and again, and told once. What is closed meanwhile does not come back."""
    with registry.register("web", "1", ttl=2) as one, registry.register("web", "2", ttl=2) as two:
        etcd_server.kill()
        eventually(lambda: caplog.text.count("is not registered") == 2)
        two.close()
        etcd_server.start()
        eventually(lambda: {"1": {}} == registry.instances("web"))
        two._thread.join(20)

        assert {"1": {}} == registry.instances("web")
        assert 2 == caplog.text.count("is not registered")
    assert {} == registry.instances("web")
    assert not one._thread.is_alive()


def test_one_that_is_closed_while_it_registers_again_is_gone(
    registry: Registry, etcd_server: EtcdServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever closes it then sees the lease that was lost, and not yet the new one; so it is waited for."""
    registration = registry.register("web", "1", ttl=2)
    put, putting, go = Client.put, threading.Event(), threading.Event()

    def put_late(client: Client, key: str, value: str, *, lease: int) -> int:
        putting.set()
        assert go.wait(30)
        return put(client, key, value, lease=lease)

    monkeypatch.setattr(Client, "put", put_late)
    etcd_server.etcdctl("lease", "revoke", f"{registration._lease.id:x}")
    with ThreadPoolExecutor(1) as pool:
        assert putting.wait(30)
        closing = pool.submit(registration.close)
        eventually(registration._closing.is_set)
        go.set()
        closing.result(30)

    assert not registration._thread.is_alive()
    assert {} == registry.instances("web")


def test_one_that_comes_while_the_registry_closes_ends_too(registry: Registry) -> None:
    """Nobody closes it, and its thread does not try for ever."""
    registration = registry.register("web", "1", ttl=10)
    registry._registrations.clear()
    registry.close()
    registration._thread.join(30)

    assert not registration._thread.is_alive()


def test_who_may_not_register_leaves_no_lease() -> None:
    """The error names the right that is missing; who has it, is let in."""
    before = threads()
    with EtcdServer(auth=True) as server:
        with Registry(server.url.replace(server.prefix, "/else/")) as registry:
            with pytest.raises(PermissionDeniedError, match=r"ROLE write /else/web/1\.json"):
                registry.register("web", "1", ttl=10)
            eventually(lambda: threads() == before)
            assert "found 0 leases" in server.etcdctl("lease", "list")
        with Registry(server.url) as registry, registry.register("web", "1", ttl=10):
            assert {"1": {}} == registry.instances("web")


def test_the_later_one_takes_the_place(registry: Registry) -> None:
    """A restarted process need not wait for its own ghost, and does not go when that goes."""
    with registry.register("web", "1", ttl=10, version=1) as ghost, registry.register("web", "1", ttl=10, version=2):
        ghost.close()

        assert {"1": {"version": 2}} == registry.instances("web")


def test_a_child_takes_nothing_back(registry: Registry) -> None:
    """What its parent registered stays, and it may register itself."""
    with registry.register("web", "1", ttl=10) as registration:

        def child() -> None:
            registration.close()
            with registry.register("web", str(os.getpid()), ttl=10):
                assert {"1", str(os.getpid())} <= set(registry.instances("web"))

        assert [0, 0] == [status(pid) for pid in [in_child(child) for _ in range(2)]]
        assert {"1": {}} == registry.instances("web")


def test_a_closed_registry_has_taken_everything_back(etcd_server: EtcdServer) -> None:
    """Its threads are gone, and using it is told."""
    before = threads()
    with Registry(etcd_server.url) as other, Registry(etcd_server.url) as registry:
        registration = registry.register("web", "1", ttl=10)
        live = registry.watch("web").start()
        assert {"1": {}} == live.current
        registry.close()

        assert {} == other.instances("web")
        assert "closed" == live.status().state
        registration.close()
        live.close()
        with pytest.raises(ClosedError):
            registry.register("web", "1", ttl=10)
        with pytest.raises(ClosedError):
            registry.instances("web")
        eventually(lambda: threads() == before)


def test_the_interpreter_ends_at_once(etcd_server: EtcdServer) -> None:
    """An open registration holds nobody up."""
    program = """
        import sys
        from etcd_settings.discovery import Registry
        registry = Registry(sys.argv[1])
        registration = registry.register("web", "1", ttl=60)
        live = registry.watch("web").start()
        """
    done = run(program, etcd_server.url, timeout=20)

    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize("name", ["", "a/b", "\ud800"])
def test_a_name_that_is_no_part_of_a_key_is_refused(registry: Registry, name: str) -> None:
    """For services and ids alike, before anything is asked of etcd."""
    with pytest.raises(ConfigurationError, match="Rename it"):
        registry.register("web", name, ttl=10)
    with pytest.raises(ConfigurationError, match="Rename it"):
        registry.register(name, "1", ttl=10)
    for ask in (registry.instances, registry.watch):
        with pytest.raises(ConfigurationError, match="Rename it"):
            ask(name)


def test_what_cannot_be_registered_is_told(registry: Registry, etcd_server: EtcdServer) -> None:
    """A record without a spelling, a ttl that is none, an etcd that is not there: at once, with nothing left behind."""
    before = threads()
    with pytest.raises(ConfigurationError, match="'1' has no spelling"):
        registry.register("web", "1", ttl=10, what=object())
    with pytest.raises(ConfigurationError, match="ttl"):
        registry.register("web", "1", ttl=0)
    with Registry("etcd://127.0.0.1:1/") as nowhere, pytest.raises(UnavailableError):
        nowhere.register("web", "1", ttl=10)
    started = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"etcd://127.0.0.1:{silent.getsockname()[1]}/?timeout=0.2"
        with Registry(url) as hanging, pytest.raises(UnavailableError):
            hanging.watch("web").start()
    assert time.monotonic() - started < 4
    assert before == threads()


@pytest.mark.parametrize("url", ["memory://x/services/", "etcd://localhost/services/?layer=a"])
def test_a_registry_needs_an_etcd_and_one_prefix(url: str) -> None:
    """What has no leases, or several places, is refused with the reason."""
    with pytest.raises(ConfigurationError, match="leases below one prefix"):
        Registry(url)

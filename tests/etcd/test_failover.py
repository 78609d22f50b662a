"""A read is answered while any endpoint can answer it, in time, and says of each that could not why."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from etcd_settings import Source
from etcd_settings.connection import Connection
from etcd_settings.errors import MessageTooLargeError, UnavailableError
from etcd_settings.etcd import Client, reading
from etcd_settings.etcd.messages import message
from etcd_settings.testing import EtcdCluster, EtcdServer, Proxy

APP = "/config/app/"
CONNECT = 0.6
"""Seconds that the tests give to reaching an endpoint."""


def client_of(*endpoints: str, timeout: float = 5.0) -> Client:
    return Client(Connection(endpoints, timeout=timeout, connect_timeout=CONNECT))


@contextmanager
def listener(answer: bytes | None) -> Iterator[str]:
    """Listen, and say *answer* to whoever connects; None accepts and never says a word."""
    kept: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                accepted, _ = server.accept()
            except OSError:
                return
            kept.append(accepted)
            if answer is not None:
                accepted.recv(1 << 16)
                accepted.sendall(answer)
                accepted.shutdown(socket.SHUT_WR)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    for each in kept:
        each.close()


def test_a_dead_first_endpoint_is_passed_over_and_not_asked_again(etcd_server: EtcdServer) -> None:
    """The second answers; the next call begins there."""
    with client_of("127.0.0.1:1", etcd_server.endpoint) as client:
        client.put(APP + "a", "1")

        assert etcd_server.endpoint == client.endpoint
        assert client.get(APP + "a") is not None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "no answer in time"),
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "HTTP/2"),
        (b"220 mail.example ESMTP\r\n", "HTTP/2"),
        (b"", "hung up"),
    ],
    ids=["silent", "http/1.1", "smtp", "hangs up"],
)
def test_what_is_no_etcd_is_passed_over(etcd_server: EtcdServer, answer: bytes | None, reason: str) -> None:
    """One that accepts and never answers costs at most the connect timeout; one that babbles nearly nothing."""
    with listener(answer) as stranger:
        with client_of(stranger, etcd_server.endpoint) as client:
            started = time.monotonic()
            client.get(APP + "a")
            assert time.monotonic() - started < CONNECT + 1
        with client_of(stranger, timeout=1.0) as client, pytest.raises(UnavailableError) as e:
            client.get(APP + "a")

    assert reason in e.value.attempts[stranger]


def test_a_frozen_member_is_left_for_another(etcd_cluster: EtcdCluster) -> None:
    """Its kernel still accepts and acknowledges, also for a connection that worked before; a read moves on."""
    first, second, _ = etcd_cluster.members
    with client_of(first.endpoint, second.endpoint, timeout=8) as client:
        client.put(APP + "a", "1")
        first.pause()

        started = time.monotonic()
        entry = client.get(APP + "a")

        assert entry is not None
        assert time.monotonic() - started < CONNECT + 4  # a new election may be needed
        assert second.endpoint == client.endpoint


def test_a_member_without_quorum_is_left_for_one_that_has_it(etcd_cluster: EtcdCluster) -> None:
    """A linearizable read does not believe a member that is cut off from the others."""
    with etcd_cluster.partition(0) as lonely:
        others = [member.endpoint for member in etcd_cluster.members if member is not lonely]
        with client_of(lonely.endpoint, *others, timeout=8) as client:
            etcd_cluster.leader()
            with client_of(*others, timeout=8) as writer:
                writer.put(APP + "a", "new")

            entry = client.get(APP + "a")

    assert entry is not None
    assert "new" == entry.text


def test_a_member_that_lags_takes_nothing_back(
    etcd_cluster: EtcdCluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    After a failover an older state of the same cluster answers: the newer one is kept, and nobody cries "restored".

    A member that lags answers no linearizable read, so for once we ask for a serializable one, which it does answer.
    """
    etcd_cluster.put(APP + "a", "old")
    ahead, *_, lonely = etcd_cluster.members
    with etcd_cluster.partition(2), Proxy(ahead.endpoint) as line:
        etcd_cluster.put(APP + "a", "new")
        where = Connection((line.endpoint, lonely.endpoint), connect_timeout=CONNECT)
        with Source(connection=where, prefix=APP) as source:
            newest = source.refresh()
            line.cut()
            with monkeypatch.context() as patch:
                patch.setattr(reading._Page, "request", _serializable)
                answered, asked = source.refresh(), source.status().endpoint
            line.heal()
            again = source.refresh()

    assert lonely.endpoint == asked
    assert [newest.revision] * 2 == [answered.revision, again.revision]
    assert ["new"] * 3 == [snapshot["a"].text for snapshot in (newest, answered, again)]
    assert "restored" not in caplog.text


def _serializable(page: reading._Page, revision: int) -> object:
    return message("RangeRequest")(key=page.key, range_end=page.end, revision=revision, serializable=True)


def test_a_write_is_not_sent_twice(etcd_server: EtcdServer) -> None:
    """If the answer is lost, nobody knows whether it was done: the error says so, and it is not repeated."""
    with Proxy(etcd_server.endpoint) as proxy, client_of(proxy.endpoint, etcd_server.endpoint, timeout=1.0) as client:
        client.put(APP + "a", "1")
        proxy.swallow()
        with pytest.raises(UnavailableError, match="may have been carried out") as e:
            client.put(APP + "a", "2")
        proxy.heal()

    assert e.value.maybe_done
    assert [proxy.endpoint] == list(e.value.attempts)


def test_a_write_goes_elsewhere_if_it_never_left(etcd_server: EtcdServer) -> None:
    """A refused connection has carried nothing, so trying the next is safe."""
    with client_of("127.0.0.1:1", etcd_server.endpoint) as client:
        assert client.put(APP + "a", "1") > 0


def test_a_connection_that_died_while_idle_is_replaced(etcd_server: EtcdServer) -> None:
    """The server dropped it: the next write takes a new one, and is sent once."""
    with Proxy(etcd_server.endpoint) as proxy, client_of(proxy.endpoint) as client:
        client.put(APP + "a", "1")
        proxy.drop()

        client.put(APP + "a", "2")

        entry = client.get(APP + "a")
    assert entry is not None
    assert 2 == entry.version


def test_the_timeout_bounds_all_attempts_together() -> None:
    """Five endpoints that never answer take no longer than the timeout; each is named."""
    with listener(None) as silent, listener(None) as other, client_of(silent, other, timeout=1.0) as client:
        started = time.monotonic()
        with pytest.raises(UnavailableError) as e:
            client.get(APP + "a")

        assert time.monotonic() - started < 1.5
        assert {silent, other} == set(e.value.attempts)


def test_a_slow_line_is_no_dead_one(etcd_server: EtcdServer) -> None:
    """While bytes keep coming, nobody loses patience."""
    with Client(etcd_server.url) as client:
        client.put(APP + "a", b"x" * 1_000_000)
    with Proxy(etcd_server.endpoint) as proxy:
        proxy.delay(0.1)
        with client_of(proxy.endpoint, "127.0.0.1:1", timeout=20) as client:
            entry = client.get(APP + "a")

    assert entry is not None
    assert 1_000_000 == len(entry.value)


def test_the_largest_answer_is_a_limit(etcd_server: EtcdServer) -> None:
    """An answer above ``max_message`` is refused by its announced length."""
    with Client(etcd_server.url) as client:
        client.put(APP + "a", b"x" * 100_000)
    with (
        Client(Connection([etcd_server.endpoint], max_message=50_000)) as client,
        pytest.raises(MessageTooLargeError, match="at most 50000") as e,
    ):
        client.get(APP + "a")

    assert "answer" == e.value.what

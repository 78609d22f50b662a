"""A proxy passes on what it gets, until it is told otherwise."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from etcd_settings.testing import Proxy
from etcd_settings.testing.ports import free_port
from tests.waiting import eventually


class Echo:
    """A server that sends back what it gets, and closes when its client has nothing more to say."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "{}:{}".format(*self._listener.getsockname())
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # A mere close would leave the other thread in its accept.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    def _echo(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(1 << 16):
                connection.sendall(data)


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.endpoint) as proxy:
        yield proxy


def connect(proxy: Proxy) -> socket.socket:
    host, _, port = proxy.endpoint.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def everything(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def exchange(connection: socket.socket, data: bytes) -> bytes:
    """Send, and read as many bytes back."""
    connection.sendall(data)
    received = b""
    while len(received) < len(data):
        part = connection.recv(1 << 16)
        assert part, "the connection ended"
        received += part
    return received


def test_what_goes_in_comes_out(proxy: Proxy) -> None:
    """More bytes than all buffers hold make the round trip in order, and both ends see the end."""
    data = os.urandom(1 << 22)
    received: list[bytes] = []
    with connect(proxy) as connection:
        reader = threading.Thread(target=lambda: received.append(everything(connection)))
        reader.start()
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        reader.join()

    assert [data] == received


def test_connections_are_counted(proxy: Proxy) -> None:
    """Those that were accepted, and those that are still open."""
    with connect(proxy) as one, connect(proxy) as two:
        exchange(one, b"1")
        exchange(two, b"2")
        assert (2, 2) == (proxy.accepted, proxy.connections)

    eventually(lambda: proxy.connections == 0)
    assert 2 == proxy.accepted


def test_a_delay_makes_bytes_late_and_loses_none(proxy: Proxy) -> None:
    """A round trip takes twice the delay, many at once take hardly longer, and healing ends it."""
    with connect(proxy) as connection:
        proxy.delay(0.1)
        started = time.monotonic()
        for i in range(20):
            connection.sendall(b"%02d" % i)
        received = exchange(connection, b"!")
        while len(received) < 41:
            received += connection.recv(100)
        took = time.monotonic() - started
        proxy.heal()
        started = time.monotonic()
        exchange(connection, b"?")

        assert b"".join(b"%02d" % i for i in range(20)) + b"!" == received
        assert 0.2 <= took < 1
        assert time.monotonic() - started < 0.1


def test_what_was_swallowed_comes_after_healing(proxy: Proxy) -> None:
    """The line is dead, and nobody is told: sending works, connecting works, and nothing comes."""
    with connect(proxy) as old:
        exchange(old, b"before")
        proxy.swallow()
        with connect(proxy) as new:
            for connection in (old, new):
                connection.sendall(b"during")
                connection.settimeout(0.05)
                with pytest.raises(TimeoutError):
                    connection.recv(10)
                connection.settimeout(10)
            proxy.heal()

            assert (b"during", b"during") == (old.recv(6, socket.MSG_WAITALL), new.recv(6, socket.MSG_WAITALL))


def test_a_change_of_manners_keeps_the_others(proxy: Proxy) -> None:
    """A delay set while the line is dead does not revive it."""
    with connect(proxy) as connection:
        exchange(connection, b"before")
        proxy.swallow()
        proxy.delay(0.001)
        connection.sendall(b"during")
        connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.recv(10)


def test_a_cut_resets_and_refuses(proxy: Proxy) -> None:
    """Open connections end with a reset, new ones are refused; after healing the same address works again."""
    with connect(proxy) as connection:
        exchange(connection, b"before")
        proxy.cut()
        assert is_reset(connection)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    assert 0 == proxy.connections

    proxy.heal()

    with connect(proxy) as connection:
        assert b"after" == exchange(connection, b"after")


def test_a_cut_reaches_a_swallowed_connection(proxy: Proxy) -> None:
    """A connection on which nothing flows can be reset all the same."""
    with connect(proxy) as connection:
        exchange(connection, b"before")
        proxy.swallow()
        connection.sendall(b"during")
        proxy.cut()
        assert is_reset(connection)
    assert 0 == proxy.connections


def test_a_drop_resets_and_welcomes(proxy: Proxy) -> None:
    """Open connections end, and new ones work at once."""
    with connect(proxy) as connection:
        exchange(connection, b"before")
        proxy.drop()
        assert is_reset(connection)
    with connect(proxy) as connection:
        assert b"after" == exchange(connection, b"after")


@pytest.mark.parametrize("count", [0, 1, 5])
def test_an_answer_can_be_cut_at_any_byte(proxy: Proxy, count: int) -> None:
    """Exactly that many bytes come back, then the end, on connections that are open and on new ones."""
    with connect(proxy) as old:
        exchange(old, b"before")
        proxy.cut_after(count)
        with connect(proxy) as new:
            for connection in (old, new):
                connection.sendall(b"0123456789")
                assert b"0123456789"[:count] == everything(connection)
    proxy.heal()
    with connect(proxy) as connection:
        assert b"0123456789" == exchange(connection, b"0123456789")


def test_a_client_can_be_known_by_its_words(echo: Echo) -> None:
    """The blocked lose their connections and get no new ones; the others, and who has not spoken yet, are spared."""
    with Proxy(echo.endpoint, identify=introduced) as proxy:
        with connect(proxy) as bob, connect(proxy) as ann, connect(proxy) as shy:
            exchange(bob, b"I am ")
            exchange(bob, b"bob")
            exchange(ann, b"I am ann")

            proxy.block({"bob"})

            assert is_reset(bob)
            assert b"hello" == exchange(ann, b"hello")
            assert b"I am ann" == exchange(shy, b"I am ann")
        with connect(proxy) as bob:
            bob.sendall(b"I am bob")
            assert is_reset(bob)
        proxy.block(())
        with connect(proxy) as bob:
            assert b"I am bob" == exchange(bob, b"I am bob")


def introduced(head: bytes) -> str | None:
    return head[5:8].decode() if head.startswith(b"I am ") and len(head) >= 8 else None


def is_reset(connection: socket.socket) -> bool:
    """Tell whether it ends with a reset, and without a byte before."""
    try:
        return connection.recv(10) == b"never"
    except ConnectionResetError:
        return True


def test_a_target_that_is_not_there_ends_the_connection() -> None:
    """The client is accepted, as a proxy must, and then hung up on; a target set later holds for the next."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        gone = "{}:{}".format(*nobody.getsockname())
    with Proxy(gone) as proxy:
        with connect(proxy) as connection:
            assert b"" == everything(connection)
        eventually(lambda: proxy.connections == 0)


def test_its_repr_tells_the_way(proxy: Proxy, echo: Echo) -> None:
    """From where to where."""
    assert f"<Proxy {proxy.endpoint} -> {echo.endpoint}>" == repr(proxy)


def test_a_taken_port_is_replaced(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between looking for a port and listening on it another process may come."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        offered = iter([taken.getsockname()[1]])
        monkeypatch.setattr("etcd_settings.testing.proxy.free_port", lambda: next(offered, None) or free_port())

        with Proxy(echo.endpoint) as proxy, connect(proxy) as connection:
            assert b"hello" == exchange(connection, b"hello")


def test_an_address_that_was_lost_is_an_error(proxy: Proxy) -> None:
    """Who takes the address during a cut keeps it: healing says so instead of moving."""
    proxy.cut()
    host, _, port = proxy.endpoint.rpartition(":")
    with socket.create_server((host, int(port))), pytest.raises(OSError, match="already in use"):
        proxy.heal()


def test_closing_twice_is_harmless(echo: Echo) -> None:
    """Also without a start."""
    proxy = Proxy(echo.endpoint)
    proxy.close()
    proxy.close()
    with Proxy(echo.endpoint) as proxy:
        pass
    proxy.close()


def test_a_closed_proxy_leaves_no_thread(echo: Echo) -> None:
    """The loop's thread ends with the block, also while connections are open."""
    with Proxy(echo.endpoint) as proxy, connect(proxy) as connection:
        exchange(connection, b"1")
        proxy.close()

        assert not proxy._thread.is_alive()

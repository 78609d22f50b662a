"""
Move bytes over one socket, TLS or plain, with a deadline.

A wire has one owner thread at a time, and only the owner touches the socket. The socket never blocks: the owner waits
in a selector for the socket and for a waker, which is all that another thread may touch.

TLS runs over memory buffers (`ssl.SSLObject`), not over an `SSLSocket`: then reading never has to wait for the socket
to become writable or the reverse, nothing is pending behind the selector's back, and no close_notify goes out when a
forked child drops its copy.

``socket``, ``ssl`` and ``selectors`` are looked up when they are used, so that gevent may patch them late.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import time
from contextlib import suppress

from etcd_settings.errors import TLSError
from etcd_settings.etcd.grpc import CallFailed

__all__ = ["Wire", "split_endpoint"]

_CHUNK = 1 << 18


class Wire:
    """
    One connected socket.

    Not thread-safe, but for `wake`.

    Args:
        sock: A connected stream socket; the wire closes it.

        endpoint: Who is at the other end, for errors.
    """

    def __init__(self, sock: socket.socket, endpoint: str) -> None:
        self._socket, self._endpoint = sock, endpoint
        self._closed = False
        sock.setblocking(False)
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._cipher = bytearray()  # what TLS made and the socket has not taken yet
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._interest = selectors.EVENT_READ
        self._selector.register(sock, self._interest)
        self._selector.register(self._woken, selectors.EVENT_READ)

    @classmethod
    def connect(cls, endpoint: str, *, deadline: float) -> Wire:
        """
        Connect to the first address of *endpoint* that answers.

        Args:
            endpoint: ``host:port``, IPv6 in brackets.

            deadline: When to give up, on `time.monotonic`'s clock.

        Raises:
            CallFailed: Nobody answered; nothing was sent.
        """
        host, port = split_endpoint(endpoint)
        try:
            sock = socket.create_connection((host, port), timeout=max(deadline - time.monotonic(), 0.001))
        except TimeoutError:
            raise CallFailed("no connection in time", sent=False) from None
        except socket.gaierror as e:
            raise CallFailed(f"the name {host!r} does not resolve ({e.strerror})", sent=False) from None
        except OSError as e:
            raise CallFailed((e.strerror or type(e).__name__).lower(), sent=False) from None
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(sock, endpoint)

    def start_tls(self, context: ssl.SSLContext, server_name: str, *, deadline: float) -> None:
        """
        Shake hands.

        Raises:
            TLSError: The other side is not who it should be, wants a certificate, or does not speak HTTP/2.
            CallFailed: It hung up or did not answer in time.
        """
        tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLCertVerificationError as e:
                self._send_last()
                raise TLSError(endpoint=self._endpoint, reason=e.verify_message.rstrip(".")) from None
            except ssl.SSLError as e:
                self._send_last()
                raise TLSError(endpoint=self._endpoint, reason=_words(e)) from None
            self._cipher += self._outgoing.read()
            self._incoming.write(self._shake(deadline))
        self._cipher += self._outgoing.read()
        if tls.selected_alpn_protocol() != "h2":
            raise TLSError(endpoint=self._endpoint, reason="the server does not speak HTTP/2 (no ALPN protocol h2)")
        self._tls = tls

    def exchange(self, outgoing: bytearray, deadline: float | None) -> bytes:
        """
        Send of *outgoing* what can be sent, and wait until something came in, went out, or somebody called `wake`.

        Args:
            outgoing: What is to be sent; what was sent is taken out of it.

            deadline: When to give up, on `time.monotonic`'s clock; None never does.

        Returns:
            What came in; empty if nothing did yet.

        Raises:
            TimeoutError: The deadline passed; what could be sent without waiting was sent.
            TLSError: The other side ended TLS with an alert.
            OSError: The other side hung up.
        """
        if self._tls is None:
            return self._exchange(outgoing, deadline)
        self._encrypt(self._tls, outgoing)
        if self._incoming.pending and (early := self._decrypt(self._tls)):  # it came together with the handshake's end
            return early
        self._incoming.write(self._exchange(self._cipher, deadline))
        return self._decrypt(self._tls)

    def flush(self, outgoing: bytearray) -> None:
        """Send of *outgoing* what can be sent without waiting; raises `OSError` if the other side hung up."""
        if self._tls is None:
            self._send(outgoing)
        else:
            self._encrypt(self._tls, outgoing)
            self._send(self._cipher)

    @property
    def is_current(self) -> bool:
        """Whether it was made after gevent patched, if it did: a socket from before would hold up all greenlets."""
        return isinstance(self._socket, socket.socket)  # pyright: ignore[reportUnnecessaryIsInstance]  # see above

    def wake(self) -> None:
        """Make the owner's `exchange` return. Safe from any thread, and from a signal handler."""
        with suppress(OSError):  # full: it will wake anyway; closed: nobody is there
            self._waker.send(b"\0")

    def close(self) -> None:
        """Close without a word to the other side. Safe to repeat, and in a forked child."""
        self._closed = True
        self._selector.close()
        for sock in (self._socket, self._waker, self._woken):
            with suppress(OSError):
                sock.close()

    def _shake(self, deadline: float) -> bytes:
        try:
            return self._exchange(self._cipher, deadline)
        except TimeoutError:
            reason = "no answer to the TLS handshake in time"
        except OSError:
            reason = "it hung up during the TLS handshake (does it speak TLS at all?)"
        raise CallFailed(reason, sent=False)

    def _exchange(self, outgoing: bytearray, deadline: float | None) -> bytes:
        if self._closed:
            raise ConnectionError("the connection was dropped")  # by a fork: the parent goes on using it
        if outgoing:
            self._send(outgoing)
        interest = selectors.EVENT_READ | (selectors.EVENT_WRITE if outgoing else 0)
        if interest != self._interest:
            self._selector.modify(self._socket, interest)
            self._interest = interest
        timeout = None if deadline is None else max(deadline - time.monotonic(), 0.0)
        ready = self._selector.select(timeout)
        if not ready:
            raise TimeoutError
        received = b""
        for key, events in ready:
            if key.fileobj is self._woken:
                with suppress(BlockingIOError):
                    self._woken.recv(_CHUNK)
            elif events & selectors.EVENT_READ:
                received = self._receive()
        return received

    def _send(self, outgoing: bytearray) -> None:
        with suppress(BlockingIOError):
            while outgoing:
                sent = self._socket.send(outgoing)
                del outgoing[:sent]

    def _receive(self) -> bytes:
        try:
            received = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return b""
        if not received:
            raise ConnectionError("it closed the connection")
        return received

    def _encrypt(self, tls: ssl.SSLObject, outgoing: bytearray) -> None:
        if outgoing:
            tls.write(outgoing)
            outgoing.clear()
        self._cipher += self._outgoing.read()

    def _decrypt(self, tls: ssl.SSLObject) -> bytes:
        parts: list[bytes] = []
        try:
            while part := tls.read(_CHUNK):
                parts.append(part)
        except ssl.SSLWantReadError:
            return b"".join(parts)
        except ssl.SSLError as e:
            if not parts:
                # In TLS 1.3 the other side judges our certificate after our handshake is over.
                raise TLSError(endpoint=self._endpoint, reason=_words(e)) from None
            return b"".join(parts)
        if not parts:
            raise ConnectionError("it closed the connection")
        return b"".join(parts)

    def _send_last(self) -> None:
        """Tell the other side the alert that explains why the handshake ends."""
        self._cipher += self._outgoing.read()
        with suppress(OSError):
            self._send(self._cipher)


def split_endpoint(endpoint: str) -> tuple[str, int]:
    """Split ``host:port`` or ``[::1]:port``."""
    host, _, port = endpoint.rpartition(":")
    return host.strip("[]"), int(port)


def _words(error: ssl.SSLError) -> str:
    """Give OpenSSL's reason in words: ``WRONG_VERSION_NUMBER`` → ``wrong version number``."""
    return (error.reason or type(error).__name__).replace("_", " ").lower()

"""
Play the part of an etcd that breaks the rules, or stops in mid-sentence.

A script is a function that gets a `Peer`, the server's end of one connection, and says what that end does. Where frames
are meant to be well-formed h2 makes them; everywhere else a script writes bytes. The server plays its script anew for
every connection, each in a thread of its own.

It knows HTTP/2, gRPC's framing and a few of etcd's messages; it knows nothing of the client that it torments.

Invariant: when the server is closed, no thread and no socket is left.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import h2.config
import h2.connection
import h2.events
import h2.settings

from etcd_settings.etcd.messages import message

GOOD = b"good"
"""The value that a `polite` server gives for every key."""

REVISION = 7

LIFETIME = 8.0
"""Seconds after which even the endless ends, so that a client that would listen for ever fails a test, not the run."""

RESPONSE_HEADERS = ((":status", "200"), ("content-type", "application/grpc"))

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
"""Frame types, as RFC 9113 numbers them."""

END_STREAM, END_HEADERS, PADDED = 0x1, 0x4, 0x8

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 0, 1, 2, 7, 8, 11
"""Error codes, likewise."""

Script = Callable[["Peer"], None]


class Hangup(Exception):  # noqa: N818  # what happened, and no mistake of anybody
    """The client has gone, or the script's allowance is spent: there is nobody to play for."""


@dataclass(frozen=True)
class Request:
    """One call, as it arrived."""

    stream: int
    path: str
    message: bytes


@dataclass
class _Stream:
    path: str
    body: bytearray = field(default_factory=bytearray)


class HostileServer:
    """
    A server on the loopback that plays a script for whoever connects.

    Args:
        script: What each connection does. When it returns, the connection is closed.

        tls: Shake hands with this first.

        allowance: Close every connection after that many bytes.

        step: Send at most that many bytes at once.

        peer: Who plays.
    """

    def __init__(
        self,
        script: Script,
        *,
        tls: ssl.SSLContext | None = None,
        allowance: int | None = None,
        step: int | None = None,
        peer: type[Peer] | None = None,
    ) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.peers: list[Peer] = []
        """Our end of every connection, in the order of their coming."""
        self._script, self._tls, self._peer = script, tls, peer or Peer
        self._allowance, self._step = allowance, step
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._sockets: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def endpoint(self) -> str:
        return "{}:{}".format(*self._listener.getsockname())

    def is_through(self) -> bool:
        """Tell whether every connection has played its script up to its end, or to its `Peer.hang`."""
        return len(self._sockets) == sum(peer.hangs for peer in self.peers)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts; closing would not
        self._listener.close()
        self._threads[0].join()
        for connection in list(self._sockets):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._sockets.add(connection)
            self._threads.append(threading.Thread(target=self._play, args=(connection,), daemon=True))
            self._threads[-1].start()

    def _play(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        secured = connection
        try:
            with contextlib.suppress(OSError, Hangup):
                if self._tls is not None:
                    self._sockets.discard(connection)  # wrapping takes its descriptor away
                    secured = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                    self._sockets.add(secured)
                    secured.do_handshake()
                peer = self._peer(secured, self.requests, allowance=self._allowance, step=self._step)
                self.peers.append(peer)
                self._script(peer)
        finally:
            self._sockets.discard(secured)
            secured.close()


class Peer:
    """
    The server's end of one connection.

    Args:
        connection: The socket, blocking.

        requests: Where complete requests are noted.

        allowance: How many bytes may be sent before it closes.

        step: The most that goes out in one piece.
    """

    def __init__(
        self,
        connection: socket.socket,
        requests: list[Request],
        *,
        allowance: int | None = None,
        step: int | None = None,
    ) -> None:
        self.sent = 0
        """How many bytes went out so far."""
        self.hangs = False
        self._ends_at = time.monotonic() + LIFETIME
        connection.settimeout(LIFETIME)
        self._socket, self._requests = connection, requests
        self._allowance, self._step = allowance, step
        self._streams: dict[int, _Stream] = {}
        self._waiting: list[Request] = []
        config = h2.config.H2Configuration(
            client_side=False,
            header_encoding="utf-8",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self._h2 = h2.connection.H2Connection(config)

    def send(self, data: bytes) -> None:
        """Send bytes, whatever they mean."""
        if time.monotonic() > self._ends_at:
            raise Hangup
        allowed = data if self._allowance is None else data[: self._allowance - self.sent]
        step = self._step or max(len(allowed), 1)
        for start in range(0, len(allowed), step):
            self._socket.sendall(allowed[start : start + step])
        self.sent += len(allowed)
        if self._allowance is not None and self.sent >= self._allowance:
            raise Hangup

    def receive(self) -> bytes:
        """Wait for bytes, whatever they mean."""
        data = self._socket.recv(1 << 16)
        if not data:
            raise Hangup
        return data

    def hang(self) -> None:
        """Say nothing more until the client has gone; what it says is read and ignored."""
        self.hangs = True
        try:
            while True:
                self.receive()
        finally:
            self.hangs = False

    def abort(self) -> None:
        """End with a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()
        raise Hangup

    def greet(self, **settings: int) -> None:
        """Begin as HTTP/2 wants it, with settings such as ``initial_window_size=0``."""
        for name, value in settings.items():
            self._h2.local_settings[h2.settings.SettingCodes[name.upper()]] = value
        self._h2.initiate_connection()
        self.flush()

    def request(self) -> Request:
        """Wait for the next complete request."""
        while not self._waiting:
            self._take(self.receive())
            self.flush()
        self._requests.append(self._waiting[0])
        return self._waiting.pop(0)

    def opened(self) -> Request:
        """Wait for the first message of a stream on which more may come; note it, and give it."""
        while not any(len(stream.body) > 5 for stream in self._streams.values()):
            self._take(self.receive())
            self.flush()
        number, stream = next((number, stream) for number, stream in self._streams.items() if len(stream.body) > 5)
        request = Request(number, stream.path, bytes(stream.body[5:]))
        stream.body.clear()
        self._requests.append(request)
        return request

    def headers(self, stream: int, headers: Iterable[tuple[str, str]] = RESPONSE_HEADERS, *, end: bool = False) -> None:
        self._h2.send_headers(stream, list(headers), end_stream=end)
        self.flush()

    def data(self, stream: int, data: bytes, *, end: bool = False) -> None:
        self._h2.send_data(stream, data, end_stream=end)
        self.flush()

    def message(self, stream: int, payload: bytes) -> None:
        """Send one message in gRPC's framing."""
        self.data(stream, envelope(payload))

    def trailers(self, stream: int, status: str | int = 0, *more: tuple[str, str]) -> None:
        self.headers(stream, [("grpc-status", str(status)), *more], end=True)

    def answer(self, stream: int, payload: bytes) -> None:
        """Answer as gRPC wants it."""
        self.headers(stream)
        self.message(stream, payload)
        self.trailers(stream)

    def flush(self) -> None:
        self.send(self._h2.data_to_send())

    def _take(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            match event:
                case h2.events.RequestReceived(stream_id=stream, headers=headers):
                    self._streams[stream] = _Stream(dict(_text(headers))[":path"])
                case h2.events.DataReceived(stream_id=stream, data=body, flow_controlled_length=length):
                    self._streams[stream].body += body
                    self._h2.acknowledge_received_data(length, stream)
                case h2.events.StreamEnded(stream_id=stream):
                    ended = self._streams.pop(stream)
                    self._waiting.append(Request(stream, ended.path, bytes(ended.body[5:])))
                case h2.events.StreamReset(stream_id=stream):
                    self._streams.pop(stream, None)
                case h2.events.ConnectionTerminated():
                    raise Hangup


def polite(peer: Peer) -> None:
    """Be an etcd in which every key holds `GOOD`."""
    peer.greet()
    while True:
        request = peer.request()
        peer.answer(request.stream, reply_to(request))


def reply_to(request: Request) -> bytes:
    """Make the answer that etcd would give."""
    header = {"cluster_id": 1, "member_id": 1, "revision": REVISION, "raft_term": 1}
    match request.path.rpartition("/")[2]:
        case "Range":
            return range_response(message("RangeRequest").FromString(request.message).key)
        case "Put":
            return _encoded(message("PutResponse")(header=header))
        case "DeleteRange":
            return _encoded(message("DeleteRangeResponse")(header=header, deleted=1))
    raise AssertionError(f"no script has a reply for {request.path}")


def range_response(key: bytes, value: bytes = GOOD) -> bytes:
    """Make the answer to a Range that found one key."""
    header = {"cluster_id": 1, "member_id": 1, "revision": REVISION, "raft_term": 1}
    entry = {"key": key, "value": value, "create_revision": 2, "mod_revision": 3, "version": 1}
    return _encoded(message("RangeResponse")(header=header, kvs=[entry], count=1))


def envelope(payload: bytes, *, compressed: int = 0, size: int | None = None) -> bytes:
    """Put gRPC's five bytes before a message, and lie in them if asked to."""
    return bytes([compressed]) + (len(payload) if size is None else size).to_bytes(4, "big") + payload


def frame(kind: int, payload: bytes = b"", *, stream: int = 0, flags: int = 0, size: int | None = None) -> bytes:
    """Make an HTTP/2 frame, however wrong."""
    length = len(payload) if size is None else size
    return length.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def forever(data: bytes) -> Iterator[bytes]:
    """Repeat some bytes in pieces large enough to be fast."""
    piece = data * max(1, (1 << 16) // len(data))
    while True:
        yield piece


def _encoded(built: Any) -> bytes:
    encoded: bytes = built.SerializeToString()
    return encoded


def _text(headers: Iterable[tuple[Any, Any]]) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in headers]

"""
Hold one HTTP/2 connection to one etcd member.

The framing is h2's; this module moves bytes between h2 and a `Wire`, and turns h2's events into one gRPC answer. A
connection carries one call at a time and belongs to one thread at a time.

Invariant: a connection is usable again only after a call that came to its proper end. After anything else, also a
KeyboardInterrupt, nobody knows what is half-way through it; ``is_usable`` then says no, and its owner closes it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from hpack import NeverIndexedHeaderTuple

from etcd_settings.errors import TLSError
from etcd_settings.etcd.boundary import HUSH, foreign_errors_end_here
from etcd_settings.etcd.grpc import CallFailed, Deframer, NoAnswer, frame
from etcd_settings.etcd.streams import Call
from etcd_settings.etcd.wire import Wire

__all__ = ["PING_INTERVAL", "Http2Connection"]

_WINDOW = 16 << 20
"""Flow-control window of stream and connection, in bytes: a bulk read never waits for us to acknowledge."""

_MAX_UNSENT = 1 << 20
"""Bytes of a request that may wait for the socket. Twice as many are the answers to a flood of PINGs or SETTINGS."""

_SETTINGS = 4
"""The type, in its fourth byte, of the frame that a server begins with (RFC 9113, section 3.4)."""

PING_INTERVAL = 6.0
"""Seconds of silence on an open stream after which the other side is asked whether it is still there."""

_PING_PATIENCE = 3.0
"""Seconds that it may take to answer."""

_MAX_IDLE = 20.0
"""Seconds after which an unused connection is not trusted any more: something on the way may have forgotten it."""


class Http2Connection:
    """
    A connection that makes gRPC calls, one after another.

    Not thread-safe, but for `interrupt`.

    Args:
        wire: Connected, and through with TLS if it speaks it; the connection closes it.

        authority: What to send as ``:authority``.

        scheme: ``http`` or ``https``.

        max_message: The largest answer to accept, in bytes.
    """

    def __init__(self, wire: Wire, *, authority: str, scheme: str, max_message: int) -> None:
        self._wire = wire
        self._headers = [
            (":method", "POST"),
            (":scheme", scheme),
            (":authority", authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "etcd-settings"),
        ]
        self._max_message = max_message
        self._outgoing = bytearray()
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
        self._h2.local_settings = h2.settings.Settings(
            client=True,
            initial_values={
                h2.settings.SettingCodes.ENABLE_PUSH: 0,
                h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW,
                h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: 1 << 16,
            },
        )
        self._greeted = self._usable = self._goodbye = self._interrupted = self._wants_calm = False
        self._used_at = self._heard_at = time.monotonic()
        self._pinged_at: float | None = None
        self._opening = b""
        self.ping_interval = PING_INTERVAL
        self._call: Call | None = None

    @foreign_errors_end_here(sent=False)
    def greet(self, deadline: float) -> None:
        """
        Exchange settings, which proves that somebody is there who speaks HTTP/2.

        A stopped process still has its connections accepted by the kernel; only the settings tell.

        Raises:
            CallFailed: Nobody answered in time, or not in HTTP/2. Nothing was sent that could have an effect.
            TLSError: The other side refused our certificate.
        """
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_WINDOW - 65_535)
        while not self._greeted:
            _check(deadline)
            self._hear_greeting(deadline)
        self._usable = True

    @foreign_errors_end_here(sent=True)
    def call(
        self,
        path: str,
        message: bytes,
        *,
        metadata: Iterable[tuple[str, str]] = (),
        deadline: float,
        patience: float | None = None,
        on_stream: bool = False,
    ) -> bytes:
        """
        Make one unary call.

        Args:
            path: The method, such as ``/etcdserverpb.KV/Range``.

            message: The encoded request.

            metadata: gRPC metadata to send with it.

            deadline: When to give up, on `time.monotonic`'s clock.

            patience: For how many seconds the call may get no further before giving up earlier than that.

            on_stream: Whether the method is a stream in both directions, on which one answer is wanted. Then our side
                of it stays open until that has come, since a proxy may take the end for "no answer is wanted".

        Returns:
            The encoded answer.

        Raises:
            CallFailed: There was no answer.
            StatusReceived: The server answered with an error.
            MessageTooLargeError: The answer passes the limit.
        """
        timeout = f"{max(int((deadline - time.monotonic()) * 1000), 1)}m"
        call = self._open(path, [("grpc-timeout", timeout), *metadata])
        sent = self._send(call, message, deadline, patience, is_last=not on_stream)
        is_open = on_stream
        while not call.ended:
            if is_open and call.has_message:
                self._h2.end_stream(call.stream)
                is_open = False
            self._await(call, deadline, patience)
            call.check_unary()
        self._wire.flush(self._outgoing)
        self._usable = sent and not is_open and call.is_clean and not self._goodbye and not self._outgoing
        self._call, self._used_at = None, time.monotonic()
        try:
            return call.answer(on_stream=on_stream)
        except CallFailed:
            self._usable = False  # who answers like that is not to be trusted with the next call
            raise

    @foreign_errors_end_here(sent=True)
    def open(self, path: str, *, metadata: Iterable[tuple[str, str]] = ()) -> None:
        """
        Open a stream on which messages go both ways, with `send` and `receive`, until one side ends it.

        The connection is good for this stream alone; nothing goes out before the first message.
        """
        self._open(path, metadata)

    @foreign_errors_end_here(sent=True)
    def send(self, message: bytes, *, deadline: float) -> None:
        """
        Send a message on the open stream.

        Raises:
            CallFailed: It could not be sent in time, or the stream is at its end.
            StatusReceived: The server ended it with an error.
        """
        call = self._opened()
        if not self._send(call, message, deadline, None, is_last=False):
            call.raise_end()

    @foreign_errors_end_here(sent=True)
    def receive(self, *, deadline: float) -> list[bytes]:
        """
        Wait for messages on the open stream; none if the deadline passes first.

        While nothing comes, a PING goes out every 6 seconds and must be acknowledged within 3. The kernel of a stopped
        or cut-off machine goes on acknowledging TCP, so nothing else would tell. Etcd refuses PINGs more often than
        every 5 seconds (``--grpc-keepalive-min-time``).

        Raises:
            CallFailed: The stream broke, or the other side is silent.
            StatusReceived: The server ended the stream with an error.
        """
        call = self._opened()
        while not (messages := call.take_messages()):
            if call.ended:
                call.raise_end()
            wait_until = min(deadline, self._ping_if_due())
            with suppress(TimeoutError):
                self._pump(wait_until)
            if time.monotonic() >= deadline:
                break
        return messages

    @property
    def wants_calm(self) -> bool:
        """Whether the other side complained of too many PINGs."""
        return self._wants_calm

    @property
    def is_reusable(self) -> bool:
        """Whether the last call came to its proper end."""
        return self._usable

    def is_usable(self) -> bool:
        """Tell whether the next call has a good chance: look, without waiting, at what came in since the last one."""
        if not self._usable or not self._wire.is_current or time.monotonic() - self._used_at > _MAX_IDLE:
            return False
        try:
            self._look()
        except NoAnswer:  # nothing came in, as it should be
            return True
        except (CallFailed, TLSError):
            return False
        return not self._goodbye

    def interrupt(self) -> None:
        """End the call that is under way. Safe from any thread."""
        self._interrupted = True
        self._wire.wake()

    def close(self) -> None:
        """Drop the connection. Safe to repeat, and in a forked child."""
        self._usable = False
        self._wire.close()

    def _open(self, path: str, metadata: Iterable[tuple[str, str]]) -> Call:
        self._usable = False
        call = self._call = Call(self._h2.get_next_available_stream_id(), Deframer(self._max_message))
        secret = [NeverIndexedHeaderTuple(name, value) for name, value in metadata]
        with HUSH.while_encoding():
            self._h2.send_headers(call.stream, [(":path", path), *self._headers, *secret])
        return call

    def _opened(self) -> Call:
        if self._call is None:
            raise RuntimeError("no stream is open on this connection")
        return self._call

    def _ping_if_due(self) -> float:
        """Send a PING if it is time; returns when to look again."""
        now = time.monotonic()
        if self._pinged_at is not None:
            if now >= self._pinged_at + _PING_PATIENCE:
                raise CallFailed(f"it did not acknowledge a PING within {_PING_PATIENCE:g} s", sent=True)
            return self._pinged_at + _PING_PATIENCE
        if now >= self._heard_at + self.ping_interval:
            self._h2.ping(b"settings")
            self._pinged_at = now
            return now + _PING_PATIENCE
        return self._heard_at + self.ping_interval

    def _hear_greeting(self, deadline: float) -> None:
        try:
            self._pump(deadline)
        except TimeoutError:
            raise
        except OSError:
            raise CallFailed("it hung up at once (does it want TLS, etcds://?)", sent=False) from None

    @foreign_errors_end_here(sent=False)
    def _look(self) -> None:
        self._pump(0.0)

    def _send(self, call: Call, message: bytes, deadline: float, patience: float | None, *, is_last: bool) -> bool:
        """Send as much as the other side takes; False if it ended the call before it had everything."""
        rest = memoryview(frame(message))
        while rest and not call.ended:
            room = min(self._h2.local_flow_control_window(call.stream), self._h2.max_outbound_frame_size, len(rest))
            if room > 0 and len(self._outgoing) < _MAX_UNSENT:
                self._h2.send_data(call.stream, rest[:room].tobytes(), end_stream=is_last and room == len(rest))
                self._outgoing += self._h2.data_to_send()
                rest = rest[room:]
                call.moved_at = time.monotonic()
            else:
                self._await(call, deadline, patience)
        return not rest

    def _await(self, call: Call, deadline: float, patience: float | None) -> None:
        """Wait for something to happen, unless it is too late for that."""
        until = deadline if patience is None else min(deadline, call.moved_at + patience)
        _check(until)
        self._pump(until)

    def _pump(self, deadline: float) -> None:
        """Send what is to be sent, wait for something to happen, and take in what came."""
        self._outgoing += self._h2.data_to_send()
        received = self._wire.exchange(self._outgoing, deadline)
        if self._interrupted:
            raise CallFailed("it was interrupted", sent=True)
        if received:
            self._heard_at = time.monotonic()
            if not self._greeted:
                self._check_opening(received)
        for event in self._h2.receive_data(received) if received else ():
            self._take(event)
        self._outgoing += self._h2.data_to_send()
        if len(self._outgoing) > 2 * _MAX_UNSENT:
            raise CallFailed("it floods us and does not read our answers", sent=True)

    def _check_opening(self, received: bytes) -> None:
        # h2 would wait for the whole frame that it takes any text for the head of: up to 16 MiB that never come.
        self._opening += received[:4]
        if len(self._opening) >= 4 and self._opening[3] != _SETTINGS:
            raise CallFailed("it does not speak HTTP/2: is this etcd's client port?", sent=False)

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RemoteSettingsChanged():
                self._greeted = True
            case h2.events.PingAckReceived():
                self._pinged_at = None
            case h2.events.ConnectionTerminated(last_stream_id=last, error_code=code):
                self._goodbye = True
                self._wants_calm = code == h2.errors.ErrorCodes.ENHANCE_YOUR_CALM
                if self._call is not None and not self._call.ended:
                    raise CallFailed("it said goodbye (GOAWAY)", sent=self._call.stream <= (last or 0))
            case h2.events.DataReceived(stream_id=stream, flow_controlled_length=length):
                with suppress(h2.exceptions.StreamClosedError):  # data that nobody wants counts all the same
                    self._h2.acknowledge_received_data(length or 0, stream)
        if self._call is not None and getattr(event, "stream_id", None) == self._call.stream:
            self._call.take(event)


def _check(deadline: float) -> None:
    """Look at the clock: to wait is not enough where somebody floods us, for then there is always something to take."""
    if time.monotonic() >= deadline:
        raise TimeoutError

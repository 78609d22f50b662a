"""
Collect what comes back on one HTTP/2 stream: headers, messages, trailers, and the end.

It is fed with h2's events and does no I/O. What breaks gRPC's rules is a `CallFailed`; what the server says no to is a
`StatusReceived`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NoReturn

import h2.errors
import h2.events

from etcd_settings.etcd.grpc import CallFailed, Deframer, read_status

__all__ = ["Call"]


class Call:
    """What has come back so far for one stream."""

    def __init__(self, stream: int, deframer: Deframer) -> None:
        self.stream = stream
        self.ended = False
        self.is_clean = False
        self.moved_at = time.monotonic()  # when the call itself got on; PINGs and the like are no progress
        self._deframer = deframer
        self._messages: list[bytes] = []
        self._headers: dict[str, str] = {}

    def take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived(headers=headers):
                self.moved_at = time.monotonic()
                self._headers |= _decode(headers)
                self._check_headers()
            case h2.events.TrailersReceived(headers=headers):
                self._headers |= _decode(headers)
            case h2.events.DataReceived(data=data) if data:
                self.moved_at = time.monotonic()
                self._messages.extend(self._deframer.feed(data))
            case h2.events.StreamEnded():
                self.ended = self.is_clean = True
            case h2.events.StreamReset(error_code=code) if not self.ended:
                self._reset(code)

    def take_messages(self) -> list[bytes]:
        """Give the messages that came since the last time."""
        messages, self._messages = self._messages, []
        return messages

    def raise_end(self) -> NoReturn:
        """Tell why a stream that should go on has ended."""
        raise read_status(self._headers) or CallFailed("it ended the stream", sent=True)

    def check_unary(self) -> None:
        """Keep no more messages than the one that is expected: a server could go on sending them."""
        if len(self._messages) > 1:
            raise CallFailed("its answer has more than one message", sent=True)

    @property
    def has_message(self) -> bool:
        """Whether a message came that was not taken yet."""
        return bool(self._messages)

    def answer(self, *, on_stream: bool = False) -> bytes:
        """
        Give the one message that a call is answered with.

        Args:
            on_stream: Whether it is not the end of the stream that counts, but that there is an answer: etcd's
                grpc-proxy ends its streams with an error even if the client did.
        """
        status = read_status(self._headers)
        if status is not None and not (on_stream and self._messages):
            raise status
        if len(self._messages) != 1 or not self._deframer.is_empty:
            raise CallFailed("its answer is cut short or has too much", sent=True)
        return self._messages[0]

    def _check_headers(self) -> None:
        status, content = self._headers.get(":status", ""), self._headers.get("content-type", "")
        if status != "200":
            raise CallFailed(f"it answered with HTTP status {status}: is this etcd's client port?", sent=True)
        if not content.startswith("application/grpc"):
            raise CallFailed("its answer is not gRPC: is this etcd's client port?", sent=True)

    def _reset(self, code: int | None) -> None:
        if code == h2.errors.ErrorCodes.NO_ERROR and "grpc-status" in self._headers:
            self.ended = True  # it wants no more of the request, and has answered
            return
        refused = code == h2.errors.ErrorCodes.REFUSED_STREAM
        raise CallFailed(f"it broke the call off (RST_STREAM {code:d})", sent=not refused)


def _decode(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}

"""
Speak gRPC's own part of the protocol: framing, statuses, metadata.

Written from gRPC's ``PROTOCOL-HTTP2.md``. Pure: bytes and headers in, messages and failures out.

Two failures leave the transport: `CallFailed`, where no answer came, and `StatusReceived`, where the server said no.
They are internal; `endpoints` decides what to try next, and `Client` turns what is left into the library's errors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum
from urllib.parse import unquote

from etcd_settings.errors import MessageTooLargeError

__all__ = ["CallFailed", "Deframer", "NoAnswer", "Status", "StatusReceived", "frame", "read_status"]


class Status(IntEnum):
    """gRPC's status codes (``doc/statuscodes.md``)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class CallFailed(Exception):  # noqa: N818  # it never leaves the package, and names what happened
    """
    No answer came.

    Args:
        reason: Why, in words for the user.

        sent: Whether the server may have seen the request. A mutation is repeated only if it can't have.
    """

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.reason, self.sent = reason, sent


class NoAnswer(CallFailed):
    """No answer came in time."""


class StatusReceived(Exception):  # noqa: N818  # likewise
    """The server answered with a status other than OK, and these words."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(status, message)
        self.status, self.message = status, message
        self.endpoint = ""  # filled in by whoever knows


class Deframer:
    """
    Cut a stream of bytes into messages: one byte "compressed", four bytes length, the message.

    Args:
        limit: The largest message to accept, in bytes. It is judged by the announced length, before anything is kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._needed = 5

    def feed(self, data: bytes) -> Iterator[bytes]:
        """
        Take *data*, and give every message that it completes.

        Raises:
            CallFailed: A message is compressed, which we never asked for.
            MessageTooLargeError: A message is announced that passes the limit.
        """
        self._buffer += data
        while len(self._buffer) >= self._needed:
            if self._needed == 5:
                if self._buffer[0]:
                    raise CallFailed("it sent a compressed message, which nobody asked for", sent=True)
                size = int.from_bytes(self._buffer[1:5], "big")
                if size > self._limit:
                    raise MessageTooLargeError("answer", size=size, limit=self._limit)
                self._needed += size
                if size and len(self._buffer) < self._needed:
                    return
            yield bytes(memoryview(self._buffer)[5 : self._needed])
            del self._buffer[: self._needed]
            self._needed = 5

    @property
    def is_empty(self) -> bool:
        """Whether no half message is left over."""
        return not self._buffer


def frame(message: bytes) -> bytes:
    """Put gRPC's prefix before *message*."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def read_status(headers: Mapping[str, str]) -> StatusReceived | None:
    """
    Read what trailers (or the only headers) say; None means OK.

    Raises:
        CallFailed: They carry no gRPC status, or one that is no number.
    """
    number = headers.get("grpc-status", "")
    if not number.isdecimal() or len(number) > 9:  # Python refuses to read thousands of digits
        raise CallFailed("its answer ended without a gRPC status", sent=True)
    if int(number) == Status.OK:
        return None
    known = int(number) in Status.__members__.values()
    status = Status(int(number)) if known else Status.UNKNOWN
    return StatusReceived(status, unquote(headers.get("grpc-message", "")))

"""
Make one unary call to etcd, as ourselves, and say in the library's words why it was refused.

Encoding, the token and its renewal, and the one place where etcd's refusals become errors. The statuses and texts were
measured on etcd 3.4 and 3.5.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol

from google.protobuf.message import DecodeError as MalformedMessage

from etcd_settings.connection import Connection
from etcd_settings.errors import (
    AuthenticationError,
    CompactedError,
    EtcdSettingsError,
    LeaseLostError,
    MessageTooLargeError,
    PermissionDeniedError,
    RequestError,
    UnavailableError,
)
from etcd_settings.etcd.endpoints import Endpoints
from etcd_settings.etcd.grpc import Status, StatusReceived
from etcd_settings.etcd.identity import Identity
from etcd_settings.etcd.messages import message
from etcd_settings.keys import decode_key

__all__ = ["Caller", "Calls", "Purpose", "problem"]


@dataclass(frozen=True, slots=True)
class Purpose:
    """
    What a call is for, so that errors can tell.

    Args:
        access: ``"read"``, ``"write"`` or ``"readwrite"``.

        key: The key or prefix that it touches.

        is_prefix: Whether *key* is a prefix.

        action: What is being done, if that is not about a key.

        lease: The lease that it uses, if any.

        repeatable: Whether doing it twice is as good as doing it once, though it writes.

        on_stream: Whether the method is a stream in both directions, on which one answer is wanted.
    """

    access: str
    key: bytes
    is_prefix: bool = False
    action: str = ""
    lease: int | None = None
    repeatable: bool = False
    on_stream: bool = False

    def __str__(self) -> str:
        return self.action or f"{'reading' if self.access == 'read' else 'writing'} {decode_key(self.key)!r}"


class Caller(Protocol):
    """Whoever can make a unary call; `Calls` is ours, and a store may bring another's connection."""

    def call(self, path: str, request: Any, answer_class: str, *, purpose: Purpose, deadline: float) -> Any:
        """See `Calls.call`."""
        ...


class Calls:
    """
    Unary calls to one cluster.

    Thread-safe.

    Args:
        connection: Where the cluster is, and who we are.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.endpoints = Endpoints(connection)
        self.identity = Identity(connection)

    def deadline(self, timeout: float | None) -> float:
        """Turn a timeout in seconds, None for the connection's, into a time on `time.monotonic`'s clock."""
        return time.monotonic() + (self._connection.timeout if timeout is None else timeout)

    def call(self, path: str, request: Any, answer_class: str, *, purpose: Purpose, deadline: float) -> Any:
        """
        Make a call.

        Args:
            path: The method, such as ``KV/Range``.

            request: The message to send.

            answer_class: The name of the message to expect.

            purpose: What it is for. Only reads, and what is said to be repeatable, are repeated freely.

            deadline: When to give up, on `time.monotonic`'s clock.

        Raises:
            EtcdSettingsError: It was refused, or nobody answered; which one, says who must act.
        """
        try:
            answer = self._as_ourselves(f"/etcdserverpb.{path}", request.SerializeToString(), purpose, deadline)
            return message(answer_class).FromString(answer)
        except StatusReceived as e:
            problem = self.problem(e, purpose)
        except MalformedMessage:
            endpoint = self.endpoints.preferred or "etcd"
            problem = UnavailableError({endpoint: "its answer is no etcd message"}, action=str(purpose))
        raise problem  # outside of the handlers, so that no context holds what came over the wire

    def metadata(self, deadline: float) -> list[tuple[str, str]]:
        """Give the metadata that names us; raises what fetching a token raises."""

        def authenticate(path: str, request: bytes) -> bytes:
            return self.endpoints.call(path, request, deadline=deadline, action="authenticating")

        return self.identity.metadata(authenticate)

    def problem(self, refusal: StatusReceived, purpose: Purpose) -> EtcdSettingsError:
        """Say in the library's words why etcd refused us."""
        return problem(refusal, purpose, user=self._connection.user)

    def close(self) -> None:
        """Drop all connections; calls under way end with a `ClosedError`."""
        self.endpoints.close()

    def _as_ourselves(self, path: str, request: bytes, purpose: Purpose, deadline: float) -> bytes:
        for is_last in (False, True):
            metadata = self.metadata(deadline)
            try:
                return self.endpoints.call(
                    path,
                    request,
                    metadata=metadata,
                    deadline=deadline,
                    mutation=purpose.access != "read" and not purpose.repeatable,
                    on_stream=purpose.on_stream,
                    action=str(purpose),
                )
            except StatusReceived as e:
                # A refused token means that nothing was done, so a write may be repeated too.
                if is_last or not self.identity.forget(e):
                    raise
        raise AssertionError  # the loop returns or raises


def problem(refusal: StatusReceived, purpose: Purpose, *, user: str | None) -> EtcdSettingsError:
    """Say in the library's words why etcd refused *user*, who is None if nobody knows a name."""
    endpoint, reason = refusal.endpoint, refusal.message
    match refusal.status:
        case Status.PERMISSION_DENIED:
            return PermissionDeniedError(
                endpoint=endpoint,
                user=user,
                prefix=decode_key(purpose.key),
                access=purpose.access,
                is_prefix=purpose.is_prefix,
            )
        case Status.UNAUTHENTICATED:
            return AuthenticationError(endpoint=endpoint, user=user)
        case Status.INVALID_ARGUMENT if "user name is empty" in reason:
            return AuthenticationError(endpoint=endpoint, user=user)
        case Status.OUT_OF_RANGE if "compacted" in reason:
            return CompactedError()
        case Status.NOT_FOUND if "lease not found" in reason:
            return LeaseLostError(purpose.lease)
        case Status.INVALID_ARGUMENT | Status.RESOURCE_EXHAUSTED if "larger" in reason or "too large" in reason:
            return MessageTooLargeError("request")
    return RequestError(endpoint=endpoint, status=refusal.status.name, reason=reason)

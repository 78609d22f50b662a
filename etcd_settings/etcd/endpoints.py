"""
Find an endpoint that answers: connections, rotation, retries.

A call goes to the endpoint that served last. If that one fails, the call moves on to the next, and the next call starts
there. Reads move on after any failure; a mutation only if no server can have seen it.

Each endpoint keeps a few idle connections, the last used first. They belong to the process that made them: after a fork
the child drops its copies and connects for itself.
"""

from __future__ import annotations

import os
import random
import time
import weakref
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager

from etcd_settings.connection import Connection
from etcd_settings.errors import ClosedError, EtcdSettingsError, TLSError, UnavailableError, combine
from etcd_settings.etcd.grpc import CallFailed, Status, StatusReceived
from etcd_settings.etcd.http2 import Http2Connection
from etcd_settings.etcd.srv import find_endpoints
from etcd_settings.etcd.tls import make_context
from etcd_settings.etcd.wire import Wire, split_endpoint

__all__ = ["ELSEWHERE", "Endpoints"]

_MAX_IDLE = 4
"""Idle connections kept for each endpoint. More callers at once get more connections, which are closed after use."""

_ROUNDS = 3
"""How often all endpoints are tried. Few: whoever wants to wait for an outage to end does so with the last settings."""

_BACKOFF = 0.1
"""Seconds, at most, between the first two rounds; twice as many each time, with full jitter."""

ELSEWHERE = {
    Status.CANCELLED,
    Status.UNKNOWN,
    Status.DEADLINE_EXCEEDED,
    Status.ABORTED,
    Status.INTERNAL,
    Status.UNAVAILABLE,
    Status.DATA_LOSS,
}
"""Statuses that tell of the member, not of the request: another member may answer."""


class Endpoints:
    """
    The members of one cluster that calls can go to.

    Thread-safe. Each call has a connection for itself while it runs.

    Args:
        connection: Where they are, and how to talk to them.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._order = connection.endpoints  # the favourite first; replaced as a whole, so that no lock is needed
        self._pools: dict[str, _Pool] = {}
        self._asks_dns = connection.srv is not None
        self._closed = False

    def __len__(self) -> int:
        return len(self._order)

    @property
    def preferred(self) -> str | None:
        """The endpoint that served last, or will be asked first; None before DNS has named one."""
        return self._order[0] if self._order else None

    def find(self, deadline: float) -> tuple[str, ...]:
        """
        Give the endpoints, the favourite first; those of ``etcd+srv`` come from DNS, anew after all of them failed.

        Raises:
            UnavailableError: DNS knows none, or did not answer.
        """
        if self._asks_dns and self._connection.srv is not None:
            timeout = max(deadline - time.monotonic(), 0.001)
            self._order = find_endpoints(self._connection.srv, tls=self._connection.tls is not None, timeout=timeout)
            self._asks_dns = False
        return self._order

    def call(
        self,
        path: str,
        message: bytes,
        *,
        metadata: Iterable[tuple[str, str]] = (),
        deadline: float,
        mutation: bool = False,
        on_stream: bool = False,
        action: str,
    ) -> bytes:
        """
        Make a unary call on the first endpoint that answers it.

        Args:
            path: The gRPC method.

            message: The encoded request.

            metadata: gRPC metadata.

            deadline: When to give up, on `time.monotonic`'s clock.

            mutation: Whether doing it twice would matter.

            on_stream: Whether the method is a stream in both directions, on which one answer is wanted.

            action: What is being done, for errors: ``reading '/config/'``.

        Raises:
            StatusReceived: An endpoint answered, and refused.
            UnavailableError: None answered in time.
            TLSError: None was trusted, or trusted us.
            ClosedError: `close` was called.
        """
        failures: dict[str, CallFailed | TLSError] = {}
        patience = self._connection.connect_timeout if len(self.find(deadline)) > 1 and not mutation else None
        for endpoint in self._attempts(failures, deadline):
            try:
                answer = self._attempt(endpoint, path, message, metadata, deadline, patience, on_stream=on_stream)
            except StatusReceived as e:
                if e.status not in ELSEWHERE:
                    self._prefer(endpoint)
                    e.endpoint = endpoint
                    raise
                failures[endpoint] = CallFailed(f"{e.status.name}, {e.message}", sent=True)
            except (CallFailed, TLSError) as e:
                failures[endpoint] = e
            else:
                self._prefer(endpoint)
                return answer
            if mutation and getattr(failures[endpoint], "sent", False):
                break
        self._asks_dns = self._connection.srv is not None  # perhaps the cluster has moved
        raise self._verdict(failures, action, mutation=mutation)

    @contextmanager
    def dedicated(self, endpoint: str) -> Generator[Http2Connection]:
        """
        Lend a new connection to *endpoint* that nobody else will use, for a stream.

        Raises:
            CallFailed: Nobody answered there within the connection's ``connect_timeout``.
            TLSError: It was not trusted, or did not trust us.
            ClosedError: `close` was called.
        """
        if self._closed:
            raise ClosedError("Client")
        with self._pool(endpoint).connection(time.monotonic() + self._connection.timeout, dedicated=True) as connection:
            yield connection

    def pass_over(self, endpoint: str) -> None:
        """Ask the one after *endpoint* first from now on."""
        if self.preferred == endpoint:
            self._order = (*self._order[1:], endpoint)

    def close(self) -> None:
        """Drop every connection; calls under way end with a `ClosedError`."""
        self._closed = True
        for pool in list(self._pools.values()):
            pool.close()

    def _attempts(self, failures: Mapping[str, Exception], deadline: float) -> Iterator[str]:
        """Go round the endpoints while there is time; a round later those whose certificate was wrong are left out."""
        for number in range(_ROUNDS):
            if number and all(isinstance(failures.get(endpoint), TLSError) for endpoint in self._order):
                return
            if number:
                pause = random.uniform(0, _BACKOFF * 2**number)  # noqa: S311  # jitter, not cryptography
                time.sleep(max(min(pause, deadline - time.monotonic()), 0))
            for endpoint in self._order:
                if self._closed or (number and time.monotonic() >= deadline):
                    return
                if not isinstance(failures.get(endpoint), TLSError):
                    yield endpoint

    def _attempt(
        self,
        endpoint: str,
        path: str,
        message: bytes,
        metadata: Iterable[tuple[str, str]],
        deadline: float,
        patience: float | None,
        *,
        on_stream: bool,
    ) -> bytes:
        with self._pool(endpoint).connection(deadline) as connection:
            return connection.call(
                path, message, metadata=metadata, deadline=deadline, patience=patience, on_stream=on_stream
            )

    def _pool(self, endpoint: str) -> _Pool:
        pool = self._pools.get(endpoint)
        return pool or self._pools.setdefault(endpoint, _Pool(endpoint, self._connection))

    def _prefer(self, endpoint: str) -> None:
        if endpoint in self._order[1:]:
            at = self._order.index(endpoint)
            self._order = self._order[at:] + self._order[:at]

    def _verdict(
        self, failures: Mapping[str, CallFailed | TLSError], action: str, *, mutation: bool
    ) -> EtcdSettingsError:
        if self._closed:
            return ClosedError("Client")
        distrusted = [failure for failure in failures.values() if isinstance(failure, TLSError)]
        if distrusted and len(distrusted) == len(failures):
            return combine(distrusted)
        maybe_done = mutation and any(getattr(failure, "sent", False) for failure in failures.values())
        return UnavailableError(
            {endpoint: failure.reason for endpoint, failure in failures.items()}, action=action, maybe_done=maybe_done
        )


class _Pool:
    """The connections to one endpoint."""

    def __init__(self, endpoint: str, connection: Connection) -> None:
        self._endpoint, self._connection = endpoint, connection
        self._closed = False
        self._idle: list[Http2Connection] = []  # of lists and sets only single, atomic operations are used: no lock
        self._busy: set[Http2Connection] = set()
        _POOLS.add(self)

    @contextmanager
    def connection(self, deadline: float, *, dedicated: bool = False) -> Generator[Http2Connection]:
        """Lend a connection, which is the borrower's alone until it comes back."""
        connection = (None if dedicated else self._take_idle()) or self._connect(deadline)
        self._busy.add(connection)
        try:
            yield connection
        finally:
            self._busy.discard(connection)
            if connection.is_reusable and not self._closed and len(self._idle) < _MAX_IDLE:
                self._idle.append(connection)
            else:
                connection.close()

    def close(self) -> None:
        self._closed = True
        for connection in list(self._busy):
            connection.interrupt()  # its borrower closes it: nobody else may touch its socket
        while self._idle:
            self._idle.pop().close()

    def forget(self) -> None:
        """Drop what was inherited from the parent process, which goes on using it."""
        for connection in (*self._idle, *self._busy):
            connection.close()
        self._idle, self._busy = [], set()

    def _take_idle(self) -> Http2Connection | None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.is_usable():
                return connection
            connection.close()

    def _connect(self, deadline: float) -> Http2Connection:
        deadline = min(deadline, time.monotonic() + self._connection.connect_timeout)
        tls = self._connection.tls
        context = make_context(tls) if tls else None
        wire = Wire.connect(self._endpoint, deadline=deadline)
        try:
            if tls and context:
                wire.start_tls(context, tls.server_name or split_endpoint(self._endpoint)[0], deadline=deadline)
            connection = Http2Connection(
                wire,
                authority=self._endpoint,
                scheme="https" if tls else "http",
                max_message=self._connection.max_message,
            )
            connection.greet(deadline)
        except BaseException:
            wire.close()
            raise
        return connection


_POOLS: weakref.WeakSet[_Pool] = weakref.WeakSet()


def _forget_all() -> None:
    for pool in list(_POOLS):
        pool.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)

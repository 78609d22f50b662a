"""
Watch keys, and go on watching when a member dies.

A `Watch` holds one stream on one member. When that breaks, it resumes on the next member at the revision that it has
seen, so that nothing is missed and nothing comes twice. What cannot be resumed is raised: history that was compacted
away, a cluster that was restored from a backup, a permission that is gone.

It belongs to the thread that iterates it; only `close` may come from another.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Self

from google.protobuf.message import DecodeError as MalformedMessage

from etcd_settings.errors import (
    ClosedError,
    EtcdSettingsError,
    RestoredError,
    TLSError,
    UnavailableError,
    combine,
)
from etcd_settings.etcd.calls import Calls, Purpose
from etcd_settings.etcd.endpoints import ELSEWHERE
from etcd_settings.etcd.feed import Batch, Feed
from etcd_settings.etcd.grpc import CallFailed, Status, StatusReceived
from etcd_settings.etcd.http2 import PING_INTERVAL, Http2Connection
from etcd_settings.etcd.messages import message

__all__ = ["Watch"]

_METHOD = "/etcdserverpb.Watch/Watch"

_HAS_LEADER = ("hasleader", "true")
"""Makes a member that has lost the others end the stream after about 3 s, instead of keeping it silently open."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
"""Seconds, at most, before the first and before later attempts to resume; each time twice as many, with full jitter."""

_STEADY = 1.0
"""Seconds that a watch must have stood to count as good: who always hangs up at once is asked ever more rarely."""


class Watch(Iterator[Batch]):
    """
    What happens to some keys, one batch for each revision, without a gap.

    An iterator: it waits for the next batch, and ends after `close`. Made by `Client.watch`.

    Args:
        calls: How to reach etcd.

        feeds: What to watch. Several come over one stream, each in its own order.

        purpose: What it is for, for errors.

        cluster_id: The cluster that the feeds' revisions belong to; None takes the first that answers.

        on_connection: Called in the iterating thread with True whenever the watch stands, and with False when it broke.

    Raises:
        CompactedError: What comes next is gone; read everything anew, and watch from there.
        RestoredError: The cluster was restored to an earlier state; likewise.
        PermissionDeniedError: The user may not, or no longer, read the keys.
        UnavailableError: No endpoint answered at the first attempt. Later it goes on trying.
    """

    def __init__(
        self,
        calls: Calls,
        feeds: Sequence[Feed],
        purpose: Purpose,
        *,
        cluster_id: int | None = None,
        on_connection: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._calls, self._feeds, self._purpose = calls, feeds, purpose
        self._cluster_id = cluster_id
        self._on_connection = on_connection
        self._ready: deque[Batch] = deque()
        self._failures: dict[str, CallFailed | TLSError] = {}
        self._attempts = 0
        self._stands = self._stood = False
        self._stands_since = 0.0
        self._token_is_fresh = False
        self._ping_interval = PING_INTERVAL
        self._connection: Http2Connection | None = None
        self._endpoint = ""
        self._created_by = 0.0
        self._lent = ExitStack()
        self._closing = threading.Event()

    @property
    def endpoint(self) -> str | None:
        """The member that it is connected to; None while it is connected to none."""
        return self._endpoint if self._stands else None

    @property
    def failures(self) -> dict[str, str]:
        """Endpoint → why it did not serve, since the watch last stood."""
        return {endpoint: failure.reason for endpoint, failure in self._failures.items()}

    def __next__(self) -> Batch:
        while True:
            try:
                batch = self.poll(60.0)
            except ClosedError:
                raise StopIteration from None
            if batch is not None and batch.events:
                return batch

    def poll(self, timeout: float) -> Batch | None:
        """
        Wait at most *timeout* seconds for the next batch, mere progress included; None if there is none.

        Raises what iterating raises, and `ClosedError` after `close`.
        """
        deadline = time.monotonic() + timeout
        while not self._ready:
            if self._closing.is_set():
                self._drop()
                raise ClosedError("Watch")
            try:
                self._advance(deadline)
            except (CallFailed, TLSError) as e:
                self._fail(e)
            except StatusReceived as e:
                self._refused(e)
            except BaseException:
                self._drop()  # nobody knows what is half-way through the stream; the next poll resumes
                raise
            if time.monotonic() >= deadline:
                break
        return self._ready.popleft() if self._ready else None

    def close(self) -> None:
        """End it; an iteration that waits ends too. Safe from any thread, and to repeat."""
        self._closing.set()
        connection = self._connection
        if connection is not None:
            connection.interrupt()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
        self._drop()

    def _advance(self, deadline: float) -> None:
        if self._connection is None:
            self._pause(deadline)
            self._connect()
        elif not self._stands:
            self._receive(self._created_by)
            self._check_creation()
        else:
            self._receive(deadline)

    def _pause(self, deadline: float) -> None:
        if self._attempts:
            longest = min(_FIRST_PAUSE * 2 ** (self._attempts - 1), _LONGEST_PAUSE)
            pause = random.uniform(0, longest)  # noqa: S311  # jitter, not cryptography
            self._closing.wait(min(pause, max(deadline - time.monotonic(), 0)))

    def _connect(self) -> None:
        endpoints = self._calls.endpoints
        self._endpoint = endpoints.find(self._calls.deadline(None))[0]
        self._attempts += 1
        metadata = [_HAS_LEADER, *self._calls.metadata(self._calls.deadline(None))]
        connection = self._connection = self._lent.enter_context(endpoints.dedicated(self._endpoint))
        if self._closing.is_set():
            return  # closed before there was something to interrupt
        connection.ping_interval = self._ping_interval
        connection.open(_METHOD, metadata=metadata)
        self._created_by = self._calls.deadline(None)
        for number, feed in enumerate(self._feeds, 1):
            connection.send(feed.create_request(number).SerializeToString(), deadline=self._created_by)

    def _receive(self, deadline: float) -> None:
        if self._connection is None:
            return
        for encoded in self._connection.receive(deadline=deadline):
            try:
                response = message("WatchResponse").FromString(encoded)
            except MalformedMessage:
                response = None
            if response is None:
                raise CallFailed("its answer is no etcd message", sent=True)
            if response.watch_id < 0 and not response.canceled:
                continue  # the answer to a progress request, which may overtake events
            at = response.watch_id - 1 if 0 < response.watch_id <= len(self._feeds) else 0
            if response.created and not response.canceled:
                self._check_identity(response.header.cluster_id)
            self._ready.extend(self._feeds[at].take(response))

    def _check_creation(self) -> None:
        """Count the watch as standing once every feed was created; a server that is behind us may be a restored one."""
        created = [feed.created_at for feed in self._feeds]
        if None in created:
            if time.monotonic() >= self._created_by:
                raise CallFailed("it did not create the watch in time", sent=True)
            return
        if any(feed.is_behind for feed in self._feeds):
            self._tell_lag_from_restore()
        self._stands = self._stood = True
        self._stands_since = time.monotonic()
        self._failures = {}
        self._token_is_fresh = False
        self._on_connection(True)

    def _tell_lag_from_restore(self) -> None:
        newest = max(feed.revision or 0 for feed in self._feeds)
        request = message("RangeRequest")(key=self._feeds[0].key, range_end=self._feeds[0].range_end, count_only=True)
        answer = self._calls.call(
            "KV/Range", request, "RangeResponse", purpose=self._purpose, deadline=self._calls.deadline(None)
        )
        if answer.header.revision < newest:
            raise RestoredError(answer.header.revision)

    def _check_identity(self, cluster_id: int) -> None:
        if self._cluster_id is None:
            self._cluster_id = cluster_id
        elif cluster_id != self._cluster_id:
            raise RestoredError(None)

    def _fail(self, failure: CallFailed | TLSError) -> None:
        """Move on to the next endpoint, unless this was the first attempt and none is left."""
        if self._connection is not None and self._connection.wants_calm:
            self._ping_interval *= 2
        self._failures[self._endpoint] = failure
        self._calls.endpoints.pass_over(self._endpoint)
        self._drop()
        if not (self._stood or self._closing.is_set()) and len(self._failures) == len(self._calls.endpoints):
            raise self._verdict()

    def _refused(self, refusal: StatusReceived) -> None:
        refusal.endpoint = self._endpoint
        self._drop()
        about_us = self._calls.identity.forget(refusal) or refusal.status is Status.PERMISSION_DENIED
        if about_us and not self._token_is_fresh:
            # Etcd 3.5 calls a token that it does not know "permission denied"; only a fresh one makes that final.
            self._calls.identity.renew()
            self._token_is_fresh = True
        elif refusal.status in ELSEWHERE:
            self._fail(CallFailed(f"{refusal.status.name}, {refusal.message}", sent=True))
        else:
            raise self._calls.problem(refusal, self._purpose)

    def _verdict(self) -> EtcdSettingsError:
        distrusted = [failure for failure in self._failures.values() if isinstance(failure, TLSError)]
        if len(distrusted) == len(self._failures):
            return combine(distrusted)
        return UnavailableError(self.failures, action=str(self._purpose))

    def _drop(self) -> None:
        self._connection = None
        self._lent.close()
        if self._stands:
            self._stands = False
            if time.monotonic() - self._stands_since >= _STEADY:
                self._attempts = 0
            self._on_connection(False)

"""
Read and watch through a python-etcd3 client that somebody else made.

Only the guest's gRPC channel is used, and the metadata that holds its token (its call credentials hold the same, and
current versions of gRPC refuse them without TLS). What goes over it is ours, in our own messages: so a bulk
read is at one revision, pages are pinned, and a watch resumes where the read ended and sees revisions whole, none of
which python-etcd3 does by itself. Its generated code, which is what old and new versions of protobuf quarrel about, is
never touched.

A channel knows one endpoint, and nobody here fails over: when the watch breaks it says so, and the reflector reads
everything again. That is without a gap too, and costs a read.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final, Protocol, cast

from etcd_settings.errors import (
    ClosedError,
    ConfigurationError,
    EtcdSettingsError,
    RestoredError,
    UnavailableError,
)
from etcd_settings.etcd.calls import Purpose, problem
from etcd_settings.etcd.endpoints import ELSEWHERE
from etcd_settings.etcd.feed import Batch, Feed
from etcd_settings.etcd.grpc import CallFailed, Status, StatusReceived
from etcd_settings.etcd.messages import message
from etcd_settings.etcd.reading import read
from etcd_settings.keys import ALL_KEYS, encode_key, range_end
from etcd_settings.snapshot import Snapshot
from etcd_settings.stores.etcd import EtcdWatch

__all__ = ["Etcd3Client", "PythonEtcd3Store"]

_TIMEOUT = 5.0
"""Seconds for a call, and for the creation of a watch, unless the client has a timeout of its own."""

_SILENCE = 10.0
"""Seconds without a word on a watch after which the server is asked something: nobody here can PING it."""

_OUTAGES = {*ELSEWHERE, Status.CANCELLED, Status.DEADLINE_EXCEEDED}


class Etcd3Client(Protocol):
    """What is used of an ``etcd3.client()``; forks that have these attributes will do."""

    channel: Any
    timeout: Any
    metadata: Any


class PythonEtcd3Store:
    """
    An ``etcd3.client()`` as a store: ``Source(store=PythonEtcd3Store(client), prefix="/config/app/")``.

    The client stays its owner's: closing the store or the source leaves it open. Its limits stay too: one endpoint, a
    token that it never renews, and no forks after its first call.

    Args:
        client: What ``etcd3.client(…)`` gave (python-etcd3 0.12, or a fork with the same attributes).

    Raises:
        ConfigurationError: It is no such client.

    Thread-safe.
    """

    def __init__(self, client: Etcd3Client) -> None:
        lacking = [name for name in Etcd3Client.__annotations__ if not hasattr(client, name)]
        if lacking:
            raise ConfigurationError(
                f"PythonEtcd3Store takes what etcd3.client(…) gives; {type(client).__name__} has no {lacking[0]!r}."
            )
        self._guest = _Guest(client)

    @property
    def endpoint(self) -> str | None:
        """Where the client is connected to, as it says."""
        return self._guest.endpoint

    def read(self, layers: Mapping[str, str], *, timeout: float) -> Snapshot:
        """Read all layers at one revision; see `etcd_settings.etcd.Client.read`."""
        return self._guest.read(layers, timeout=timeout)

    def watch(self, layers: Mapping[str, str], since: Snapshot, *, on_connection: Callable[[bool], None]) -> EtcdWatch:
        """Watch all layers from the snapshot's revision on."""
        return EtcdWatch(self._guest, layers, since, on_connection)

    def close(self) -> None:
        """Do nothing: the client belongs to whoever made it."""

    def __repr__(self) -> str:
        return f"<PythonEtcd3Store of {self.endpoint}>"


class _Guest:
    """A foreign client, asked in our own words; what `reading.read` and `EtcdWatch` need of a client."""

    def __init__(self, client: Etcd3Client) -> None:
        self._client = client
        self.endpoint: str = getattr(client, "_url", "the etcd3 client")
        self.patience: float = client.timeout or _TIMEOUT

    def read(self, layers: Mapping[str, str], *, timeout: float | None = None) -> Snapshot:
        return read(self, layers, deadline=time.monotonic() + (self.patience if timeout is None else timeout))

    def call(self, path: str, request: Any, answer_class: str, *, purpose: Purpose, deadline: float) -> Any:
        method = self._client.channel.unary_unary(f"/etcdserverpb.{path}")  # without serializers it carries bytes
        left = max(deadline - time.monotonic(), 0.001)
        try:
            answer = method(request.SerializeToString(), timeout=left, metadata=self._client.metadata)
            return message(answer_class).FromString(answer)
        except Exception as e:  # noqa: BLE001  # gRPC's errors have no common type that could be named without gRPC
            failure = self.translate(e, purpose)
        raise failure  # outside of the handler, so that no context holds what came over the wire

    def watch_prefixes(
        self, prefixes: Sequence[str], *, after: int, cluster_id: int | None, on_connection: Callable[[bool], None]
    ) -> _GuestWatch:
        keys = [encode_key(prefix) for prefix in prefixes]
        feeds = [Feed(key or ALL_KEYS, range_end(key), after) for key in keys]
        return _GuestWatch(self, feeds, Purpose("read", keys[0], is_prefix=True), cluster_id, on_connection)

    def stream(self, requests: SimpleQueue[bytes | None]) -> Any:
        method = self._client.channel.stream_stream("/etcdserverpb.Watch/Watch")
        metadata = (*(self._client.metadata or ()), ("hasleader", "true"))
        return method(iter(requests.get, None), metadata=metadata)

    def translate(self, failure: Exception, purpose: Purpose) -> Exception:
        """Say in the library's words what gRPC raised; what is not its own is given back."""
        if isinstance(failure, ValueError) and "closed channel" in str(failure):
            return ClosedError("etcd3 client")
        if isinstance(failure, CallFailed):
            return UnavailableError({self.endpoint: failure.reason}, action=str(purpose))
        if isinstance(failure, StatusReceived):
            refusal = failure
        elif callable(getattr(failure, "code", None)) and callable(getattr(failure, "details", None)):
            error: Any = failure
            refusal = StatusReceived(Status[error.code().name], error.details() or "")
        else:
            return failure
        refusal.endpoint = self.endpoint
        if refusal.status in _OUTAGES:
            return UnavailableError({self.endpoint: f"{refusal.status.name}, {refusal.message}"}, action=str(purpose))
        return problem(refusal, purpose, user=None)


_ENDED: Final = object()
_CLOSED: Final = object()


class _GuestWatch:
    """
    One watch on one stream, until that breaks.

    gRPC's iterator can't be waited for with a timeout, so a thread of its own empties it. `poll` belongs to one thread;
    `close` may come from any.
    """

    def __init__(
        self,
        guest: _Guest,
        feeds: Sequence[Feed],
        purpose: Purpose,
        cluster_id: int | None,
        on_connection: Callable[[bool], None],
    ) -> None:
        self._guest, self._feeds, self._purpose, self._cluster_id = guest, feeds, purpose, cluster_id
        self._on_connection = on_connection
        self._requests: SimpleQueue[bytes | None] = SimpleQueue()
        self._inbox: SimpleQueue[object] = SimpleQueue()
        self._ready: list[Batch] = []
        self._stream: Any = None
        self._created_by = self._heard_at = 0.0
        self._stands = self._closed = False

    @property
    def endpoint(self) -> str | None:
        """Where the watch stands; None while it does not."""
        return self._guest.endpoint if self._stands else None

    def poll(self, timeout: float) -> Batch | None:
        """Wait at most *timeout* seconds for the next batch; see `etcd_settings.etcd.Watch.poll`."""
        deadline = time.monotonic() + timeout
        try:
            if self._stream is None and not self._closed:
                self._open()
            while not self._ready and self._take(deadline):
                pass
        except EtcdSettingsError:
            raise
        except Exception as e:  # noqa: BLE001  # as in `_Guest.call`
            failure = self._guest.translate(e, self._purpose)
        else:
            return self._ready.pop(0) if self._ready else None
        raise failure

    def close(self) -> None:
        self._closed = True
        self._inbox.put(_CLOSED)
        self._requests.put(None)
        if self._stream is not None:
            self._stream.cancel()

    def __exit__(self, *exception: object) -> None:
        self.close()
        self._tell(stands=False)

    def _open(self) -> None:
        for number, feed in enumerate(self._feeds, 1):
            self._requests.put(feed.create_request(number).SerializeToString())
        self._created_by = time.monotonic() + self._guest.patience
        self._stream = self._guest.stream(self._requests)
        if self._closed:  # meanwhile, when there was nothing yet to cancel
            self._stream.cancel()
        threading.Thread(target=self._listen, name="etcd-settings-guest", daemon=True).start()

    def _listen(self) -> None:
        try:
            for encoded in self._stream:
                self._inbox.put(encoded)
        except Exception as e:  # noqa: BLE001  # it is raised in the thread that polls
            self._inbox.put(e)
        self._inbox.put(_ENDED)

    def _take(self, deadline: float) -> bool:
        """Take in one answer; tell whether there was one in time."""
        if not self._stands:
            deadline = min(deadline, self._created_by)
        try:
            said = self._inbox.get(timeout=max(deadline - time.monotonic(), 0))
        except Empty:
            if not self._stands and time.monotonic() >= self._created_by:
                raise CallFailed("it did not create the watch in time", sent=True) from None
            self._ask_after_silence()
            return False
        self._heard_at = time.monotonic()
        if said is _CLOSED or self._closed:
            raise ClosedError("Watch")
        if isinstance(said, Exception):
            raise said
        if said is _ENDED:
            raise CallFailed("it ended the stream", sent=True)
        self._read(message("WatchResponse").FromString(cast("bytes", said)))
        return True

    def _ask_after_silence(self) -> None:
        """Raise if the server does not answer any more: the kernel of a frozen one keeps the stream open."""
        if self._stands and time.monotonic() - self._heard_at >= _SILENCE:
            request = message("RangeRequest")(
                key=self._feeds[0].key, range_end=self._feeds[0].range_end, count_only=True
            )
            deadline = time.monotonic() + self._guest.patience
            self._guest.call("KV/Range", request, "RangeResponse", purpose=self._purpose, deadline=deadline)
            self._heard_at = time.monotonic()

    def _read(self, response: Any) -> None:
        if response.watch_id < 0 and not response.canceled:
            return  # the answer to a progress request, which may overtake events
        at = response.watch_id - 1 if 0 < response.watch_id <= len(self._feeds) else 0
        if response.created and not response.canceled and response.header.cluster_id != self._cluster_id:
            raise RestoredError(None)
        self._ready += self._feeds[at].take(response)
        if any(feed.is_behind for feed in self._feeds):  # a member that lags, or a restored cluster: reading tells
            raise RestoredError(response.header.revision)
        self._tell(stands=all(feed.created_at is not None for feed in self._feeds))

    def _tell(self, *, stands: bool) -> None:
        if stands is not self._stands:
            self._stands = stands
            self._on_connection(stands)

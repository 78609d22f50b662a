"""
Talk to etcd: the v3 API in Python's words.

Keys and values are bytes or `str` in, `Entry` out. What the wire says becomes the library's errors here, and nowhere
else.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from etcd_settings.connection import Connection
from etcd_settings.errors import ConcurrentWriteError
from etcd_settings.etcd import administration
from etcd_settings.etcd.administration import Alarm, Member, MemberStatus
from etcd_settings.etcd.calls import Calls, Purpose
from etcd_settings.etcd.feed import Feed
from etcd_settings.etcd.lease import Lease
from etcd_settings.etcd.lock import Lock
from etcd_settings.etcd.messages import message
from etcd_settings.etcd.reading import read
from etcd_settings.etcd.requests import (
    MAX_OPERATIONS,
    Compare,
    Delete,
    Get,
    Put,
    Request,
    Txn,
    TxnResult,
    nest,
    span,
)
from etcd_settings.etcd.trees import lay_over, untouched
from etcd_settings.etcd.watch import Watch
from etcd_settings.keys import decode_key, encode_key, normalize_prefix
from etcd_settings.snapshot import Entry, Snapshot
from etcd_settings.tree import Tree, build

__all__ = ["Client"]

_ATTEMPTS = 100
"""How often others may write between a read and the write that is based on it, before we give up."""


class Client:
    """
    A client of one etcd cluster.

    Thread-safe. After a fork the child connects for itself. Close it, or use it as a context manager.

    Args:
        where: A URL such as ``etcd://user:password@host:2379,host2/`` (its prefix is ignored, keys are absolute), or a
            `Connection`.
    """

    def __init__(self, where: str | Connection) -> None:
        self.connection = Connection.from_url(where) if isinstance(where, str) else where
        self._calls = Calls(self.connection)
        self._leases: weakref.WeakValueDictionary[int, Lease] = weakref.WeakValueDictionary()

    @property
    def endpoint(self) -> str | None:
        """The endpoint that served last, or will be asked first; None before DNS has named one."""
        return self._calls.endpoints.preferred

    def get(self, key: str | bytes, *, timeout: float | None = None) -> Entry | None:
        """Read one key; None if it does not exist."""
        answer = self._kv("Range", span(key, prefix=False), Purpose("read", encode_key(key)), timeout)
        return Entry.from_row(answer.kvs[0]) if answer.kvs else None

    def get_prefix(self, prefix: str | bytes, *, revision: int | None = None, timeout: float | None = None) -> Snapshot:
        """
        Read all keys that start with *prefix*; the snapshot's paths are what follows it.

        Args:
            prefix: The prefix; ``""`` means every key.

            revision: Read as of this revision; None means now.

            timeout: Seconds for the whole call; None takes the connection's.

        Raises:
            CompactedError: *revision* is older than etcd remembers.
        """
        return self.read({"": decode_key(encode_key(prefix))}, revision=revision, timeout=timeout)

    def read(self, layers: Mapping[str, str], *, revision: int | None = None, timeout: float | None = None) -> Snapshot:
        """
        Read several prefixes at one revision: one round trip, up to 128 prefixes of 10,000 keys.

        What is beyond that comes in further calls, pinned to the first one's revision. A compaction in their midst
        starts the reading over.

        Args:
            layers: Layer → prefix.

            revision: Read as of this revision; None means now.

            timeout: Seconds for the whole call; None takes the connection's.
        """
        return read(self._calls, layers, revision=revision or 0, deadline=self._calls.deadline(timeout))

    def put(
        self, key: str | bytes, value: str | bytes, *, lease: int | None = None, timeout: float | None = None
    ) -> int:
        """
        Write one key; returns the revision that did it.

        Args:
            key: The key.

            value: The value.

            lease: The id of a lease with which the key goes; without one it stays.

            timeout: Seconds for the whole call; None takes the connection's.

        Raises:
            LeaseLostError: There is no such lease any more.
        """
        fields = {"key": encode_key(key), "value": encode_key(value), "lease": lease or 0}
        purpose = Purpose("write", encode_key(key), lease=lease)
        revision: int = self._kv("Put", fields, purpose, timeout).header.revision
        return revision

    def delete(self, key: str | bytes, *, timeout: float | None = None) -> int:
        """Delete one key; returns how many there were, 0 or 1."""
        purpose = Purpose("write", encode_key(key))
        deleted: int = self._kv("DeleteRange", span(key, prefix=False), purpose, timeout).deleted
        return deleted

    def delete_prefix(self, prefix: str | bytes, *, timeout: float | None = None) -> int:
        """Delete all keys that start with *prefix*; returns how many there were."""
        purpose = Purpose("write", encode_key(prefix), is_prefix=True)
        deleted: int = self._kv("DeleteRange", span(prefix, prefix=True), purpose, timeout).deleted
        return deleted

    def txn(
        self,
        *,
        compare: Iterable[Compare] = (),
        success: Sequence[Request] = (),
        failure: Sequence[Request] = (),
        timeout: float | None = None,
    ) -> TxnResult:
        """
        Do *success* if all comparisons hold, else *failure*, at once and at one revision.

        Raises:
            RequestError: More than etcd's 128 operations, or one key written twice.
        """
        txn = Txn(tuple(compare), tuple(success), tuple(failure))
        leaves = [*txn.leaves()]
        access = "read" if all(isinstance(each, Get) for each in leaves) else "write"
        purpose = Purpose(access, encode_key(leaves[0].key if leaves else ""))
        return TxnResult.from_message(self._kv("Txn", txn.fields(), purpose, timeout))

    def get_tree(self, prefix: str | bytes, *, timeout: float | None = None) -> Tree:
        """
        Read a prefix as one nested `dict` of texts, documents opened; empty if there is nothing.

        Args:
            prefix: The prefix; the slash at its end is added if it is missing.

            timeout: Seconds for the whole call; None takes the connection's.

        Raises:
            ConflictError: Keys contradict each other.
            DecodeError: A document does not parse.
        """
        return build(self.get_prefix(_branch(prefix), timeout=timeout))

    def put_tree(self, prefix: str | bytes, tree: Mapping[str, Any], *, timeout: float | None = None) -> int:
        """
        Merge a nested mapping into what a prefix holds: a key for each leaf, in one transaction.

        It deletes nothing that the tree does not replace: a leaf takes the place of the branch or document that was
        there, and a branch that of a text. What `get_tree` gives afterwards is what it gave before, with *tree* merged
        over it, as text. `etcd_settings.publish` can do more: delete what is not in the tree, write into documents, and
        show first what would change.

        Args:
            prefix: The prefix; the slash at its end is added if it is missing.

            tree: Texts, numbers, booleans, null, dates, lists, and mappings of these; see `etcd_settings.spelling`.

            timeout: Seconds for the whole call; None takes the connection's.

        Returns:
            The revision that did it; that of a read, if the tree is empty.

        Raises:
            ConfigurationError: A name or a value would not read back. Nothing was written.
            DecodeError: There is a document where the tree has a branch, and it does not parse. Nothing was written.
            TooManyChangesError: There are more than 4,096 keys. Nothing was written.
            ConcurrentWriteError: Others wrote to the same branches again and again. Nothing was written.
        """
        place, deadline = _branch(prefix), self._calls.deadline(timeout)
        attempts = 0
        while True:
            held = self.get_prefix(place, timeout=deadline - time.monotonic())
            changes = lay_over(held, tree)
            requests = [
                Delete(place + path) if new is None else Put(place + path, new) for path, new in changes.items()
            ]
            if not requests:
                return held.revision
            guard = untouched(place, tree, held.revision, whole=len(requests) > MAX_OPERATIONS)
            done = self.txn(compare=guard, success=nest(requests), timeout=deadline - time.monotonic())
            if done.succeeded:
                return done.revision
            attempts += 1
            if attempts == _ATTEMPTS:
                raise ConcurrentWriteError([place], done.revision)

    def watch(self, prefix_or_key: str | bytes, *, prefix: bool = True, start_revision: int | None = None) -> Watch:
        """
        Watch what happens to a prefix, or with ``prefix=False`` to one key.

        Args:
            prefix_or_key: What to watch.

            prefix: Whether it is a prefix.

            start_revision: The first revision to tell of, even if it is past; None tells of what comes from now on.

        Returns:
            An iterator of batches, one for each revision, that resumes by itself. Close it from any thread.

        Raises:
            CompactedError: *start_revision*, or what comes next, is compacted away.
        """
        revision = None if start_revision is None else max(start_revision - 1, 0)
        purpose = Purpose("read", encode_key(prefix_or_key), is_prefix=prefix)
        return Watch(self._calls, [_feed(prefix_or_key, revision, prefix=prefix)], purpose)

    def watch_prefixes(
        self,
        prefixes: Sequence[str],
        *,
        after: int,
        cluster_id: int | None = None,
        on_connection: Callable[[bool], None] = lambda _: None,
    ) -> Watch:
        """
        Watch several prefixes over one stream; each comes in its own order.

        Args:
            prefixes: What to watch.

            after: The revision that is known already.

            cluster_id: Whose revision that is; a watch on another cluster ends with a `RestoredError`.

            on_connection: Called in the iterating thread with True when the watch stands, with False when it broke.
        """
        purpose = Purpose("read", encode_key(prefixes[0]), is_prefix=True)
        feeds = [_feed(prefix, after, prefix=True) for prefix in prefixes]
        return Watch(self._calls, feeds, purpose, cluster_id=cluster_id or None, on_connection=on_connection)

    def lease(self, ttl: int, *, timeout: float | None = None) -> Lease:
        """
        Take a lease, and keep it alive until it is closed: ``with client.lease(10) as lease: …``.

        It costs a daemon thread, and a request every third of the ttl. It outlives failovers and elections that are
        shorter than the ttl.

        Args:
            ttl: For how many seconds etcd shall keep it after it last heard of us, 1 at least. Short ones notice soon
                that we are gone, and long ones survive long outages.

            timeout: Seconds for the whole call; None takes the connection's.
        """
        lease = Lease(self._calls, ttl, timeout=timeout)
        self._leases[lease.id] = lease
        return lease

    def lock(self, name: str, ttl: int) -> Lock:
        """
        Make a lock that one holder in the cluster has at a time: ``with client.lock("/locks/report", 10) as lock: …``.

        It takes turns with ``etcdctl lock NAME`` and with Go's ``concurrency.Mutex``. Making one asks etcd for nothing.

        Args:
            name: Its name: keys of the form ``NAME/1a2b3c`` stand for those who hold it and wait for it. Nothing else
                may lie below it, neither settings nor other locks: it would be waited for too.

            ttl: For how many seconds a holder that died keeps others waiting; see `lease`.
        """
        return Lock(self._calls, name, lambda: self.lease(ttl))

    def members(self, *, timeout: float | None = None) -> tuple[Member, ...]:
        """Give the members of the cluster, by name; asks a quorum."""
        return administration.members(self._calls, timeout)

    def alarms(self, *, timeout: float | None = None) -> tuple[Alarm, ...]:
        """Give all alarms that are raised in the cluster."""
        return administration.alarms(self._calls, timeout)

    def status(self, *, timeout: float | None = None) -> dict[str, MemberStatus]:
        """
        Ask every endpoint of the connection for its version, leader, revision and size, all at once.

        An endpoint that does not answer is no error: its `MemberStatus` says why.
        """
        return administration.status(self.connection, self._endpoints(timeout), timeout)

    def health(self, *, timeout: float | None = None) -> dict[str, bool]:
        """
        Ask every endpoint of the connection whether it serves: it has a leader and a quorum, and there is no alarm.

        Raises:
            AuthenticationError: Our user is refused, which tells nothing of the member.
        """
        return administration.health(self.connection, self._endpoints(timeout), timeout)

    def close(self) -> None:
        """
        Drop all connections; calls under way end with a `ClosedError`.

        Leases that are still open are left to run out, and are lost.
        """
        for reference in self._leases.valuerefs():  # a copy, whatever other threads do
            lease = reference()
            if lease is not None:
                lease.abandon()
        self._calls.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Client of {self.connection.srv or ', '.join(self.connection.endpoints)}>"

    def _endpoints(self, timeout: float | None) -> tuple[str, ...]:
        known = self._calls.endpoints.find(self._calls.deadline(timeout))
        return tuple(sorted(known, key=self.connection.endpoints.index)) if self.connection.endpoints else known

    def _kv(self, method: str, fields: Mapping[str, Any], purpose: Purpose, timeout: float | None) -> Any:
        request = message(f"{method}Request")(**fields)
        return self._calls.call(
            f"KV/{method}", request, f"{method}Response", purpose=purpose, deadline=self._calls.deadline(timeout)
        )


def _feed(key: str | bytes, revision: int | None, *, prefix: bool) -> Feed:
    place = span(key, prefix=prefix)
    return Feed(place["key"], place.get("range_end", b""), revision)


def _branch(prefix: str | bytes) -> str:
    return normalize_prefix(decode_key(encode_key(prefix)))

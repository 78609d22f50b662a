"""
Hold a lock that only one process in the cluster has at a time.

The scheme is that of etcd's own library (``client/v3/concurrency``, ``mutex.go`` and ``key.go``), so that ``etcdctl
lock NAME`` and programs in Go take turns with us: whoever wants the lock writes a key ``NAME/<lease in hexadecimal>``,
and waits until no key under ``NAME/`` is older than its own. Each waits for the one just ahead, so that one key that
goes wakes one who waits.

It knows leases, transactions and watches. It knows nothing of what the lock is for.

Invariant: whoever is told to have the lock holds the oldest key, with a lease that is not lost. Whoever does not get
it, for whatever reason, leaves no key behind that would outlive the lease.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from etcd_settings.errors import CompactedError, ConfigurationError, LeaseLostError, UnavailableError
from etcd_settings.etcd.calls import Calls, Purpose
from etcd_settings.etcd.feed import Feed
from etcd_settings.etcd.lease import Lease, Lost
from etcd_settings.etcd.messages import message
from etcd_settings.etcd.requests import Compare, Get, Put, Txn, TxnResult
from etcd_settings.etcd.watch import Watch
from etcd_settings.forks import tell_after_fork
from etcd_settings.keys import encode_key
from etcd_settings.snapshot import Entry

__all__ = ["Lock"]

_PAUSE = 0.1
"""Seconds until the line is looked at again, after no member gave us a watch, as in an election."""


class Lock:
    """
    A lock that one holder in the cluster has at a time; made by `Client.lock`.

    One object is one contender, and not reentrant: each thread makes its own, which costs nothing. Reading the
    attributes is thread-safe, and so is waiting for `lost`. A forked child does not hold what its parent holds, and may
    contend for itself.

    **A lock is a promise about time, and time is not on your side.** A process that is stopped for longer than the ttl,
    and goes on, has lost the lock without having had a chance to see it. Look at `lost` before what must not be done
    twice, and hand `token` on to whatever you change, so that it can refuse those who come too late. In etcd itself
    that is a comparison: ``Compare.create_revision(lock.key, "==", lock.token)``.
    """

    def __init__(self, calls: Calls, name: str, grant: Callable[[], Lease]) -> None:
        if not name:
            raise ConfigurationError("A lock needs a name, such as /locks/nightly-report.", subject="name")
        self._calls, self._name, self._grant = calls, name, grant
        self._purpose = Purpose(
            "readwrite", encode_key(f"{name}/"), is_prefix=True, action=f"acquiring the lock {name!r}", repeatable=True
        )
        self._in_use = threading.Lock()  # nobody ever waits for it
        self._lease: Lease | None = None
        self._lost = Lost(-math.inf)
        self._key, self._token = "", 0
        tell_after_fork(self)

    @property
    def lost(self) -> Lost:
        """Whether it is not held, or no longer; see `Lease`. Each hold has its own."""
        return self._lost

    @property
    def token(self) -> int:
        """
        The fencing token of the present or last hold: whoever gets the lock later has a higher one.

        It is a revision of etcd: the one that created `key`. So it rises over all locks of a cluster; after a restore
        from a backup it may go on from there. It says who came later, and not who holds the lock now.
        """
        self._check_was_held()
        return self._token

    @property
    def key(self) -> str:
        """The key of the present or last hold."""
        self._check_was_held()
        return self._key

    def acquire(self, timeout: float | None = None) -> bool:
        """
        Get in line for the lock, and wait for it.

        Who loses the lease while waiting, in an outage, loses the place in the line too, and gets in line anew.

        Args:
            timeout: For how many seconds to wait for others; 0 does not wait, and None waits for ever. Each request to
                etcd takes up to the connection's timeout besides.

        Returns:
            Whether it is held now. If not, or if this raises, it has left the line.

        Raises:
            UnavailableError: Etcd cannot be reached.
            PermissionDeniedError: The user must be allowed to read and write the prefix ``NAME/``.
            RuntimeError: This very object holds it already, or is acquiring it in another thread.
        """
        if timeout is not None and not timeout >= 0:
            raise ConfigurationError("timeout is a number of seconds, and at least 0.", subject="timeout")
        if not self._in_use.acquire(blocking=False):
            raise RuntimeError(f"{self!r} is in use already. Make a lock for each contender: client.lock(…).")
        try:
            return self._contend(math.inf if timeout is None else time.monotonic() + timeout)
        finally:
            if self._lease is None:
                self._in_use.release()

    def release(self) -> None:
        """Let the next one have it. Releasing what is not held, or was lost, is harmless."""
        lease, self._lease = self._lease, None  # first, for whoever releases it meanwhile, such as a signal handler
        if lease is not None:
            try:
                lease.close()
            finally:
                self._in_use.release()

    def after_fork(self) -> None:
        """Forget what the parent holds."""
        self._in_use, self._lease = threading.Lock(), None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<Lock {self._name}: {'not held' if self._lost else 'held'}>"

    def _contend(self, deadline: float) -> bool:
        while self._lease is None:
            lease = self._grant()
            try:
                with suppress(LeaseLostError):  # with another one, at the end of the line
                    if not self._stand_in_line(lease, deadline):
                        return False
                    self._lease, self._lost = lease, lease.lost
            finally:
                if self._lease is None:
                    lease.close()
        return True

    def _stand_in_line(self, lease: Lease, deadline: float) -> bool:
        """Come back when nobody is ahead (True), or when it is too late to wait for somebody who is."""
        key = f"{self._name}/{lease.id:x}"
        while True:
            line, revision = self._look_at_line(key, lease)
            token = next(entry.create_revision for entry in line if entry.key == key)
            ahead = [entry for entry in line if entry.create_revision < token]
            if lease.lost:
                raise LeaseLostError(lease.id)
            if not ahead:
                self._key, self._token = key, token
                return True
            next_one = max(ahead, key=lambda entry: entry.create_revision)
            if not self._await_deletion(next_one.key, revision, lease, deadline):
                return False

    def _look_at_line(self, key: str, lease: Lease) -> tuple[tuple[Entry, ...], int]:
        """Get in line, if we are not yet, and give all who are, with the revision at which that was so."""
        line = Get(f"{self._name}/", prefix=True)
        txn = Txn((Compare.create_revision(key, "==", 0),), (Put(key, "", lease.id), line), (line,))
        request = message("TxnRequest")(**txn.fields())
        answer = self._calls.call(
            "KV/Txn", request, "TxnResponse", purpose=self._purpose, deadline=self._calls.deadline(None)
        )
        result = TxnResult.from_message(answer)
        found = result.responses[-1]
        assert isinstance(found, tuple)
        return found, result.revision

    def _await_deletion(self, key: str, revision: int, lease: Lease, deadline: float) -> bool:
        """Come back when the key may be gone (True), or when it is too late; what the watch cannot tell, a look can."""
        with Watch(self._calls, [Feed(encode_key(key), b"", revision)], self._purpose) as watch:
            while not lease.lost:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                try:
                    batch = watch.poll(min(left, lease.ttl / 3))
                except CompactedError:
                    return True
                except UnavailableError:
                    lease.lost.wait(_PAUSE)
                    return True
                if batch is not None:
                    return True
        raise LeaseLostError(lease.id)

    def _check_was_held(self) -> None:
        if not self._token:
            raise RuntimeError(f"{self!r} was never held, and has no token and no key. Acquire it first.")

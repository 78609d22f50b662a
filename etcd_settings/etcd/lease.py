"""
Hold a lease: keys that etcd deletes once we are gone.

LeaseKeepAlive is a stream in etcd's API, but each request on it gets one answer, and a client may end it after that
(etcd's ``server/etcdserver/api/v3rpc/lease.go``; the same in 3.4 and 3.5). So a renewal is a call like any other, with
what `Calls` gives to all: it fails over, renews tokens, and survives forks. One thread for each lease does it, every
third of the ttl.

It knows the clock, and how to ask etcd. It knows nothing of keys.

Invariant: we never believe in a lease for longer than etcd keeps it. Its time runs from when we *sent* what etcd
answered, by our own monotonic clock, and what was seen as lost stays lost.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from typing import Any, Self

from etcd_settings.errors import ClosedError, ConfigurationError, EtcdSettingsError, LeaseLostError
from etcd_settings.etcd.calls import Calls, Purpose
from etcd_settings.etcd.messages import message
from etcd_settings.forks import tell_after_fork

__all__ = ["Lease", "Lost"]

log = logging.getLogger("etcd_settings")

_LEAST_PATIENCE = 0.75
"""Seconds that a renewal may take at least: etcd's grpc-proxy gathers renewals for half a second."""

_REVOKING = 1.0
"""Seconds that giving a lease back may take; after that it runs out by itself."""


class Lost:
    """
    Whether something is lost, to ask (``if lease.lost:``) and to wait for. Once lost, it stays so.

    Thread-safe. In a forked child all is lost: it belongs to the parent.

    Args:
        until: Until when it is held, on `time.monotonic`'s clock, if nobody extends that.
    """

    def __init__(self, until: float) -> None:
        self._until = until
        self._told = threading.Event()
        tell_after_fork(self)

    def __bool__(self) -> bool:
        if time.monotonic() >= self._until:  # whoever keeps it may not have had the time to notice
            self._told.set()  # and what comes now comes too late
        return self._told.is_set()

    def is_set(self) -> bool:
        """Tell whether it is lost, as `threading.Event` spells it."""
        return bool(self)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is lost, for *timeout* seconds at most; tells whether it is."""
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        while not self and (now := time.monotonic()) < deadline:
            self._told.wait(min(self._until, deadline, now + threading.TIMEOUT_MAX) - now)
        return bool(self)

    def extend(self, until: float) -> None:
        """Hold it until then, which may be over, unless it is lost already."""
        if not self:
            self._until = until

    def set(self) -> None:
        """Count it as lost from now on."""
        self._told.set()

    def after_fork(self) -> None:
        """Replace the event, on whose lock a thread of the parent may have stood."""
        self._told = threading.Event()
        self._told.set()

    def __repr__(self) -> str:
        return f"<Lost: {bool(self)}>"


class Lease:
    """
    A lease that is kept alive until it is closed; made by `Client.lease`, and best used in a ``with``.

    Thread-safe. A forked child does not own it: there `lost` holds at once, and closing it gives nothing back.

    Attributes:
        id: Its number, to give to `Client.put`; `etcdctl` prints it in hexadecimal.

        ttl: For how many seconds etcd keeps it after it last heard of us. Etcd may grant more than was asked for; with
            its usual settings it grants 2 at least.

        lost: Whether it is over, to ask and to wait for: etcd said so, it was closed, or the ttl has passed since we
            sent the last renewal that was answered, even if etcd cannot be asked. Its keys may go at any moment then.
    """

    def __init__(self, calls: Calls, ttl: int, *, timeout: float | None = None) -> None:
        if not ttl >= 1 or ttl % 1:
            raise ConfigurationError("The ttl of a lease is a whole number of seconds, and at least 1.", subject="ttl")
        self._calls, self._owner = calls, os.getpid()
        self._closed = False
        deadline, sent_at = calls.deadline(timeout), time.monotonic()
        granted = self._ask("Grant", deadline, "granting a lease", TTL=int(ttl))
        self.id: int = granted.ID
        self.ttl: int = granted.TTL
        self.lost = Lost(sent_at + self.ttl)
        self._next = sent_at + self.ttl / 3
        self._failure: EtcdSettingsError | None = None
        threading.Thread(target=self._keep, name="etcd-settings-lease", daemon=True).start()

    def close(self) -> None:
        """
        Give it back, so that etcd deletes its keys at once. Closing twice is harmless.

        If etcd does not take it within a second, that is logged, and the keys go when the ttl has passed.
        """
        if self._closed or os.getpid() != self._owner:
            return
        self._closed = True
        self.lost.set()
        try:
            self._ask("Revoke", time.monotonic() + _REVOKING, "giving a lease back", ID=self.id)
        except LeaseLostError:
            pass
        except EtcdSettingsError as e:
            log.warning("Lease %x was not given back, and its keys stay for up to %d s. %s", self.id, self.ttl, e)

    def abandon(self) -> None:
        """Keep it alive no longer, and leave it to run out."""
        self._closed = True
        self.lost.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Lease {self.id:x}: {'lost' if self.lost else 'alive'}>"

    def _keep(self) -> None:
        while not self.lost.wait(max(self._next - time.monotonic(), 0)):
            self._renew()
        if not self._closed:
            reason = self._failure or "Etcd knows it no more, or was not asked in time."
            log.warning("Lease %x is lost, and its keys with it. %s", self.id, reason)

    def _renew(self) -> None:
        # Each attempt has a part of the ttl, so that there is time to ask others than a member that is frozen.
        sent_at = time.monotonic()
        deadline = min(sent_at + max(self.ttl / 6, _LEAST_PATIENCE), self._calls.deadline(None))
        try:
            ttl = self._ask("KeepAlive", deadline, "keeping a lease alive", ID=self.id).TTL
        except (LeaseLostError, ClosedError):
            ttl = 0
        except EtcdSettingsError as e:
            self._failure = e
            if (silent := self._calls.endpoints.preferred) is not None:
                self._calls.endpoints.pass_over(silent)
            self._next = time.monotonic() + random.uniform(0, self.ttl / 30)  # noqa: S311  # jitter, no cryptography
            return
        self._failure, self._next = None, sent_at + ttl / 3
        self.lost.extend(sent_at + ttl)  # with 0, which etcd also says of a lease that it knows no more, it is over

    def _ask(self, method: str, deadline: float, action: str, **fields: int) -> Any:
        # All three may be repeated: a lease that was granted twice is once a lease without keys, which runs out.
        is_stream = method == "KeepAlive"
        purpose = Purpose("write", b"", action=action, lease=fields.get("ID"), repeatable=True, on_stream=is_stream)
        request = message(f"Lease{method}Request")(**fields)
        path, answer = f"Lease/Lease{method}", f"Lease{method}Response"
        return self._calls.call(path, request, answer, purpose=purpose, deadline=deadline)

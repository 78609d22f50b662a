"""
Tell what happened to one key, as far back as etcd remembers.

A watch from the first revision brings every write and deletion. Where compaction has taken the beginning, the key as it
was at the compacted revision stands for it, and the watch goes on from there.

A watch does not say when it has told everything. A key that exists says by its revision which event is the last one;
for one that does not, a server that is silent for `_QUIET` seconds has told all: etcd sends what is past within 0.1 s.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from etcd_settings.errors import CompactedError, RestoredError, UnavailableError
from etcd_settings.etcd.client import Client
from etcd_settings.etcd.feed import Batch, Event
from etcd_settings.etcd.requests import Get
from etcd_settings.etcd.watch import Watch

__all__ = ["History", "history", "oldest_revision"]

_QUIET = 2.0

_PATIENCE = 15.0
"""Seconds in which a watch that broke has to stand again."""


@dataclass(frozen=True, slots=True)
class History:
    """
    What happened to a key.

    Args:
        events: Each write and deletion that is still known, oldest first.

        compacted: The revision below which etcd has forgotten everything; None if it remembers all.
    """

    events: tuple[Event, ...]
    compacted: int | None


def history(client: Client, key: str) -> History:
    """
    Tell what happened to *key* up to now.

    Raises:
        RestoredError: The cluster was restored from a backup meanwhile.
        EtcdSettingsError: Etcd did not answer, or refused it.
    """
    compacted: int | None = None
    while True:
        try:
            return _told(client, key, compacted)
        except RestoredError:
            raise
        except CompactedError as e:  # at first, or in the midst of it
            compacted = e.revision or oldest_revision(client, key)


def oldest_revision(client: Client, key: str) -> int | None:
    """Give the oldest revision that etcd still has; None if it has all of them."""
    with client.watch(key, prefix=False, start_revision=1) as watch:
        try:
            _next(watch, key)
        except RestoredError:
            raise
        except CompactedError as e:
            return e.revision
    return None


def _told(client: Client, key: str, compacted: int | None) -> History:
    events: list[Event] = []
    if compacted is not None:
        then = client.get_prefix(key, revision=compacted)
        events += [Event("put", then[""])] if "" in then else []
    now = client.txn(success=[Get(key)])
    found = now.responses[0]
    assert isinstance(found, tuple)
    last = found[0].mod_revision if found else None
    with client.watch(key, prefix=False, start_revision=(compacted or 0) + 1) as watch:
        while last is None or not events or events[-1].entry.mod_revision < last:
            batch = _next(watch, key)
            if batch is None and last is None:
                break
            if batch is not None:
                events += (event for event in batch.events if event.entry.mod_revision <= now.revision)
                if batch.revision >= now.revision:
                    break
    return History(tuple(events), compacted)


def _next(watch: Watch, key: str) -> Batch | None:
    """Wait for what comes next; None if nothing came though the watch stood for `_QUIET` seconds."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        stood = watch.endpoint is not None
        batch = watch.poll(_QUIET if stood else 0.1)
        if batch is not None or (stood and watch.endpoint is not None):
            return batch
        if time.monotonic() >= deadline:
            raise UnavailableError(watch.failures, action=f"read the history of {key!r}")

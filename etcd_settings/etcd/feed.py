"""
Read the answers to one watch: which revisions are whole, and which answer is the end.

Pure: a ``WatchResponse`` goes in, batches come out or an exception says what is to be done. The rules were measured on
etcd 3.4 and 3.5, each with a trap behind it:

- A watch is resumed *at* the last revision R, not after it, and what is no newer than R is dropped. Resumed at R + 1, a
  delete at R + 1 that was compacted meanwhile is lost without a word (etcd #19179).
- R rises only with a complete answer: fragments are kept until the last has come, a transaction is one revision.
- ``created`` says where the server is, which is no progress: older events may still follow. An answer to a progress
  request (``watch_id`` -1) may overtake events (etcd #15220), so only timed progress counts.
- A watch can be ``created`` and ``canceled`` at once; and the cancel for a compaction has header revision 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from etcd_settings.errors import CompactedError
from etcd_settings.etcd.grpc import CallFailed, Status, StatusReceived
from etcd_settings.etcd.messages import message
from etcd_settings.snapshot import Entry

__all__ = ["Batch", "Event", "Feed"]

_DELETE = 1
_DENIED = ("permission denied", "invalid auth token", "user name is empty", "revision of auth store is old")


@dataclass(frozen=True, slots=True)
class Event:
    """
    What happened to one key.

    Args:
        kind: ``"put"`` or ``"delete"``; a lease that ran out is a delete like any other.

        entry: The entry as written; of a deleted one only key and ``mod_revision``, the revision of the deletion.
    """

    kind: Literal["put", "delete"]
    entry: Entry


@dataclass(frozen=True, slots=True)
class Batch:
    """
    All that happened at one revision.

    Args:
        revision: The revision. Nothing up to it is missing.

        events: What happened, in etcd's order; empty for mere progress.
    """

    revision: int
    events: tuple[Event, ...]


class Feed:
    """
    One watch, over however many streams it lives.

    Args:
        key: The first key.

        range_end: The first key behind the last; ``b""`` for *key* alone.

        revision: The last revision that is known already; None starts with what comes next.
    """

    def __init__(self, key: bytes, range_end: bytes, revision: int | None) -> None:
        self.key, self.range_end, self.revision = key, range_end, revision
        self.created_at: int | None = None
        self.is_behind = False  # whether the server was, when it created the watch, at an earlier revision than we
        self._pending: list[Event] = []

    def create_request(self, watch_id: int) -> Any:
        """Make the request that starts or resumes the watch on a new stream."""
        self.created_at = None
        self._pending = []
        create = message("WatchCreateRequest")(
            key=self.key,
            range_end=self.range_end,
            start_revision=0 if self.revision is None else max(self.revision, 1),
            progress_notify=True,
            fragment=True,
            watch_id=watch_id,
        )
        return message("WatchRequest")(create_request=create)

    def take(self, response: Any) -> list[Batch]:
        """
        Take one answer.

        Returns:
            The batches that it completes, oldest first.

        Raises:
            CompactedError: What comes next is gone; ``revision`` is etcd's compact revision.
            StatusReceived: The watch was refused: PERMISSION_DENIED.
            CallFailed: It was ended for another reason.
        """
        if response.canceled:
            raise _ending(response)
        if response.created:
            self.created_at = response.header.revision
            if self.revision is None:
                self.revision = self.created_at
            self.is_behind = response.header.revision < self.revision
            return []
        self._pending += (_event(event) for event in response.events)
        if response.fragment:
            return []
        pending, self._pending = self._pending, []
        batches = [*self._batches(pending)]
        if not response.events and response.watch_id >= 0 and response.header.revision > (self.revision or 0):
            batches.append(Batch(response.header.revision, ()))
        if batches:
            self.revision = batches[-1].revision
        return batches

    def _batches(self, events: list[Event]) -> Iterator[Batch]:
        for revision, group in groupby(events, key=lambda event: event.entry.mod_revision):
            if revision > (self.revision or 0):
                yield Batch(revision, tuple(group))


def _event(event: Any) -> Event:
    return Event("delete" if event.type == _DELETE else "put", Entry.from_row(event.kv))


def _ending(response: Any) -> Exception:
    reason = response.cancel_reason
    if response.compact_revision:
        return CompactedError(response.compact_revision)
    if any(words in reason for words in _DENIED):
        return StatusReceived(Status.PERMISSION_DENIED, reason)
    return CallFailed(f"it ended the watch ({reason or 'without a reason'})", sent=True)

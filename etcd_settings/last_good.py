"""
Keep one snapshot on disk, so that a program starts while etcd is away.

The file is text of three parts: a line that says what it is, a line with the SHA-256 of the rest in hexadecimal, and
the rest, which is JSON::

    etcd-settings last good snapshot 1
    9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    {"prefix":"/config/app/","revision":12,"cluster_id":7,"layers":{"production/":[["debug","true",9,9,1,0]]}}

A layer is a list of path, value, create revision, mod revision, version and lease; bytes that are no UTF-8 are
surrogate escapes. The file's modification time says when it was last known to be what the store holds.

It belongs to a prefix and layers, whatever the endpoints: an etcd that moved is still the same. It holds settings in
clear, so that it is for its owner alone, and is refused if others could have read or written it.

Invariant: whoever opens the file finds one whole snapshot, the old one or the new one, whenever the writer was killed.
It is written beside its place, flushed to the disk, and put there by a rename.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from etcd_settings.entries import Entries, Entry, Row
from etcd_settings.forks import tell_after_fork
from etcd_settings.keys import decode_key, encode_key
from etcd_settings.private_files import Refused, read_private, replace_file
from etcd_settings.snapshot import Snapshot

__all__ = ["LastGood", "dump", "parse"]

log = logging.getLogger("etcd_settings")

_MAGIC = b"etcd-settings last good snapshot "
_VERSION = b"1"


def dump(snapshot: Snapshot, prefix: str) -> bytes:
    """Write a snapshot down."""
    layers = {layer: list(_records(entries)) for layer, entries in snapshot.layers.items()}
    facts = {"prefix": prefix, "revision": snapshot.revision, "cluster_id": snapshot.cluster_id, "layers": layers}
    body = json.dumps(facts, separators=(",", ":")).encode("ascii")
    return b"\n".join([_MAGIC + _VERSION, _digest(body), body])


def parse(data: bytes, prefix: str, layers: tuple[str, ...]) -> Snapshot:
    """
    Read a snapshot that was written down.

    Args:
        data: The file's content.

        prefix: The prefix that it must be of.

        layers: The layers that it must have, lowest first.

    Raises:
        Refused: It is damaged, or of something else.
    """
    head, _, rest = data.partition(b"\n")
    digest, _, body = rest.partition(b"\n")
    if not head.startswith(_MAGIC):
        raise Refused("it is not a file of last good settings")
    if head != _MAGIC + _VERSION:
        raise Refused("another version of etcd-settings wrote it")
    if digest != _digest(body):
        raise Refused("it is damaged: its checksum is wrong")
    found = json.loads(body)  # what has the right checksum is what `dump` wrote
    if (found["prefix"], tuple(found["layers"])) != (prefix, layers):
        raise Refused("it was saved for another prefix or other layers")
    return Snapshot(
        {layer: _entries(rows, prefix, layer) for layer, rows in found["layers"].items()},
        found["revision"],
        found["cluster_id"],
    )


class LastGood:
    """
    One source's snapshot on disk.

    Whoever reads offers what was read. While somebody judges snapshots (a Live does), only what every judge accepted is
    written, and what was offered is not.

    Thread-safe, and nobody waits for anybody's disk: what comes while a write is under way is written by that writer.

    Args:
        path: The file.

        prefix: The source's prefix.

        layers: The source's layers.

        max_age: How old the snapshot may be, in seconds, to be of use; None: as old as it is.

        wall: Tells the seconds since 1970.
    """

    def __init__(
        self,
        path: str,
        prefix: str,
        layers: tuple[str, ...],
        *,
        max_age: float | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.path, self._prefix, self._layers, self._max_age, self._wall = path, prefix, layers, max_age, wall
        self._lock = threading.Lock()  # for the judges; held for a few steps in memory
        self._judges: dict[object, int | None] = {}  # judge → the revision that it accepted last
        self._waiting: deque[Snapshot] = deque(maxlen=1)  # the newest one that is not written yet
        self._writers: dict[None, object] = {}  # the one that writes, or nothing
        self._written: tuple[object, ...] | None = None  # what tells the entries in the file from others
        self._told: set[str] = set()
        tell_after_fork(self)

    def load(self) -> tuple[Snapshot, float] | None:
        """Give the snapshot and its age in seconds; None, and a line in the log, if it cannot be used."""
        try:
            data, modified = read_private(self.path)
            age = max(0.0, self._wall() - modified)
            self._refuse_too_old(age)
            return parse(data, self._prefix, self._layers), age
        except FileNotFoundError:
            return None  # nothing was saved yet, which is not worth a word
        except (Refused, OSError) as e:
            reason = _reason(e)
        self._tell("The last good settings in %s are not used: %s.", reason)
        return None

    def offer(self, snapshot: Snapshot) -> None:
        """Save what was read, unless somebody judges."""
        if not self._judges:
            self._save(snapshot)

    def judge(self, judge: object) -> None:
        """Write nothing from now on that *judge*, and whoever else judges, did not accept."""
        with self._lock:
            self._judges[judge] = None

    def accept(self, judge: object, snapshot: Snapshot) -> None:
        """Save what the last of the judges accepts; to be told of every snapshot, also of one that changed nothing."""
        with self._lock:
            self._judges[judge] = snapshot.revision
            unanimous = set(self._judges.values()) == {snapshot.revision}
        if unanimous:
            self._save(snapshot)

    def dismiss(self, judge: object) -> None:
        """Do without that judge; without any, what is read is saved again."""
        with self._lock:
            self._judges.pop(judge, None)

    def after_fork(self) -> None:
        """Forget the write under way, whose thread is not in this process."""
        self._lock = threading.Lock()
        self._writers = {}
        self._waiting.clear()

    def _save(self, snapshot: Snapshot) -> None:
        self._waiting.append(snapshot)
        me, writers = object(), self._writers
        while self._waiting and writers.setdefault(None, me) is me:
            try:
                self._write_waiting()
            finally:
                writers.clear()

    def _write_waiting(self) -> None:
        try:
            snapshot = self._waiting.popleft()
        except IndexError:
            return  # another writer took it, just before this one began
        self._write(snapshot)

    def _write(self, snapshot: Snapshot) -> None:
        mark, now = _mark(snapshot), self._wall()
        try:
            if mark == self._written and self._confirm(now):
                return
            if self._written is None:
                self._look_first()
            replace_file(self.path, dump(snapshot, self._prefix), modified=now)
        except (Refused, OSError) as e:
            reason = _reason(e)
        else:
            self._written = mark
            self._told.clear()
            return
        self._written = None
        self._tell("The last good settings cannot be saved in %s: %s.", reason)

    def _confirm(self, now: float) -> bool:
        """Note that the file was found to be current once more; False if it is gone."""
        with contextlib.suppress(FileNotFoundError):
            os.utime(self.path, (now, now), follow_symlinks=False)
            return True
        return False

    def _refuse_too_old(self, age: float) -> None:
        if self._max_age is not None and age > self._max_age:
            raise Refused(f"they are {age:.0f} s old, and max_stale is {self._max_age:g} s")

    def _look_first(self) -> None:
        """Protect a file that is not ours, for which a wrong path in the configuration is enough."""
        with contextlib.suppress(FileNotFoundError):
            with open(os.open(self.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:  # noqa: PTH123
                head = file.read(len(_MAGIC))
            if head != _MAGIC:
                raise Refused("another file is in its place, which is left alone")

    def _tell(self, message: str, reason: str) -> None:
        if reason not in self._told:  # once: an outage asks again and again
            self._told.add(reason)
            log.warning(message, self.path, reason)


def _digest(body: bytes) -> bytes:
    from hashlib import sha256  # 6 ms of OpenSSL, for those only who keep a file

    return sha256(body).hexdigest().encode()


def _records(entries: Mapping[str, Entry]) -> Iterator[tuple[str | int, ...]]:
    if isinstance(entries, Entries):  # rows are there already, entries would have to be made
        start = len(encode_key(entries.prefix))
        yield from (_record(decode_key(row.key[start:]), row) for row in entries.rows)
    else:
        yield from (_record(path, entry) for path, entry in entries.items())


def _record(path: str, row: Row | Entry) -> tuple[str | int, ...]:
    text = row.value.decode("utf-8", "surrogateescape")
    return path, text, row.create_revision, row.mod_revision, row.version, row.lease


def _entries(records: list[Any], prefix: str, layer: str) -> dict[str, Entry]:
    return {
        path: Entry(prefix + layer + path, text.encode("utf-8", "surrogateescape"), layer, *numbers)
        for path, text, *numbers in records
    }


def _mark(snapshot: Snapshot) -> tuple[object, ...]:
    """Tell entries from others, at a tenth of the price of comparing them: a key and who wrote it last say it all."""
    marks = (
        hash(tuple((row.key, row.mod_revision) for row in entries.rows))
        if isinstance(entries, Entries)
        else hash(tuple((path, entry.mod_revision) for path, entry in entries.items()))
        for entries in snapshot.layers.values()
    )
    return snapshot.cluster_id, *marks


def _reason(error: Refused | OSError) -> str:
    return str(error) if isinstance(error, Refused) else error.strerror or type(error).__name__

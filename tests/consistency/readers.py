"""
Watch as an application does, and keep what was seen until it is judged.

A reader has four eyes on one source: the iterator of `Source.watch`, a listener that is told mere progress too,
`Source.snapshot`, which must never be behind what it gave before, and the settings of a `Live` that refuses every
second state, of which none may ever be in use.
"""

from __future__ import annotations

import random
import threading
import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from etcd_settings import Live, Source
from etcd_settings.connection import Connection
from etcd_settings.errors import EtcdSettingsError
from etcd_settings.snapshot import Entry, Snapshot
from tests.consistency.keys import TWINS
from tests.consistency.ledger import Fact, Ledger, State

__all__ = ["Reader", "ViolationError"]


class ViolationError(AssertionError):
    """A state that etcd never had, or a revision that went back."""


@dataclass(eq=False)
class _Eye:
    """One way to look at a source. The revisions that it sees must rise."""

    name: str
    strictly: bool = False

    def __post_init__(self) -> None:
        self.seen: deque[Snapshot] = deque()
        self.last = 0
        self.backwards: tuple[int, int] | None = None

    def take(self, snapshot: Snapshot) -> None:
        if snapshot.revision < self.last + self.strictly:
            self.backwards = self.backwards or (self.last, snapshot.revision)
        self.last = snapshot.revision
        self.seen.append(snapshot)

    def end(self) -> None: ...


class Reader:
    """
    Watch some layers until `close`.

    Args:
        name: For people.

        connection: Where etcd is, as the reader shall see it.

        layers: Layer → prefix.

        relist: Seconds after which the source reads everything again.

        chance: When to read past the watch.
    """

    def __init__(
        self, name: str, connection: Connection, layers: Mapping[str, str], *, relist: float, chance: random.Random
    ) -> None:
        self.name, self._layers, self._chance = name, layers, chance
        (first, *_), (prefix, *_) = layers, layers.values()
        self.source = Source(
            connection=connection, prefix=prefix.removesuffix(first), layers=[*layers], ttl=0.2, timeout=3
        )
        self.iterated, self.told, self.asked = (_Eye("iterator", strictly=True), _Eye("listener"), _Eye("snapshot()"))
        self.used = _Eye("Live.current")
        self._stopping = threading.Event()
        self.source.reflector.subscribe(self.told)
        self._watch = self.source.watch(relist=relist)
        self.refused = 0
        self.live = Live(self._build, debounce=(0.0, 0.1), relist=relist, on_reject=self._count, allow_empty=True)
        self.live.start()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._iterate, self._ask, self._use)]
        self.states = 0
        for thread in self._threads:
            thread.start()

    def judge(self, ledger: Ledger) -> None:
        """
        Hold what was seen, as far as the ledger knows, against the truth.

        Raises:
            ViolationError: A reader was given what etcd never had.
        """
        for eye in (self.iterated, self.told, self.asked, self.used):
            if eye.backwards:
                raise ViolationError(
                    f"{self.name}, {eye.name}: revision {eye.backwards[0]} and then {eye.backwards[1]}"
                )
            known: list[Snapshot] = []
            while eye.seen and eye.seen[0].revision <= ledger.revision:
                known.append(eye.seen.popleft())
            for snapshot, truth in zip(known, ledger.at(each.revision for each in known), strict=True):
                self._compare(eye.name, snapshot, truth)
                if eye is self.used and _is_refused(snapshot):
                    raise ViolationError(f"{self.name}, revision {snapshot.revision}: refused settings are in use")
            self.states += len(known)

    def judge_the_end(self) -> None:
        """
        Hold what is in use against what is there, when nobody writes any more.

        Raises:
            ViolationError: The last state is neither in use nor refused.
        """
        newest = self.source.refresh()
        outcome = self.live.wait(newest.revision, timeout=30)
        is_in_use = self.live.current == newest
        if is_in_use is _is_refused(newest) or is_in_use is (outcome == "rejected"):
            raise ViolationError(f"{self.name}: the last state is {outcome}, and in use: {is_in_use}")

    def close(self) -> None:
        """End all eyes; raises if a thread does not end."""
        self._stopping.set()
        self.live.close()
        self._watch.close()
        self.source.close()
        for thread in self._threads:
            thread.join(15)
            if thread.is_alive():
                raise ViolationError(f"{self.name}: a thread hangs after close")

    def _iterate(self) -> None:
        for snapshot in self._watch:
            self.iterated.take(snapshot)

    def _ask(self) -> None:
        while not self._stopping.wait(self._chance.expovariate(20)):
            try:
                if self._chance.random() < 0.1:
                    self.source.refresh()
                self.asked.take(self.source.snapshot())
            except EtcdSettingsError:  # nothing was read yet, or it is being closed
                continue

    def _use(self) -> None:
        while not self._stopping.wait(0.001):
            if not self.used.seen or self.live.current is not self.used.seen[-1]:
                self.used.take(self.live.current)

    def _build(self) -> Snapshot:
        snapshot = self.source.snapshot()
        if _is_refused(snapshot):
            raise ValueError(snapshot.revision)
        return snapshot

    def _count(self, _: object) -> None:
        self.refused += 1

    def _compare(self, eye: str, snapshot: Snapshot, truth: State) -> None:
        for layer, prefix in self._layers.items():
            mine = {entry.key: _fact(entry) for entry in snapshot.layers[layer].values()}
            theirs = {key: fact for key, fact in truth.items() if key.startswith(prefix)}
            if mine != theirs:
                keys = sorted(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key))
                raise ViolationError(
                    f"{self.name}, {eye}, revision {snapshot.revision}: {keys[0]!r} and {len(keys) - 1} more differ: "
                    f"{mine.get(keys[0])} is not {theirs.get(keys[0])}"
                )
        entries = [entry for layer in snapshot.layers.values() for entry in layer.values()]
        twins = [entry.value for entry in entries if entry.key in TWINS]
        wanted = sum(twin.startswith(prefix) for twin in TWINS for prefix in self._layers.values())
        if len({*twins}) > 1 or len(twins) not in (0, wanted):
            raise ViolationError(f"{self.name}, {eye}, revision {snapshot.revision}: the twins are parted")


def _is_refused(snapshot: Snapshot) -> bool:
    """Tell by what is there, and not by the revision at which it is: the same state has always the same fate."""
    there = sorted((entry.key, entry.mod_revision) for layer in snapshot.layers.values() for entry in layer.values())
    return zlib.crc32(repr(there).encode()) % 2 == 0


def _fact(entry: Entry) -> Fact:
    return Fact(entry.value, entry.create_revision, entry.mod_revision, entry.version, entry.lease)

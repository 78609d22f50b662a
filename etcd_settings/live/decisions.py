"""
Remember what became of the revisions of each source, and tell those who wait for one.

Invariant: for each source the revisions rise; each stands for all since the one before it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from typing import Literal, TypeAlias

from etcd_settings.snapshot import Snapshot
from etcd_settings.source import Source

__all__ = ["Decisions", "Outcome"]

Outcome: TypeAlias = Literal["applied", "rejected"]

_REMEMBERED = 100
"""Decisions that are remembered of each source; whoever asks about an older revision gets the oldest of them."""


class Decisions:
    """Thread-safe. The lock is held for a few steps in memory."""

    def __init__(self) -> None:
        self.latest: dict[Source, Snapshot] = {}  # what was decided on last
        self._made: dict[Source, deque[tuple[int, Outcome]]] = {}
        self._waiting: list[Callable[[], object]] = []
        self._lock = threading.Lock()

    def record(self, source: Source, snapshot: Snapshot, outcome: Outcome) -> None:
        """Note what was decided on a state of *source*."""
        with self._lock:
            made = self._made.setdefault(source, deque(maxlen=_REMEMBERED))
            while made and made[-1][0] >= snapshot.revision:  # decided once more, or restored from a backup
                made.pop()
            made.append((snapshot.revision, outcome))
            self.latest[source] = snapshot
        self.tell()

    def confirm(self, source: Source, snapshot: Snapshot) -> None:
        """Note that nothing of ours changed up to a state, if that is so: what was decided last holds for it."""
        decided = self.latest.get(source)
        if decided is None or decided != snapshot:
            return
        with self._lock:
            if self.latest[source] is not decided:
                return  # another state was decided on, just now
            made = self._made[source]
            _, outcome = made.pop()
            while made and made[-1][0] >= snapshot.revision:  # restored from a backup
                made.pop()
            made.append((snapshot.revision, outcome))
            self.latest[source] = snapshot
        self.tell()

    def keep(self, sources: Collection[Source]) -> None:
        """Forget all others, which are not followed any more."""
        with self._lock:
            for source in [source for source in self.latest if source not in sources]:
                del self.latest[source], self._made[source]

    def on(self, source: Source, revision: int) -> Outcome | None:
        """Give what was decided on *revision*; None if nothing yet."""
        with self._lock:
            made = self._made.get(source, ())
            return next((outcome for decided, outcome in made if decided >= revision), None)

    def tell(self) -> None:
        """Have everybody look who waits."""
        with self._lock:
            waiting = list(self._waiting)
        for look in waiting:
            look()

    @contextmanager
    def telling(self, look: Callable[[], object]) -> Generator[None]:
        """Call *look* after every decision, until the block is left."""
        with self._lock:
            self._waiting.append(look)
        try:
            yield
        finally:
            with self._lock:
                self._waiting.remove(look)

    def after_fork(self) -> None:
        """Forget the lock and those who waited, whose threads are not in this process."""
        self._lock, self._waiting = threading.Lock(), []

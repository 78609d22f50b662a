"""
Keep the state here equal to etcd's: list, then watch, and list again when a gap could have opened.

A reflector belongs to a source. It runs while somebody listens, on one thread however many listen, and everything that
it learns goes into the source's cache first and to the listeners then. It reads everything again after a compaction or
a restore, and every *relist* seconds in any case: a watch goes on after a role was revoked, and a cluster that was
restored and has grown since cannot be told by its revision.

It knows when to read and when to watch. How that is done is the store's business; it knows nothing of etcd's protocol.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, Self

from etcd_settings.cache import Cache
from etcd_settings.errors import ClosedError, CompactedError, EtcdSettingsError, RestoredError
from etcd_settings.forks import tell_after_fork
from etcd_settings.snapshot import Snapshot
from etcd_settings.stores.base import Store, StoreWatch

__all__ = ["Listener", "Plan", "Reflector", "SnapshotIterator"]

log = logging.getLogger("etcd_settings")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 30.0
"""Seconds, at most, before reading again after a failure; each time twice as many, with full jitter."""


_LONGEST_POLL = 5.0
"""Seconds until a listener that came later, and wants everything read more often, is heeded."""


class Listener(Protocol):
    """
    Who wants to know.

    The methods are called in the reflector's thread, and in the one that subscribes or closes. They must be quick, must
    not raise, and must not call the reflector: its lock is held, so that no two snapshots overtake each other.
    """

    def take(self, snapshot: Snapshot) -> None:
        """Take the newest snapshot; it may hold the same entries as the one before, at a later revision."""
        ...

    def end(self) -> None:
        """Expect no more: the source was closed."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What is to be kept equal to what.

    Args:
        store: What is read and watched.

        layers: Layer → prefix.

        cache: What is fed.

        timeout: Seconds that one read may take.

        relist: Seconds after which everything is read again, unless a listener says otherwise; spread by a fifth.

        name: What is watched, for the log.
    """

    store: Store
    layers: Mapping[str, str]
    cache: Cache
    timeout: float
    relist: float
    name: str


class Reflector:
    """
    Feed a cache from a watch, and tell listeners.

    Thread-safe. In a forked child it stands still until `ensure_running`, which any listener's next move calls.

    Args:
        plan: What is kept equal to what.

        show: What listeners get to see of a snapshot.
    """

    def __init__(self, plan: Plan, *, show: Callable[[Snapshot], Snapshot] = lambda snapshot: snapshot) -> None:
        self._plan, self._show = plan, show
        self._listeners: dict[Listener, float] = {}  # with the relist of each; replaced as a whole
        self._last: Snapshot | None = None  # what the present run published last
        self._run: _Run | None = None
        self._ending: _Run | None = None  # the one before, which may not have ended yet
        self._closed = False
        self._lock = threading.RLock()  # held for a few steps in memory, never over I/O; a signal may come meanwhile
        tell_after_fork(self)

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """Who is told."""
        return tuple(self._listeners)

    @property
    def relist(self) -> float:
        """Seconds after which everything is read again: the least that a listener wants."""
        return min(self._listeners.values(), default=self._plan.relist)

    def subscribe(self, listener: Listener, *, relist: float | None = None) -> Snapshot | None:
        """
        Tell *listener* of the present state, as soon as it is known, and of every snapshot from then on.

        Starts the watch if it is the first.

        Args:
            listener: Who is told.

            relist: Seconds after which everything is to be read again, if that is other than usual. Of all listeners'
                the least counts.

        Returns:
            What the cache holds: whatever came before is in it.
        """
        with self._lock:
            if not self._closed:
                self._listeners = {**self._listeners, listener: self._plan.relist if relist is None else relist}
            if self._closed:
                listener.end()
            elif self._last is not None:
                listener.take(self._show(self._last))
        try:
            self.ensure_running()
        except BaseException:
            self.unsubscribe(listener)
            raise
        held = self._plan.cache.state.held
        return None if held is None or held.kind == "empty" else self._show(held.snapshot)

    def unsubscribe(self, listener: Listener) -> None:
        """Tell it no more; without listeners the watch ends."""
        with self._lock:
            self._listeners = {other: relist for other, relist in self._listeners.items() if other is not listener}
            run = None if self._listeners else self._take_run()
        if run is not None:
            run.stop()

    def ensure_running(self) -> None:
        """Start the thread if there are listeners and it is not running in this process."""
        with self._lock:
            if self._run is not None or not self._listeners:
                return
            run, before = _Run(self._plan, self), self._ending
            self._run, self._ending = run, None
        try:
            run.start(after=before)
        except BaseException:  # there is no room for one more thread; perhaps the next call finds some
            with self._lock:
                self._run, self._ending = None, before
            raise

    def close(self) -> None:
        """End the watch, and tell the listeners so."""
        with self._lock:
            self._closed = True
            run = self._take_run()
            self._end_listeners()
        if run is not None:
            run.stop()

    def after_fork(self) -> None:
        """Forget the thread, which is not in this process, and the lock that it may have held."""
        self._lock = threading.RLock()
        self._run = self._ending = self._last = None

    def publish(self, run: _Run, snapshot: Snapshot) -> None:
        """Tell all listeners; what a run finds that is over does not count."""
        with self._lock:
            if run is self._run:
                self._last = snapshot
                self._tell(snapshot)

    def republish(self) -> None:
        """Tell all listeners again of what they know, after *show* began to show it in another way."""
        with self._lock:
            held = self._plan.cache.state.held
            last = self._last if self._last is not None else (held.snapshot if held is not None else None)
            if last is not None:
                self._tell(last)

    def ended(self, run: _Run) -> None:
        """Take note that a run has ended by itself: the store was closed, and nobody needs to wait any more."""
        with self._lock:
            if run is self._run:
                self._take_run()
                self._end_listeners()

    def _take_run(self) -> _Run | None:
        run, self._run, self._last = self._run, None, None
        self._ending = run or self._ending
        return run

    def _tell(self, snapshot: Snapshot) -> None:
        shown = self._show(snapshot)
        for listener in self._listeners:
            listener.take(shown)

    def _end_listeners(self) -> None:
        listeners, self._listeners = self._listeners, {}
        for listener in listeners:
            listener.end()


class _Run:
    """
    One life of the thread, from the first listener to the last.

    A run begins when the one before has ended: two at a time would tell the cache and the listeners two stories.
    """

    def __init__(self, plan: Plan, reflector: Reflector) -> None:
        self._plan, self._reflector = plan, reflector
        self._stopping = threading.Event()
        self._watch: StoreWatch | None = None
        self._thread: threading.Thread | None = None
        self._relisting = False  # the watch is closed by ourselves, and the next one is about to stand
        self._failures = 0
        self._logged: type[Exception] | None = None

    def start(self, *, after: _Run | None) -> None:
        self._thread = threading.Thread(target=self._main, args=(after,), name="etcd-settings-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        watch = self._watch
        if watch is not None:
            watch.close()

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def _main(self, before: _Run | None) -> None:
        if before is not None:
            before.join()
        while not self._stopping.is_set():
            try:
                self._live_once()
            except ClosedError:
                self._reflector.ended(self)
                break
            except CompactedError as e:
                self._read_anew(e)
            except EtcdSettingsError as e:
                self._failed(e)
            except Exception:
                log.exception("Watching %s failed unexpectedly, and is tried again.", self._plan.name)
                self._pause()
        self._plan.cache.set_live(False)

    def _live_once(self) -> None:
        """List and watch; what ends for any other reason than that it is time to list again is an interruption."""
        self._relisting = False
        try:
            self._list_and_watch()
        finally:
            if not self._relisting:
                self._plan.cache.set_live(False)

    def _list_and_watch(self) -> None:
        plan = self._plan
        snapshot = plan.cache.refresh(timeout=plan.timeout)
        self._reflector.publish(self, snapshot)
        listed_at, spread = time.monotonic(), random.uniform(0.8, 1.2)  # noqa: S311  # jitter, no cryptography
        with plan.store.watch(plan.layers, snapshot, on_connection=self._connected) as watch:
            self._watch = watch
            while not self._stopping.is_set():
                left = listed_at + self._reflector.relist * spread - time.monotonic()
                if left <= 0:
                    self._relisting = True
                    break
                newer = watch.poll(min(left, _LONGEST_POLL))
                if newer is not None:
                    plan.cache.feed(newer)
                    self._reflector.publish(self, newer)

    def _connected(self, stands: bool) -> None:
        if stands:
            self._failures, self._logged = 0, None
        if stands or not self._relisting:  # reading everything again on time is no news to anybody
            self._plan.cache.set_live(stands)

    def _read_anew(self, reason: CompactedError) -> None:
        if isinstance(reason, RestoredError):
            self._plan.cache.expect_restore()  # it tells the log
        else:
            log.info("The watch of %s fell behind a compaction; everything is read again.", self._plan.name)
        self._pause()

    def _failed(self, error: EtcdSettingsError) -> None:
        if type(error) is not self._logged:
            self._logged = type(error)
            log.warning("Watching %s failed, and is tried again until it works. %s", self._plan.name, error)
        self._pause()

    def _pause(self) -> None:
        longest = min(_FIRST_PAUSE * 2 ** min(self._failures, 20), _LONGEST_PAUSE)
        self._failures += 1
        self._stopping.wait(random.uniform(0, longest))  # noqa: S311  # jitter, no cryptography


class SnapshotIterator(Iterator[Snapshot]):
    """
    The snapshots of a source, each one that differs from the one before; made by `Source.watch`.

    The first is the state at the beginning. Whoever is slow gets every state, up to a thousand behind; then the oldest
    are dropped, and the newest always comes.

    To be iterated by one thread at a time; `close` may come from any.
    """

    def __init__(self, reflector: Reflector, *, relist: float | None = None) -> None:
        self._reflector = reflector
        self._waiting: deque[Snapshot] = deque(maxlen=1_000)
        self._last: Snapshot | None = None
        self._news = threading.Event()
        self._closed = False
        tell_after_fork(self)
        reflector.subscribe(self, relist=relist)

    def __next__(self) -> Snapshot:
        while True:
            snapshot = self.poll(60.0)
            if self._closed:
                raise StopIteration
            if snapshot is not None:
                return snapshot

    def poll(self, timeout: float) -> Snapshot | None:
        """Wait at most *timeout* seconds for the next snapshot; None if there is none, or after `close`."""
        self._reflector.ensure_running()
        deadline = time.monotonic() + timeout
        while not self._closed:
            self._news.clear()
            with suppress(IndexError):
                snapshot = self._waiting.popleft()
                if self._last is None or snapshot != self._last:
                    self._last = snapshot
                    return snapshot
                continue
            if not self._news.wait(max(deadline - time.monotonic(), 0)):
                break
        return None

    def close(self) -> None:
        """End the iteration, also one that waits in another thread."""
        self._reflector.unsubscribe(self)
        self.end()

    def after_fork(self) -> None:
        """Replace the event, on whose lock a thread of the parent may have stood."""
        self._news = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take(self, snapshot: Snapshot) -> None:
        self._waiting.append(snapshot)
        self._news.set()

    def end(self) -> None:
        self._closed = True
        self._news.set()

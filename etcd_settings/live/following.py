"""
Follow sources: be told of every snapshot of each, and wake the dispatcher.

It knows which sources are followed, and what came last of each. What a snapshot means is decided elsewhere.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from etcd_settings.snapshot import Snapshot
from etcd_settings.source import Source

__all__ = ["Following", "Inbox"]


class Inbox:
    """The newest snapshot of each source that nobody has looked at; thread-safe."""

    def __init__(self) -> None:
        self._news: dict[Source, Snapshot] = {}
        self._lock = threading.Lock()  # held for a few steps in memory
        self._event = threading.Event()
        self._closed = False

    def put(self, source: Source, snapshot: Snapshot) -> None:
        with self._lock:
            self._news.pop(source, None)  # so that the one that came last stands last
            self._news[source] = snapshot
        self._event.set()

    def put_first(self, source: Source, snapshot: Snapshot) -> None:
        """Put what may be older than what is there already."""
        with self._lock:
            self._news.setdefault(source, snapshot)
        self._event.set()

    def take(self) -> dict[Source, Snapshot]:
        """Give what there is, and forget it."""
        with self._lock:
            news, self._news = self._news, {}
        return news

    def close(self) -> None:
        """End every `wait`."""
        self._closed = True
        self._event.set()

    def wait(self, timeout: float | None) -> bool:
        """Wait for news or `close`; False if *timeout* seconds passed without."""
        # A new one each time: gevent may have patched since the last, also in a child after the hook below.
        event = self._event = threading.Event()
        return bool(self._news) or self._closed or event.wait(timeout)

    def after_fork(self) -> None:
        """Replace the lock, which a thread of the parent may have held."""
        self._lock = threading.Lock()


class Following:
    """
    The sources that are followed. Changed by one thread at a time, the one that starts or dispatches; `end` may come
    from any, and whoever changes them calls it last.

    Args:
        inbox: Where their snapshots go.

        relist: Seconds after which each is read again in any case.
    """

    def __init__(self, inbox: Inbox, relist: float) -> None:
        self._inbox, self._relist = inbox, relist
        self._followers: dict[Source, _Follower] = {}
        self._judged: set[Source] = set()  # what is saved of them as the last good settings is ours to say

    def become(self, sources: Iterable[Source]) -> None:
        """Follow these and no others."""
        wanted = dict.fromkeys(sources)
        for source in self._judged.difference(wanted):
            self._judged.discard(source)
            if source.last_good is not None:
                source.last_good.dismiss(self)
        for source in [source for source in self._followers if source not in wanted]:
            source.reflector.unsubscribe(self._followers[source])
        for source in wanted:
            if source not in self._followers:
                self._followers = {**self._followers, source: self._follow(source)}
        self._followers = {source: self._followers[source] for source in wanted}

    def end(self) -> None:
        """Follow nothing any more. What is being changed meanwhile stays known, and is left by the `end` after it."""
        followers = self._followers
        for source, follower in followers.items():
            source.reflector.unsubscribe(follower)
        for source in list(self._judged):
            if source.last_good is not None:
                source.last_good.dismiss(self)

    def read(self, source: Source) -> Snapshot:
        """Read a source that may be followed from now on; nothing of it is saved that was not accepted."""
        if source.last_good is not None:
            source.last_good.judge(self)
            self._judged.add(source)
        return source.snapshot(max_age=0)

    def accept(self, source: Source, snapshot: Snapshot) -> None:
        """Have a snapshot saved as the last good one; what stands in during an outage is not."""
        if source.last_good is not None and source in self._judged and source.status().state in ("fresh", "live"):
            source.last_good.accept(self, snapshot)

    def resume(self) -> None:
        """Follow them in this process too, after a fork."""
        for source in self._followers:
            source.reflector.ensure_running()

    def _follow(self, source: Source) -> _Follower:
        follower = _Follower(source, self._inbox)
        held = source.reflector.subscribe(follower, relist=self._relist)
        if held is not None:  # it may have come between the build and the subscription
            self._inbox.put_first(source, held)
        return follower


class _Follower:
    """A listener on one source."""

    def __init__(self, source: Source, inbox: Inbox) -> None:
        self._source, self._inbox = source, inbox

    def take(self, snapshot: Snapshot) -> None:
        self._inbox.put(self._source, snapshot)

    def end(self) -> None:
        pass  # what was read serves on; whoever closed the source knows

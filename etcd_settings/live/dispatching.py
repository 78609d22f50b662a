"""
Turn snapshots into settings, on one thread.

News wake the thread. It waits until a burst is over, builds a candidate, and accepts or refuses it; then it tells who
wants to know. The factory and the callbacks run here and nowhere else, one after the other, and outside all locks.

It knows what is in use and what was refused. It knows nothing of how users hold it; see `live`.
"""

from __future__ import annotations

import logging
import math
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from etcd_settings import hooks
from etcd_settings.errors import ConfigurationError, EtcdSettingsError, RejectedUpdateError
from etcd_settings.live.callbacks import Callbacks, Subscription
from etcd_settings.live.candidates import Built, Failed, build
from etcd_settings.live.changes import Change, changed_paths, settings_classes
from etcd_settings.live.decisions import Decisions, Outcome
from etcd_settings.live.following import Following, Inbox
from etcd_settings.live.rejections import Rejection, invalid, why
from etcd_settings.snapshot import Snapshot
from etcd_settings.source import Source

__all__ = ["Dispatcher", "Timing"]

log = logging.getLogger("etcd_settings")

T = TypeVar("T")

_FIRST_RETRY, _LONGEST_RETRY = 0.5, 30.0
"""Seconds until a candidate is built again that failed because a source could not be read; each time twice as many."""

_UNSET: Any = object()


@dataclass(frozen=True, slots=True)
class Timing:
    """
    When things are done.

    Args:
        quiet: Seconds without news after which a candidate is built.

        longest: Seconds after which one is built in any case.

        relist: Seconds after which everything is read again.
    """

    quiet: float
    longest: float
    relist: float

    @classmethod
    def checked(cls, debounce: tuple[float, float], relist: float) -> Timing:
        """
        Make one of what users say.

        Raises:
            ConfigurationError: It is not usable.
        """
        try:
            quiet, longest = map(float, debounce)
        except (TypeError, ValueError):
            quiet = longest = -1.0
        if not 0 <= quiet <= longest or math.isinf(quiet):
            raise ConfigurationError(
                "debounce is two numbers of seconds: of quiet, and at most, as in (0.05, 1.0).", subject="debounce"
            )
        if not relist > 0:
            raise ConfigurationError("relist is a number of seconds above 0.", subject="relist")
        return cls(quiet, longest, float(relist))


class Dispatcher(Generic[T]):
    """
    The thread, and all that it knows.

    Args:
        factory: Makes the settings.

        timing: When.

        allow_empty: Whether a source may lose its last key.

        on_reject: Who is told of a rejection.

        swap: Puts new settings into use, by one reference.
    """

    def __init__(
        self,
        factory: type[T] | Callable[[], T],
        timing: Timing,
        *,
        allow_empty: bool,
        on_reject: Subscription[Any, Any] | None,
        swap: Callable[[T], None],
    ) -> None:
        self._factory = cast(Callable[[], T], factory)
        self._timing, self._allow_empty, self._on_reject, self._swap = timing, allow_empty, on_reject, swap
        self.callbacks: Callbacks[T] = Callbacks()
        self.decisions = Decisions()
        self.settings: T = _UNSET
        self.rejection: Rejection | None = None
        self.reloads = 0
        self._inbox = Inbox()
        self._following = Following(self._inbox, timing.relist)
        self._latest: dict[Source, Snapshot] = {}  # what came last, accepted or not
        self._accepted: Mapping[Source, Snapshot] = {}
        self._retries = 0
        self._retry_at: float | None = None
        self._stopping = False
        self._thread: threading.Thread | None = None

    @property
    def has_settings(self) -> bool:
        """Whether there were any, in this process or in its parent."""
        return self.settings is not _UNSET

    @property
    def sources(self) -> tuple[Source, ...]:
        """Those that the settings in use were made from, in the order of their first use."""
        return tuple(self._accepted)

    def start(self) -> None:
        """
        Build the first settings, or go on with those of the parent process, and start the thread.

        Raises:
            Exception: What the factory raised; pydantic's errors as an `InvalidSettingsError`.
            RuntimeError: There is no room for a thread. It may be tried again.
        """
        if not self.has_settings:
            self._take_first()
        self._swap(self.settings)  # before the thread may have newer ones
        self._following.become(self._latest)
        self._following.resume()
        thread = threading.Thread(target=self._main, name="etcd-settings-live", daemon=True)
        thread.start()
        self._thread = thread

    def stop(self) -> None:
        """End the thread, and follow nothing more."""
        self._stopping = True
        self._following.end()
        self._inbox.close()
        self.decisions.tell()
        self.callbacks.end()

    def join(self, timeout: float) -> None:
        """Wait for the thread."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)

    def ask(self, source: Source) -> None:
        """Find out, on a thread of its own, whether *source* has anything new up to now."""
        threading.Thread(target=self._ask, args=[source], name="etcd-settings-ask", daemon=True).start()

    def is_calling(self) -> bool:
        """Tell whether the caller was called from here."""
        return threading.current_thread() is self._thread or self.callbacks.is_calling()

    def after_fork(self) -> None:
        """Forget the thread, its locks, and what it was about to decide."""
        self._thread, self._latest = None, dict(self.decisions.latest)
        self._inbox.after_fork()
        self.decisions.after_fork()
        self.callbacks.after_fork()
        if self._on_reject is not None and self._on_reject.needs_loop:
            self._on_reject = None

    def _take_first(self) -> None:
        built = build(self._factory, {}, self._following.read)
        if isinstance(built, Failed):
            self._following.become(())
            raise invalid(built.error, [self._factory], built.taken.values()) or built.error
        if not built.taken:
            log.warning("What Live builds reads no source in the thread that builds it: there is nothing to follow.")
        self.settings = built.settings
        self._latest, self._accepted = dict(built.taken), built.taken
        self._schedule(built)
        self._decide(self._latest, "applied")

    def _main(self) -> None:
        while not self._stopping:
            retry_at = self._retry_at
            self._inbox.wait(None if retry_at is None else max(0.0, retry_at - time.monotonic()))
            try:
                self._heed()
            except Exception as e:  # noqa: BLE001  # a bug of ours must not end the following, nor show a value
                where = "".join(traceback.format_tb(e.__traceback__)).rstrip()
                # Not log.exception, which shows what the error says.
                log.error("Following etcd met a bug in etcd-settings, %s:\n%s", type(e).__name__, where)  # noqa: TRY400
        self._following.end()  # it may have followed a new source after `stop`

    def _heed(self) -> None:
        """Look at what came; wait for more only if something changed."""
        if self._stopping:
            return
        news = self._inbox.take()
        if self._is_new(news, self._latest) and not self._settle(news):
            return
        changed = self._take_in(news)
        if changed or (self._retry_at is not None and time.monotonic() >= self._retry_at):
            self._reload(changed)

    def _settle(self, news: dict[Source, Snapshot]) -> bool:
        """
        Add what comes until nothing new has come for a while; what is the same again does not count.

        Returns:
            Whether it still matters: False if `stop` was called meanwhile.
        """
        quiet_at = (now := time.monotonic()) + self._timing.quiet
        deadline = now + self._timing.longest
        while not self._stopping and (left := min(quiet_at, deadline) - time.monotonic()) > 0:
            if not self._inbox.wait(min(left, threading.TIMEOUT_MAX)):
                break
            more = self._inbox.take()
            if self._is_new(more, {**self._latest, **news}):
                quiet_at = time.monotonic() + self._timing.quiet
            news |= more
        return not self._stopping

    @staticmethod
    def _is_new(news: Mapping[Source, Snapshot], known: Mapping[Source, Snapshot]) -> bool:
        return any(known.get(source) != snapshot for source, snapshot in news.items())

    def _take_in(self, news: Mapping[Source, Snapshot]) -> list[Source]:
        """Note what came, and give the sources of which something changed."""
        changed: list[Source] = []
        for source, snapshot in news.items():
            if source not in self._latest or self._is_behind(source, snapshot):
                continue  # it is not followed any more, or the watch has yet to come to where we read
            is_same = self._latest[source] == snapshot
            self._latest[source] = snapshot
            if is_same:
                self.decisions.confirm(source, snapshot)
                if snapshot == self._accepted.get(source):
                    self._following.accept(source, snapshot)
            else:
                changed.append(source)
        return changed

    def _is_behind(self, source: Source, snapshot: Snapshot) -> bool:
        latest = self._latest[source]
        if snapshot.cluster_id != latest.cluster_id or snapshot.revision >= latest.revision:
            return False
        return (source.status().revision or 0) >= latest.revision  # else the source went back itself: a restore

    def _reload(self, changed: list[Source]) -> None:
        revision = self._latest[changed[-1]].revision if changed else self._revision_tried()
        emptied = [source for source in self._latest if self._is_emptied(source)]
        if emptied and not self._allow_empty:
            reason = f"{emptied[0].options.title} would have no keys left, which allow_empty=True permits"
            self._refuse(changed, Rejection(revision, RejectedUpdateError(revision, reason)))
            return
        built = build(self._factory, self._latest, self._following.read)
        self._schedule(built)
        if isinstance(built, Failed):
            self._latest |= built.taken
            self._following.become(self._latest)
            hints = [self._factory, type(self.settings)]
            error = why(built.error, revision, self._latest.values(), hints)
            self._refuse(changed, Rejection(revision, error))
        else:
            self._accept(changed, built, revision)

    def _revision_tried(self) -> int:
        """Give the revision that is tried again: the one refused, or that of the settings in use."""
        if self.rejection is not None:
            return self.rejection.revision
        return max((snapshot.revision for snapshot in self._latest.values()), default=0)

    def _is_emptied(self, source: Source) -> bool:
        before = self._accepted.get(source)
        return bool(before) and not self._latest[source]

    def _schedule(self, built: Built[T] | Failed) -> None:
        """Have it built again soon if a source could not be read, also if the factory made do without."""
        pause = min(_FIRST_RETRY * 2 ** min(self._retries, 20), _LONGEST_RETRY)
        self._retry_at = time.monotonic() + pause if built.unread else None
        self._retries = self._retries + 1 if built.unread else 0

    def _accept(self, changed: list[Source], built: Built[T], revision: int) -> None:
        old, self.settings = self.settings, built.settings
        self._latest, self._accepted = dict(built.taken), built.taken
        self._following.become(built.taken)
        if self._stopping:
            return
        self._swap(built.settings)
        paths = changed_paths(old, built.settings)
        refused, self.rejection = self.rejection, None
        self.reloads += bool(paths)
        if refused is not None:
            log.info("The settings of revision %d are good again, and in use.", revision)
        if paths:
            self._clear_caches(old, built.settings)
        self._decide(self._latest, "applied")
        if paths:
            if hooks.observed():
                hooks.tell(hooks.Reloaded(self._title(changed), revision, paths))
            self.callbacks.publish(Change(old, built.settings, paths, revision), lambda: not self._stopping)

    def _refuse(self, changed: list[Source], rejection: Rejection) -> None:
        before, self.rejection = self.rejection, rejection
        is_known = not changed and before is not None and type(before.error) is type(rejection.error)
        if not is_known:
            log.error("%s", rejection)
        undecided = [source for source in self._latest if source not in self.decisions.latest]
        self._decide([*changed, *undecided], "rejected")
        if not is_known and hooks.observed():
            hooks.tell(hooks.Rejected(self._title(changed), rejection.revision, type(rejection.error).__name__))
        if not is_known and self._on_reject is not None and not self._stopping:
            self.callbacks.deliver(self._on_reject, rejection)

    def _decide(self, sources: Iterable[Source], outcome: Outcome) -> None:
        for source in sources:
            self.decisions.record(source, self._latest[source], outcome)
            if outcome == "applied":
                self._following.accept(source, self._latest[source])
        self.decisions.keep(self._latest)

    def _title(self, changed: list[Source]) -> str:
        source = changed[-1] if changed else next(iter(self._latest), None)
        return "" if source is None else source.options.title

    def _clear_caches(self, old: T, new: T) -> None:
        """Have ``settings_cached()`` of pydantic-settings, which keeps instances by class, make new ones."""
        if "pydantic_settings" in sys.modules:
            for kind in settings_classes(old) | settings_classes(new) | {self._factory}:
                clear = getattr(kind, "settings_clear_cache", None)
                if clear is not None:
                    clear()

    def _ask(self, source: Source) -> None:
        with suppress(EtcdSettingsError):  # an outage, and the watch knows
            self.decisions.confirm(source, source.snapshot(max_age=0))

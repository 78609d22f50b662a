"""
Follow etcd in processes that serve, and tell who wants to know.

The first request begins it, in a thread of its own, and waits a moment for what etcd holds now: a worker may be forked
long after ``settings.py`` was read. Nothing is made before: a server may fork after Django is set up, and gevent may
patch after that. Commands, the parent of the autoreloader and Django's test client serve nothing, and follow nothing.

It knows when to begin. What is accepted, and what a fork leaves, is the business of `etcd_settings.live`.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from types import MappingProxyType
from typing import Any

from django.conf import LazySettings, settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.dispatch import Signal

from etcd_settings.errors import EtcdSettingsError, NotStartedError
from etcd_settings.forks import tell_after_fork
from etcd_settings.integrations.django.hot import bottom, show
from etcd_settings.integrations.django.loading import Loaded, Reader, last_load
from etcd_settings.integrations.django.names import is_live
from etcd_settings.integrations.django.options import live_in, url_in
from etcd_settings.live import Change, Live, LiveStatus
from etcd_settings.options import UNSET
from etcd_settings.source import Source

__all__ = ["Following", "begin_with_a_request", "current", "following", "install", "settings_changed", "status"]

log = logging.getLogger("etcd_settings")


class _Signal(Signal):
    """A signal that quotes nothing of what a receiver raised, for that may quote a setting."""

    def _log_robust_failure(self, receiver: Any, err: Exception) -> None:
        name = getattr(receiver, "__qualname__", type(receiver).__qualname__)
        places = "".join(traceback.format_tb(err.__traceback__)).rstrip()
        log.error("%s raised %s when it was told of changed settings:\n%s", name, type(err).__name__, places)


settings_changed = _Signal()
"""
Sent after live settings changed, with ``changes`` (name → (old, new), `UNSET` where there is none) and ``revision``.

The receivers run one after the other, on a thread of ours; one that raises is logged, with type and place alone.
"""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
"""Seconds until it is tried again to begin, while etcd is away and nothing was ever read; each time twice as many."""

_LONGEST_WAIT = 2.0
"""Seconds that the first request, and those beside it, wait for one read of etcd; then the settings of the start do."""


class Following:
    """
    The live settings of one process. Thread-safe.

    Args:
        reader: Makes settings.

        loaded: What ``settings.py`` was given.

        patterns: Which of them are live.
    """

    def __init__(self, reader: Reader, loaded: Loaded, patterns: tuple[str, ...]) -> None:
        self.reader, self._patterns = reader, patterns
        self.strangers = loaded.strangers
        self._live: Live[Loaded] | None = None
        self._begun = False
        self._tried = threading.Event()
        at_rest = {name: value for name, value in vars(bottom()).items() if is_live(name, patterns)}
        self._at_rest = Loaded(MappingProxyType(at_rest), loaded.revision)
        self._defaults = {name: value for name, value in at_rest.items() if name not in loaded.values}
        self._defaults |= {name: reader.default(name) for name in at_rest if reader.has_default(name)}
        show(at_rest, self._values)
        tell_after_fork(self)

    def begin(self) -> None:
        """Follow etcd from now on, and wait until it was tried once; costs next to nothing afterwards."""
        if self._live is not None or not self._patterns:
            return
        if not self._begun:
            # Of two threads that get here at once, both begin, and one finds it done.
            self._tried, self._begun = threading.Event(), True
            threading.Thread(target=self._begin, args=[self._tried], name="etcd-settings-django", daemon=True).start()
        tried = self._tried
        tried.wait(_LONGEST_WAIT)
        tried.set()  # one that took too long is waited for no more

    def current(self) -> Loaded:
        """Give all live settings, at one revision; before the first request the ones of the start."""
        live = self._live
        return self._at_rest if live is None else live.current

    def status(self) -> LiveStatus | None:
        """Tell how the following is doing; None before it began."""
        live = self._live
        return None if live is None else live.status()

    def close(self) -> None:
        """Follow nothing more; what is shown stays."""
        self._begun = True
        self._tried.set()
        if self._live is not None:
            self._live.close()

    def after_fork(self) -> None:
        """Begin anew if the parent process was about to; a Live that was there goes on by itself."""
        if self._live is None:
            self._begun = False

    def build(self) -> Loaded:
        """Make the live settings of what etcd holds; whatever is wrong with any setting refuses them all."""
        loaded = self.reader.read()
        found = {name: value for name, value in loaded.values.items() if is_live(name, self._patterns)}
        values = {**self._defaults, **found}
        show(values, self._values)
        return Loaded(MappingProxyType(values), loaded.revision)

    def _values(self) -> Any:
        live = self._live
        return None if live is None else live.current.values

    def _begin(self, tried: threading.Event) -> None:
        live, pause = Live(self.build), _FIRST_PAUSE
        live.on_change(_tell)
        while True:
            try:
                live.start()
            except EtcdSettingsError as e:
                # Not log.exception: it is no bug, and the settings of the start stay.
                log.error("Django's live settings do not follow etcd yet: %s", e)  # noqa: TRY400
            else:
                break
            tried.set()
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        double, self._live = self._live is not None, self._live or live
        tried.set()
        if double:
            live.close()
        elif self._at_rest != live.current:  # it changed between the start and the first request
            _tell(Change(self._at_rest, live.current, frozenset({"values"}), live.current.revision))


_following: Following | None = None


def following() -> Following:
    """
    Give the one of this process.

    Raises:
        NotStartedError: The app is not installed, or Django not set up.
    """
    if _following is None:
        raise NotStartedError("app etcd_settings.integrations.django")
    return _following


def current() -> Loaded:
    """Give all live settings at one revision, for what must not mix two states; overrides do not show here."""
    return following().current()


def status() -> LiveStatus | None:
    """Tell how the following of etcd is doing in this process; None before its first request."""
    return following().status()


def install() -> Following:
    """Make the one of this process, out of what the settings say."""
    global _following  # Django has one `settings` in a process
    said = getattr(settings, "ETCD_SETTINGS", None)
    load = last_load()
    if load is None:
        url = url_in(said)
        defaults = {name: value for name, value in vars(bottom()).items() if name.isupper()}
        source = url if isinstance(url, Source) else Source.shared(url)
        load = Reader(source, defaults), Loaded(MappingProxyType({}), 0)
    _following = Following(*load, live_in(said))
    return _following


def begin_with_a_request(sender: Any, **_: object) -> None:
    """Begin if it is a server that got the request: Django's test client has handlers of its own."""
    if issubclass(sender, (WSGIHandler, ASGIHandler)) and _following is not None:
        _following.begin()


def _tell(change: Change[Loaded]) -> None:
    old, new = change.old.values, change.new.values
    changes = {
        name: (old.get(name, UNSET), new.get(name, UNSET))
        for name in sorted({*old, *new})
        if old.get(name, UNSET) != new.get(name, UNSET)
    }
    settings_changed.send_robust(sender=LazySettings, changes=changes, revision=change.revision)

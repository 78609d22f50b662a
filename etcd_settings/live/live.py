"""
Hold settings that follow etcd.

`Live` is what users have: it starts, gives the settings in use, waits, tells and closes. The `Dispatcher` works for it.

Invariant: `current` is a plain attribute, so that reading it costs what any attribute costs. Where it is missing, which
is before the start and in a forked child, the object has another class, which knows what to do about it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, Self, TypeVar, cast, overload

from etcd_settings.errors import ClosedError, ConfigurationError, EtcdSettingsError, NotStartedError
from etcd_settings.forks import tell_after_fork
from etcd_settings.live.callbacks import Changes, Subscription, call_soon
from etcd_settings.live.changes import Change
from etcd_settings.live.decisions import Outcome
from etcd_settings.live.dispatching import Dispatcher, Timing
from etcd_settings.live.proxy import Proxy
from etcd_settings.live.rejections import Rejection
from etcd_settings.source import Source
from etcd_settings.status import Status

__all__ = ["Live", "LiveStatus"]

T = TypeVar("T")
R = TypeVar("R")

_CLOSING = 0.8
"""Seconds that `Live.close` waits for its thread, which may be within somebody's callback."""


@dataclass(frozen=True, slots=True)
class LiveStatus(Status):
    """
    How a `Live` was doing at one moment; what `Status` says is about its first source.

    Args:
        connected: Whether a watch is connected for every source.

        reloads: How many updates changed the settings since the start.

        rejection: The update that is refused at present; None if the newest one is in use.
    """

    connected: bool = False
    reloads: int = 0
    rejection: Rejection | None = None


class Live(Generic[T]):
    """
    Settings that follow etcd: whole and valid at every moment, and swapped by one reference.

    Args:
        factory: Makes the settings, from one or more sources: a settings class, or any function. It is called anew
            whenever something changes, on a thread of ours; while it runs, each source shows one state. What it reads
            in threads that it starts is not seen.

        debounce: Seconds of quiet to wait for after a change, and seconds to wait at most, so that a burst is one
            reload.

        relist: Seconds after which everything is read again in any case, spread by a fifth.

        on_reject: Called with the `Rejection` when an update is refused.

        allow_empty: Accept an update after which a source has no keys left, which is mostly somebody's mistake.

    Attributes:
        current: The settings in use. Read it once where several values must belong together.

    Raises:
        ConfigurationError: An argument is not usable.
        TypeError: *on_reject* is a coroutine function, and no event loop runs here.

    Thread-safe. In a forked child it goes on with the settings that it had, and follows etcd by itself from the first
    time that it is used.
    """

    current: T

    @overload
    def __init__(
        self,
        factory: type[T],
        *,
        debounce: tuple[float, float] = ...,
        relist: float = ...,
        on_reject: Callable[[Rejection], object] | None = ...,
        allow_empty: bool = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        factory: Callable[[], T],
        *,
        debounce: tuple[float, float] = ...,
        relist: float = ...,
        on_reject: Callable[[Rejection], object] | None = ...,
        allow_empty: bool = ...,
    ) -> None: ...
    def __init__(
        self,
        factory: type[T] | Callable[[], T],
        *,
        debounce: tuple[float, float] = (0.05, 1.0),
        relist: float = 300.0,
        on_reject: Callable[[Rejection], object] | None = None,
        allow_empty: bool = False,
    ) -> None:
        self._dispatcher: Dispatcher[T] = Dispatcher(
            factory,
            Timing.checked(debounce, relist),
            allow_empty=allow_empty,
            on_reject=Subscription(on_reject) if on_reject is not None else None,
            swap=self._swap,
        )
        self._proxy = Proxy(lambda: self.current, self._kind)
        self._closed_at: float | None = None
        self._starting: threading.Event | None = None
        self._starter = 0  # the thread that starts
        self._running = False
        self._lock = threading.Lock()  # held for a few steps in memory, never over I/O
        self._fall_asleep()
        tell_after_fork(self)

    def start(self) -> Self:
        """
        Load the settings, then follow etcd. Starting twice is harmless.

        Raises:
            InvalidSettingsError: They do not validate.
            Exception: Whatever else the factory raises, such as the `UnavailableError` of an outage.
            RuntimeError: It was called from within the factory.
            ClosedError: It is closed.
        """
        while not self._running:
            starting = self._begin()
            if starting is None:
                continue
            try:
                self._dispatcher.start()
                self._running = True
            finally:
                self._starting = None
                starting.set()
        if self._closed_at is not None:  # closed in another thread meanwhile
            self._dispatcher.stop()
            raise ClosedError("Live")
        return self

    def close(self) -> None:
        """
        Follow etcd no more; `current` stays as it is. Closing twice is harmless.

        It takes at most a second, and does not wait for a callback that runs. The sources stay open.

        Raises:
            RuntimeError: It was called from within a callback.
        """
        self._refuse_in_callback("close")
        if self._end():
            self._dispatcher.join(_CLOSING)

    @property
    def proxy(self) -> T:
        """Stand for the newest settings, whatever they are; typed as they are."""
        return cast(T, self._proxy)

    @property
    def rejection(self) -> Rejection | None:
        """The update that is refused at present; None if the newest one is in use."""
        return self._dispatcher.rejection

    @overload
    def on_change(self, function: Callable[[Change[T]], R], /) -> Subscription[[Change[T]], R]: ...
    @overload
    def on_change(self, /, *paths: str) -> Callable[[Callable[[Change[T]], R]], Subscription[[Change[T]], R]]: ...
    def on_change(self, /, *what: Any) -> Any:
        """
        Have a function called after a change: ``@live.on_change``, or ``@live.on_change("database", …)``.

        It is called with a `Change`, after the new settings are in use. Functions are called one after the other, on
        a thread of ours; coroutine functions run on the event loop on which they were registered.

        Args:
            what: The function, or the field paths that matter: a change of one, of something below it, or of
                something above it as a whole.

        Returns:
            A `Subscription`: to be called as the function was, with ``cancel()``.

        Raises:
            TypeError: A coroutine function was given, and no event loop runs here.
        """
        if len(what) == 1 and callable(what[0]):
            return self._dispatcher.callbacks.add(what[0], ())
        if not all(isinstance(path, str) for path in what):
            raise TypeError('on_change takes one function, or field paths: @live.on_change("database.host").')

        def register(function: Any) -> Any:
            return self._dispatcher.callbacks.add(function, what)

        return register

    def changes(self, *paths: str) -> Changes[T]:
        """
        Iterate over changes: ``async for change in live.changes():``. Whoever is slow gets several as one.

        Args:
            paths: The field paths that matter; none means all.

        Raises:
            RuntimeError: No event loop runs here.
        """
        changes = self._dispatcher.callbacks.iterate(paths)
        if self._closed_at is not None:
            changes.end()
        return changes

    def wait(self, revision: int, timeout: float = 10.0, *, source: Source | None = None) -> Outcome:
        """
        Wait until a revision is in use, or refused.

        A revision that touched none of our keys shares the fate of the one before it.

        Args:
            revision: The revision, as a write gives it.

            timeout: Seconds to wait at most.

            source: Whose revision it is; by default of the source that the factory reads first.

        Returns:
            ``"applied"`` or ``"rejected"``.

        Raises:
            TimeoutError: Neither happened in time.
            RuntimeError: It was called from within a callback, for which it would wait.
            ClosedError: It is closed.
        """
        self._refuse_in_callback("wait")
        awaited = self._awaited(source)
        news, deadline, pause = threading.Event(), time.monotonic() + timeout, _Pause()
        with self._dispatcher.decisions.telling(news.set):
            while (outcome := self._outcome(awaited, revision, deadline)) is None:
                if not news.wait(pause.within(deadline)):
                    self._dispatcher.ask(awaited)
                news.clear()
                pause.lengthen()
        return outcome

    async def wait_async(self, revision: int, timeout: float = 10.0, *, source: Source | None = None) -> Outcome:
        """Do as `wait` without blocking the event loop."""
        import asyncio

        self._refuse_in_callback("wait_async")
        awaited = self._awaited(source)
        loop, news = asyncio.get_running_loop(), asyncio.Event()
        deadline, pause = time.monotonic() + timeout, _Pause()
        with self._dispatcher.decisions.telling(lambda: call_soon(loop, news.set)):
            while (outcome := self._outcome(awaited, revision, deadline)) is None:
                try:
                    await asyncio.wait_for(news.wait(), pause.within(deadline))
                except TimeoutError:
                    self._dispatcher.ask(awaited)
                news.clear()
                pause.lengthen()
        return outcome

    def status(self) -> LiveStatus:
        """Tell how it is doing; asks nobody."""
        dispatcher, closed_at = self._dispatcher, self._closed_at
        statuses = [source.status() for source in dispatcher.sources]
        first = statuses[0] if statuses else Status("empty", time.time())
        return LiveStatus(
            state="closed" if closed_at is not None else first.state,
            since=first.since if closed_at is None else closed_at,
            revision=first.revision,
            age=first.age,
            endpoint=first.endpoint,
            error=first.error,
            connected=closed_at is None and bool(statuses) and all(one.state == "live" for one in statuses),
            reloads=dispatcher.reloads,
            rejection=dispatcher.rejection,
        )

    def after_fork(self) -> None:
        """Forget threads, and clear the slot behind `current`: the first access goes on from there."""
        self._lock, self._starting = threading.Lock(), None
        self._dispatcher.after_fork()
        if self._running and self._closed_at is None:
            self._running = False
            self._fall_asleep()
            vars(self).pop("current", None)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        from asyncio import to_thread

        try:
            return await to_thread(self.start)
        except BaseException:
            self._end()  # if it was cancelled, the thread goes on starting what nobody would close
            raise

    async def __aexit__(self, *_: object) -> None:
        from asyncio import to_thread

        self._refuse_in_callback("close")
        await to_thread(self.close)

    def __repr__(self) -> str:
        status = self.status()
        revision = "" if status.revision is None else f" at revision {status.revision}"
        return f"<Live {status.state}{revision}, {status.reloads} reloads>"

    def _begin(self) -> threading.Event | None:
        """Give an event if it is ours to start; None if somebody else did meanwhile."""
        with self._lock:
            if self._closed_at is not None:
                raise ClosedError("Live")
            if self._running:
                return None
            others, mine = self._starting, threading.Event()
            if others is None:
                self._starting, self._starter = mine, threading.get_ident()
                return mine
            if self._starter == threading.get_ident():
                raise RuntimeError("start() within the factory would wait for the factory itself. Start it outside.")
        others.wait()
        return None

    def _kind(self) -> type[T] | None:
        """Give the class of the settings, if there are any, and wake nobody up."""
        return type(self._dispatcher.settings) if self._dispatcher.has_settings else None

    def _end(self) -> bool:
        """Follow no more, and wait for nobody; False if that was so already."""
        with self._lock:
            if self._closed_at is not None:
                return False
            self._closed_at = time.time()
        self._dispatcher.stop()
        return True

    def _fall_asleep(self) -> None:
        kind: Any = type(self)
        self.__class__ = _asleep(kind)

    def _swap(self, settings: T) -> None:
        self.current = settings
        self.__class__ = getattr(type(self), "_awake", type(self))

    def _wake_up(self) -> None:
        """Go on in a forked child."""
        if self._running or not self._dispatcher.has_settings:
            return
        if self._closed_at is not None:
            self._swap(self._dispatcher.settings)
            return
        with suppress(RuntimeError):  # the interpreter goes down, and starts no more threads
            self.start()

    def _refuse_in_callback(self, what: str) -> None:
        if self._dispatcher.is_calling():
            raise RuntimeError(
                f"{what}() within a callback would wait for the callback itself. Call it from another thread or task."
            )

    def _awaited(self, source: Source | None) -> Source:
        self._wake_up()
        if not self._running:
            raise NotStartedError("Live")
        sources = self._dispatcher.sources
        if source is None and sources:
            return sources[0]
        if source is None or source not in sources:
            raise ConfigurationError("The settings are not read from that source.", subject="source")
        return source

    def _outcome(self, source: Source, revision: int, deadline: float) -> Outcome | None:
        outcome = self._dispatcher.decisions.on(source, revision)
        if outcome is None and self._closed_at is not None:
            raise ClosedError("Live")
        if outcome is None and time.monotonic() >= deadline:
            raise TimeoutError(f"Revision {revision} was neither applied nor rejected in time.")
        return outcome


class _Pause:
    """How long to wait for a decision before asking etcd whether there will be one."""

    def __init__(self) -> None:
        self._seconds = 0.25

    def within(self, deadline: float) -> float:
        return max(0.0, min(self._seconds, deadline - time.monotonic()))

    def lengthen(self) -> None:
        self._seconds = min(self._seconds * 2, 5.0)


@cache
def _asleep(kind: Any) -> Any:
    """
    Make the class of those that have no `current`.

    A class of its own, since `__getattr__` makes every attribute slower, also where it is not called.
    """
    awake: Any = getattr(kind, "_awake", kind)
    body = {"__getattr__": _missing, "__module__": kind.__module__, "__doc__": kind.__doc__, "_awake": awake}
    return type(awake.__name__, (awake,), body)


def _missing(self: Any, name: str) -> Any:
    if name != "current":
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
    self._wake_up()
    try:
        return vars(self)["current"]
    except KeyError:
        pass
    error: EtcdSettingsError = NotStartedError("Live")
    raise error

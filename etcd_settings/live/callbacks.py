"""
Tell whoever wants to know of changes, each where it wants to be told.

A function is called in the dispatcher's thread. A coroutine function runs on the event loop on which it was registered,
one after the other there; an iteration over changes is fed on its loop. Nobody's failure harms the others.

It knows threads and loops. It knows nothing of sources.
"""

from __future__ import annotations

import inspect
import logging
import threading
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar
from weakref import WeakSet, WeakValueDictionary

from etcd_settings.live.changes import Change, changed_paths

if TYPE_CHECKING:
    import asyncio

__all__ = ["Callbacks", "Changes", "Subscription", "call_soon"]

log = logging.getLogger("etcd_settings")

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Subscription(Generic[P, R]):
    """
    A function that is called when settings change; to be called as the function was, and to be cancelled.

    Args:
        function: What is called, with what happened.

        paths: The field paths that matter; none means all.

        cancelled: Told when it is cancelled.

    Raises:
        TypeError: It is a coroutine function, and there is no running event loop.
    """

    __name__: str

    def __init__(
        self,
        function: Callable[P, R],
        paths: tuple[str, ...] = (),
        cancelled: Callable[[Any], object] = lambda _: None,
    ) -> None:
        update_wrapper(self, function)  # first: a subscription that is registered once more has such attributes too
        self._function, self._paths, self._cancelled = function, paths, cancelled
        self.loop: asyncio.AbstractEventLoop | None = (
            function.loop if isinstance(function, Subscription) else _loop_for(function)
        )
        self._runner: _Runner | None = None  # kept by who needs it, so that it goes with the last of them
        self.is_active = True

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._function(*args, **kwargs)

    def cancel(self) -> None:
        """Have it called no more. Safe from any thread, and to repeat."""
        self.is_active = False
        self._cancelled(self)

    @property
    def needs_loop(self) -> bool:
        """Whether it runs on an event loop, which a forked child does not have."""
        return self.loop is not None

    def wants(self, change: Change[Any]) -> bool:
        """Tell whether something changed that matters to it."""
        return not self._paths or any(change.touches(path) for path in self._paths)

    def deliver(self, event: Any, runners: WeakValueDictionary[Any, _Runner]) -> None:
        """Call it, or have its loop call it; does not raise."""
        if not self.is_active:
            return
        if self.loop is None:
            function: Any = self._function
            try:
                function(event)
            except BaseException as e:  # noqa: BLE001  # also SystemExit: nobody stops the dispatcher from here
                _complain(self._function, e)
        else:
            self._runner = runners.setdefault(self.loop, self._runner or _Runner(self.loop))
            self._runner.submit(self, event)

    async def run(self, event: Any) -> None:
        """Await it, on its loop; does not raise."""
        function: Any = self._function
        if self.is_active:
            try:
                await function(event)
            except Exception as e:  # noqa: BLE001  # what it raises is told, and harms nobody
                _complain(self._function, e)
            except BaseException as e:
                if type(e).__name__ != "CancelledError" or _is_cancelled():
                    raise
                _complain(self._function, e)  # it awaited something that was cancelled; the task is not

    def __repr__(self) -> str:
        return f"<Subscription of {_name(self._function)}{'' if self.is_active else ', cancelled'}>"


class Callbacks(Generic[T]):
    """All who are told. Thread-safe: tuples are replaced, and whoever is told goes through the one that was there."""

    def __init__(self) -> None:
        self._subscriptions: tuple[Subscription[Any, Any], ...] = ()
        self._iterations: WeakSet[Changes[T]] = WeakSet()  # weak: whoever leaves a loop early leaves it behind
        self._runners: WeakValueDictionary[Any, _Runner] = WeakValueDictionary()  # loop → who runs things there
        self._lock = threading.Lock()

    def add(self, function: Callable[P, R], paths: tuple[str, ...]) -> Subscription[P, R]:
        """Register a function."""
        subscription = Subscription(function, paths, self._remove)
        with self._lock:
            self._subscriptions = (*self._subscriptions, subscription)
        return subscription

    def iterate(self, paths: tuple[str, ...]) -> Changes[T]:
        """Register an iteration."""
        changes: Changes[T] = Changes(paths)
        with self._lock:
            self._iterations.add(changes)
        return changes

    def publish(self, change: Change[T], still: Callable[[], bool]) -> None:
        """Tell everybody whom it concerns, as long as *still* says yes."""
        with self._lock:
            iterations, subscriptions = list(self._iterations), self._subscriptions
        for iteration in iterations:
            iteration.offer(change)
        for subscription in subscriptions:
            if subscription.wants(change) and still():
                self.deliver(subscription, change)

    def deliver(self, subscription: Subscription[Any, Any], event: object) -> None:
        """Tell one."""
        subscription.deliver(event, self._runners)

    def is_calling(self) -> bool:
        """Tell whether the caller is a coroutine function that was called from here."""
        return any(runner.is_current() for runner in list(self._runners.values()))

    def end(self) -> None:
        """End the iterations, and call no coroutine function any more that waits for its turn."""
        with self._lock:
            iterations = list(self._iterations)
        for iteration in iterations:
            iteration.end()
        for runner in list(self._runners.values()):
            runner.end()

    def after_fork(self) -> None:
        """Drop what belongs to event loops: none of them runs in this process."""
        self._lock, self._iterations, self._runners = threading.Lock(), WeakSet(), WeakValueDictionary()
        self._subscriptions = tuple(one for one in self._subscriptions if not one.needs_loop)

    def _remove(self, subscription: Subscription[Any, Any]) -> None:
        with self._lock:
            self._subscriptions = tuple(one for one in self._subscriptions if one is not subscription)


class Changes(Generic[T]):
    """
    The changes of a `Live`, for ``async for``; made by `Live.changes`.

    Whoever is slow gets one change for all that happened meanwhile, from what it saw last to the newest. It ends when
    the `Live` is closed.

    For one task, on the loop on which it was made.
    """

    def __init__(self, paths: tuple[str, ...]) -> None:
        import asyncio  # here: a program without a loop does not load it

        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._paths = paths
        self._pending: Change[T] | None = None
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change[T]:
        while True:
            change, self._pending = self._pending, None
            if change is not None and (not self._paths or any(change.touches(path) for path in self._paths)):
                return change
            if self._ended:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()

    async def aclose(self) -> None:
        """End it."""
        self._end()

    def offer(self, change: Change[T]) -> None:
        """Take a change; from any thread."""
        call_soon(self._loop, self._add, change)

    def end(self) -> None:
        """Expect no more; from any thread."""
        call_soon(self._loop, self._end)

    def _add(self, change: Change[T]) -> None:
        pending = self._pending
        if pending is not None:
            paths = changed_paths(pending.old, change.new)
            change = Change(pending.old, change.new, paths, change.revision)
        self._pending = change if change.paths else None  # there and back again is no change
        self._news.set()

    def _end(self) -> None:
        self._ended = True
        self._news.set()


class _Runner:
    """Runs coroutine functions on one loop, one after the other."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[tuple[Subscription[Any, Awaitable[object]], object]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._ended = False

    def submit(self, subscription: Subscription[Any, Any], event: object) -> None:
        if not call_soon(self._loop, self._add, subscription, event):
            subscription.cancel()

    def end(self) -> None:
        """Run nothing more; what runs, goes on."""
        self._ended = True

    def is_current(self) -> bool:
        """Tell whether the caller is within what it runs."""
        import asyncio

        try:
            return self._task is not None and asyncio.current_task() is self._task
        except RuntimeError:  # no loop runs in this thread
            return False

    def _add(self, subscription: Subscription[Any, Any], event: object) -> None:
        self._waiting.append((subscription, event))
        if self._task is None:
            self._task = self._loop.create_task(self._drain())

    async def _drain(self) -> None:
        try:
            while self._waiting and not self._ended:
                subscription, event = self._waiting.popleft()
                await subscription.run(event)
        finally:
            self._task = None


def _is_cancelled() -> bool:
    import asyncio

    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _loop_for(function: Callable[..., Any]) -> asyncio.AbstractEventLoop | None:
    called = getattr(function, "__call__", None)  # noqa: B004  # not whether it can be called, but what is called
    if not inspect.iscoroutinefunction(function) and not inspect.iscoroutinefunction(called):
        return None
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        pass
    raise TypeError(
        f"{_name(function)} is a coroutine function, and no event loop runs here that could run it. "
        f"Register it from within the loop, or register an ordinary function."
    )


def call_soon(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *arguments: object) -> bool:
    """Have a loop call something; False if it is closed."""
    try:
        loop.call_soon_threadsafe(function, *arguments)
    except RuntimeError:  # the loop is closed
        return False
    return True


def _complain(function: Callable[..., Any], error: BaseException) -> None:
    # Its message may quote a setting, so the log gets its type and where it came from; code holds no values.
    where = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    log.error("%s raised %s when it was told of settings:\n%s", _name(function), type(error).__name__, where)


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", None) or type(function).__name__

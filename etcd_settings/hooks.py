"""
Let observers see what happens: reads, outages, reloads, rejections.

What happened is one frozen object; whoever observes is a function that takes it. Metrics, traces and structured logs
are built on this, outside of the library: `log_records` is one that comes with it.

It knows events and observers, and nothing of what makes them happen. No event holds a value of a setting.

Invariant: without observers an event costs a look at an empty tuple, and is not even made.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Protocol, TypeAlias

from etcd_settings.forks import tell_after_fork

__all__ = [
    "Connected",
    "Disconnected",
    "Event",
    "Observer",
    "OutageBegan",
    "OutageEnded",
    "Read",
    "Rejected",
    "Reloaded",
    "log_records",
    "observe",
    "observed",
    "tell",
]


@dataclass(frozen=True, slots=True)
class Read:
    """
    A source was read.

    Args:
        source: Its title: a URL without user and password.

        revision: The revision that came.

        seconds: How long it took.
    """

    source: str
    revision: int
    seconds: float


@dataclass(frozen=True, slots=True)
class OutageBegan:
    """
    A source can't be read, after it could, or from the beginning.

    Args:
        source: Its title.

        error: The type of what was raised.
    """

    source: str
    error: str


@dataclass(frozen=True, slots=True)
class OutageEnded:
    """
    A source can be read again.

    Args:
        source: Its title.

        failures: How many attempts had failed.
    """

    source: str
    failures: int


@dataclass(frozen=True, slots=True)
class Connected:
    """A watch stands; *source* is the source's title."""

    source: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A watch broke or ended; *source* is the source's title."""

    source: str


@dataclass(frozen=True, slots=True)
class Reloaded:
    """
    A `Live` has new settings.

    Args:
        source: The title of the source that changed.

        revision: Its revision.

        paths: The field paths that differ.
    """

    source: str
    revision: int
    paths: frozenset[str]


@dataclass(frozen=True, slots=True)
class Rejected:
    """
    A `Live` refused an update.

    Args:
        source: The title of the source that changed.

        revision: Its revision.

        error: The type of the reason.
    """

    source: str
    revision: int
    error: str


Event: TypeAlias = Read | OutageBegan | OutageEnded | Connected | Disconnected | Reloaded | Rejected


class Observer(Protocol):
    """Who wants to know. Called in the thread in which it happened; must be quick, and read no settings."""

    def __call__(self, event: Event, /) -> object: ...


class _Observers:
    def __init__(self) -> None:
        self.now: tuple[Observer, ...] = ()
        self.lock = threading.Lock()
        tell_after_fork(self)

    def after_fork(self) -> None:
        self.lock = threading.Lock()


_observers = _Observers()


def observe(observer: Observer) -> Callable[[], None]:
    """Have *observer* told of every event in this process from now on; gives a function that ends it."""
    with _observers.lock:
        _observers.now = (*_observers.now, observer)

    def end() -> None:
        with _observers.lock:
            _observers.now = tuple(other for other in _observers.now if other is not observer)

    return end


def observed() -> bool:
    """Tell whether anybody observes; if not, no event need be made."""
    return bool(_observers.now)


def tell(event: Event) -> None:
    """Tell all observers."""
    for observer in _observers.now:
        try:
            observer(event)
        except Exception as e:  # noqa: BLE001  # whoever observes must not change what happens
            _complain(observer, e)


def log_records(event: Event) -> None:
    """
    Write an event to the log ``etcd_settings.events``, as a record with a stable name and its facts.

    The record's message is the event's name, such as ``"Reloaded"``; ``record.event`` is the same, and ``record.facts``
    a dict of the event's attributes.
    """
    import logging  # here: importing the package must not load it

    name = type(event).__name__
    logging.getLogger("etcd_settings.events").info(name, extra={"event": name, "facts": asdict(event)})


def _complain(observer: Observer, error: Exception) -> None:
    import logging

    log = logging.getLogger("etcd_settings")
    log.warning("The observer %s raised %s.", getattr(observer, "__qualname__", type(observer)), type(error).__name__)

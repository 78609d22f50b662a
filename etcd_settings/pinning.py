"""
Let whoever builds something of settings see one snapshot of each source, however often it asks.

Pins are set for the time of a build, in the thread that builds. A source looks here before it looks into its cache. So
a build sees no two states of a source, and whoever set the pins learns which sources were read.

It knows sources as things that can be told apart, and nothing else of them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from etcd_settings.snapshot import Snapshot

__all__ = ["Pins", "pins_in_force"]

S = TypeVar("S")


class Pins(Generic[S]):
    """
    What each source shows during one build.

    Args:
        known: What sources show that were read before.

        read: Reads a source that is not among them, at its first use.

    Attributes:
        taken: What was shown, by source, in the order of their first use.

        failed: The sources that could not be read.
    """

    def __init__(self, known: Mapping[S, Snapshot], read: Callable[[S], Snapshot]) -> None:
        self._known, self._read = known, read
        self.taken: dict[S, Snapshot] = {}
        self.failed: set[S] = set()
        self.is_over = False

    def take(self, source: S) -> Snapshot:
        """
        Give what *source* shows.

        Raises:
            Exception: It is a new one, and could not be read.
        """
        if source not in self.taken:
            known = self._known.get(source)  # asked for None: an empty snapshot is false
            self.taken[source] = self._first(source) if known is None else known
        return self.taken[source]

    @contextmanager
    def in_force(self) -> Generator[None]:
        """Have sources look here, in this thread, until the block is left."""
        token = _pins.set(self)
        try:
            yield
        finally:
            self.is_over = True  # a thread or task that was started meanwhile may have inherited the variable
            _pins.reset(token)

    def _first(self, source: S) -> Snapshot:
        token = _pins.set(None)
        try:
            return self._read(source)
        except BaseException:
            self.failed.add(source)
            raise
        finally:
            _pins.reset(token)


_pins: ContextVar[Pins[Any] | None] = ContextVar("etcd_settings_pins", default=None)


def pins_in_force() -> Pins[Any] | None:
    """Give the pins of the build that goes on in this context; None if there is none."""
    pins = _pins.get()
    return None if pins is None or pins.is_over else pins

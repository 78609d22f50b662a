"""
Build one candidate: call the factory while every source shows one state.

It knows pins and factories. What becomes of a candidate is decided elsewhere.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from etcd_settings.errors import ConfigurationError
from etcd_settings.pinning import Pins
from etcd_settings.snapshot import Snapshot
from etcd_settings.source import Source

__all__ = ["Built", "Failed", "build"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Built(Generic[T]):
    """
    Settings that the factory made.

    Args:
        settings: The settings.

        taken: What they were made of, by source, in the order of first use.

        unread: Whether there was a source that could not be read, without which the factory made do.
    """

    settings: T = field(repr=False)
    taken: Mapping[Source, Snapshot]
    unread: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """
    What the factory raised.

    Args:
        error: The error, as it was raised.

        taken: What it had read until then.

        unread: Whether there was a source that could not be read: then it may work later, though nothing changes.
    """

    error: BaseException = field(repr=False)
    taken: Mapping[Source, Snapshot]
    unread: bool


def build(
    factory: Callable[[], T], known: Mapping[Source, Snapshot], read: Callable[[Source], Snapshot]
) -> Built[T] | Failed:
    """
    Call the factory.

    Args:
        factory: Makes the settings.

        known: What the sources show that are followed already.

        read: Reads a new one, at its first use.
    """
    pins: Pins[Source] = Pins(known, read)
    try:
        with pins.in_force():
            settings = factory()
    except BaseException as e:  # noqa: BLE001  # also SystemExit: whatever it is, it says that there are no settings
        return Failed(e, pins.taken, bool(pins.failed))
    if inspect.isawaitable(settings):
        if inspect.iscoroutine(settings):
            settings.close()
        mistake = ConfigurationError("The factory of a Live is an ordinary function, not an async one.")
        return Failed(mistake, pins.taken, unread=False)
    if known and not pins.taken:
        mistake = ConfigurationError(
            "The factory of a Live read no source this time, as if it had its result from a cache. Give Live what "
            "builds the settings anew."
        )
        return Failed(mistake, pins.taken, unread=False)
    return Built(settings, pins.taken, bool(pins.failed))

"""
Say how long a snapshot is good.

The values that a cache is made of, and the decisions that follow from them alone: is it fresh, may it stand in while
reading fails, when is the next attempt. All of it is frozen, and nothing here reads a clock or a store.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from cachetools import TTLCache

from etcd_settings.errors import UnavailableError
from etcd_settings.snapshot import Snapshot

__all__ = ["CLOCK", "Clock", "Held", "Kind", "Outage", "Policy", "State"]

Kind: TypeAlias = Literal["read", "last_good", "empty"]

FIRST_PAUSE = 1.0
"""Seconds from the first failed attempt to the second."""


@dataclass(frozen=True, slots=True)
class Clock:
    """
    Where a cache takes time and chance from.

    Args:
        timer: Seconds that only rise.

        wall: Seconds since 1970, for people to read.

        chance: A number from 0 to 1, anew at each call; it spreads attempts over time.
    """

    timer: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random


CLOCK = Clock()
"""The real one."""


@dataclass(frozen=True, slots=True)
class Held:
    """
    A snapshot that can be served.

    Args:
        snapshot: What is served.

        read_at: When it was asked for, on the timer.

        fresh: Holds something until the TTL is over.

        kind: ``"read"`` from the store; ``"last_good"``, saved by an earlier process; ``"empty"``, made up for settings
            that may be missing.
    """

    snapshot: Snapshot
    read_at: float
    fresh: TTLCache[str, bool] = field(repr=False)
    kind: Kind = "read"

    @property
    def is_fresh(self) -> bool:
        # A look-up with `in` changes nothing in a TTLCache, and after construction we do nothing else: hence no lock.
        return "snapshot" in self.fresh


@dataclass(frozen=True, slots=True)
class Policy:
    """
    How long a snapshot is good.

    Args:
        ttl: For how many seconds it is served without a thought.

        max_stale: How many seconds after it was read it may be served at most, when reading fails; None: for ever.
    """

    ttl: float = 30.0
    max_stale: float | None = None

    @property
    def first_pause(self) -> float:
        """Seconds until a doubt is looked into: no longer than the TTL."""
        return min(FIRST_PAUSE, self.ttl)

    def pause(self, failures: int, chance: float) -> float:
        """Give the seconds until the next attempt: doubling up to the TTL, and spread, so that processes part."""
        longest = min(self.first_pause * 2 ** min(failures, 62), self.ttl)
        return float(longest * (0.5 + chance / 2))

    def may_serve(self, held: Held, error: Exception, now: float) -> bool:
        """Tell whether a snapshot may stand in for one that could not be read."""
        if held.kind == "empty":  # it hides an outage, never a mistake
            return isinstance(error, UnavailableError)
        return self.max_stale is None or now - held.read_at <= self.max_stale


@dataclass(frozen=True, slots=True)
class Outage:
    """
    What has been failing since the last good read.

    Args:
        error: Why the last attempt failed.

        failures: How many attempts failed.

        retry_at: Before this time on the timer nobody tries who can be served otherwise.

        logged: The kinds of errors that were logged, so that each is logged once.
    """

    error: Exception
    failures: int
    retry_at: float
    logged: frozenset[type[Exception]] = frozenset()


@dataclass(frozen=True, slots=True)
class State:
    """
    All that a cache knows.

    Args:
        since: When its name changed last, in seconds since 1970.

        held: What can be served; None before the first good read.

        outage: What fails at present; None if the last attempt succeeded.

        regressed: The last read gave an older revision than the one held.

        live: A watch is connected and feeds what is held, so that it needs no TTL.
    """

    since: float
    held: Held | None = None
    outage: Outage | None = None
    regressed: bool = False
    live: bool = False

    @property
    def name(self) -> Literal["empty", "fresh", "stale", "last_good", "live"]:
        """``"empty"``, ``"fresh"``, ``"stale"``, ``"last_good"`` or ``"live"``, as in `Status.state`."""
        if self.held is None or self.held.kind == "empty":
            return "empty"
        if self.live:
            return "live"
        if self.held.kind == "last_good":
            return "last_good"
        return "stale" if self.outage else "fresh"

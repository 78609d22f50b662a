"""Say how a source is doing, in one frozen value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Status"]


@dataclass(frozen=True, slots=True)
class Status:
    """
    How a source was doing at one moment.

    Args:
        state: ``"empty"`` (nothing was read yet), ``"fresh"``, ``"stale"`` (from the first failed attempt to the next
            good one), ``"last_good"`` (what an earlier process saved is served), ``"live"`` (a watch is connected) or
            ``"closed"``.

        since: When that state began, in seconds since 1970.

        revision: The revision of what is served; None without any.

        age: How many seconds ago that was read; None without any.

        endpoint: Who answered last; None before the first answer.

        error: Why the last attempt failed; None if it succeeded, or there was none yet.
    """

    state: Literal["empty", "fresh", "stale", "last_good", "live", "closed"]
    since: float
    revision: int | None = None
    age: float | None = None
    endpoint: str | None = None
    error: Exception | None = None

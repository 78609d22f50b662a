"""A clock that stands still until a test moves it."""

from __future__ import annotations

from etcd_settings.freshness import Clock

__all__ = ["FakeClock"]


class FakeClock:
    """
    Time and chance for a `Source` or a cache, as a test wants them.

    Example:
        >>> fake = FakeClock()
        >>> fake.tick(31)
        >>> fake.clock.timer()
        31.0

    Args:
        chance: What the dice show, from 0 to 1, until somebody changes ``chance``.

        start: The seconds since 1970 at which it starts; the timer starts at 0.
    """

    def __init__(self, *, chance: float = 1.0, start: float = 1_000_000.0) -> None:
        self.chance, self._start, self._elapsed = chance, start, 0.0
        self.clock = Clock(lambda: self._elapsed, lambda: self._start + self._elapsed, lambda: self.chance)

    def tick(self, seconds: float) -> None:
        """Let time pass."""
        self._elapsed += seconds

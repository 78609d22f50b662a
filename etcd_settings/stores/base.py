"""Say what a store must do, so that a source can read from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, Self

from etcd_settings.snapshot import Snapshot

__all__ = ["Store", "StoreWatch"]


class StoreWatch(Protocol):
    """
    What a store tells of changes after a snapshot.

    To be polled by one thread; `close` may come from any.
    """

    @property
    def connected(self) -> bool:
        """Whether changes are coming in at present, as far as anybody can tell."""
        ...

    def poll(self, timeout: float) -> Snapshot | None:
        """
        Wait at most *timeout* seconds for the next snapshot; None if there is none.

        A snapshot with the same entries at a later revision says that nothing up to it is missing.

        Raises:
            CompactedError: Something may be missing: everything must be read anew.
            ClosedError: `close` was called.
            EtcdSettingsError: It cannot go on; which one, says who must act.
        """
        ...

    def close(self) -> None:
        """End it; a `poll` that waits ends too."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(self, *exception: object) -> None: ...


class Store(Protocol):
    """
    Somewhere entries are kept. Whatever has these members can be given to ``Source(store=…)``.

    A store must be thread-safe, and must not cache: freshness is the source's business.
    """

    @property
    def endpoint(self) -> str | None:
        """Who answered last, for people to read; None before the first answer."""
        ...

    def read(self, layers: Mapping[str, str], *, timeout: float) -> Snapshot:
        """
        Read all entries under all layers, at one revision.

        Args:
            layers: Layer → the whole prefix that it stands for, lowest first.

            timeout: How many seconds the whole call may take.

        Raises:
            EtcdSettingsError: It cannot be read; which one, says who must act.
        """
        ...

    def watch(self, layers: Mapping[str, str], since: Snapshot, *, on_connection: Callable[[bool], None]) -> StoreWatch:
        """
        Watch for what changes after *since*, without a gap.

        Args:
            layers: As for `read`.

            since: What was read.

            on_connection: Called from within ``poll`` with True when the watch stands, with False when it broke.
        """
        ...

    def close(self) -> None:
        """Give back connections; closing twice is harmless."""
        ...

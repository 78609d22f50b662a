"""Say what a store must do, so that a source can read from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from etcd_settings.snapshot import Snapshot

__all__ = ["Store"]


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

    def close(self) -> None:
        """Give back connections; closing twice is harmless."""
        ...

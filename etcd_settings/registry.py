"""
Keep one thing of a kind in a process.

It knows keys, and that two threads may come at once. Making the thing is the caller's business, and happens outside of
the lock; of two that were made the first to be added counts.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

from etcd_settings.forks import tell_after_fork

__all__ = ["Registry"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Registry(Generic[K, V]):
    """
    The process's things by what makes them equal.

    Thread-safe, and inherited by a forked child as it is.
    """

    def __init__(self) -> None:
        self._things: dict[K, V] = {}
        self._lock = threading.Lock()  # held for a step in memory
        tell_after_fork(self)

    def find(self, key: K) -> V | None:
        """Give what counts for *key*, if there is any."""
        return self._things.get(key)

    def all(self) -> list[V]:
        """Give everything that counts at this moment."""
        with self._lock:
            return list(self._things.values())

    def add(self, key: K, thing: V) -> V:
        """Add a thing, unless another thread was faster; give the one that counts."""
        with self._lock:
            return self._things.setdefault(key, thing)

    def remove(self, key: K, thing: V) -> None:
        """Take a thing out, unless another counts for its key."""
        with self._lock:
            if self._things.get(key) is thing:
                del self._things[key]

    def after_fork(self) -> None:
        """Replace the lock, which a thread of the parent may have held."""
        self._lock = threading.Lock()

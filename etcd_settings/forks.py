"""
Tell objects that they are in a child process now.

A child inherits the locks that other threads held and the work that they were doing, and not those threads. Whoever
owns such things registers here once, and is told in the child before anything else runs there.

The hook also runs in children that only go on to ``exec``, and before gevent patches a worker. So what it calls does no
I/O, starts no thread and waits for nothing.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet

__all__ = ["Forkable", "tell_after_fork"]


class Forkable(Protocol):
    """Something that has to forget what its parent process was doing."""

    def after_fork(self) -> None:
        """Replace locks and drop work under way; do no I/O."""
        ...


_told: WeakSet[Forkable] = WeakSet()


def tell_after_fork(forkable: Forkable) -> None:
    """Call *forkable*'s ``after_fork`` in every child process, as long as it lives."""
    _told.add(forkable)


def _tell_all() -> None:
    for forkable in list(_told):
        forkable.after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_tell_all)

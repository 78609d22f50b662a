"""
Fork, as servers do, and learn whether things went well in the child.

Invariant: a child never gets back into pytest, and one that hangs is killed by its alarm.
"""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable

LIFETIME = 90
"""Seconds until a child is killed: before pytest ends its parent, which waits for it."""


def in_child(work: Callable[[], object]) -> int:
    """Fork, do *work* in the child, and give its process id; the child fails if that raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, from Python 3.12 on: they are the point
        pid = os.fork()
    if pid:
        return pid
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(LIFETIME)
        work()
    except BaseException as e:  # noqa: BLE001  # whatever it is, it ends here
        os.write(2, f"{type(e).__name__}: {e}\n".encode())
        os._exit(1)
    os._exit(0)


def status(pid: int) -> int:
    """Wait for the end of a child, and give its exit code: 0 if all went well."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

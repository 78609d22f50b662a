"""
Run one program so that it ends with the process that asked for it.

This file is run by itself, as ``python -I -S guard.py FOLDER PROGRAM [ARGUMENT …]``, and stands between a test and
the etcd that it started. It knows one child, one pipe, and one folder; it knows nothing of etcd, and imports next to
nothing, because every started server waits for it.

Each byte on its standard input is the number of a signal to pass on. The end of that input, or a new parent, means that
the test is gone, however that happened: the child is killed and FOLDER removed (unless empty: then there is none). The
first line on its standard output is the child's pid; afterwards one byte answers each signal.

Why not ``PR_SET_PDEATHSIG`` alone: the kernel sends it when the *thread* that forked ends, and setting it between fork
and exec is not safe in a program with threads. We fork from a process that has only this one thread. Why also look at
the parent's pid: a forked sibling of the test may hold the other end of the pipe open.

Invariant: when this process ends, its child has ended.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
PARENT_POLL = 0.5  # seconds; only matters where a sibling holds our pipe
LAST_LOOKS, LOOK = 10, 0.1  # how often, and seconds between


def main(folder: str, command: list[str]) -> int:
    """Run *command* until it ends by itself, by a signal that was asked for, or with our parent."""
    parent = os.getppid()
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _raise_exit)
    # The write end lives in the child alone, so that its end of file is the child's end.
    life, held_by_child = os.pipe()
    pid = _spawn(command, held_by_child)
    os.close(held_by_child)
    try:
        os.write(1, b"%d\n" % pid)
        if not _serve(pid, life, parent):
            _kill(pid)
            _remove(folder)
            return 1
    except BaseException:
        _kill(pid)
        # Whoever ends us may be ending everybody; if our parent goes too, nobody is left to clean up.
        if _is_orphaned(parent):
            _remove(folder)
        raise
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF


def _serve(pid: int, life: int, parent: int) -> bool:
    """Pass signals on until the child ends (True) or nobody is there who could want it (False)."""
    while True:
        readable, _, _ = select.select([0, life], [], [], PARENT_POLL)
        if life in readable:
            return True
        if os.getppid() != parent:
            return False
        if 0 in readable:
            asked = os.read(0, 1)
            if not asked:
                return False
            _signal(pid, asked[0])
            os.write(1, b".")


def _signal(pid: int, number: int) -> None:
    """Send the signal; of stopping, also wait until it happened, as etcd's threads stop one by one."""
    os.kill(pid, number)
    if number == signal.SIGSTOP and hasattr(os, "waitid"):  # macOS has no waitid
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)


def _spawn(command: list[str], inherited: int) -> int:
    libc = ctypes.CDLL(None)
    pid = os.fork()
    if pid:
        return pid
    try:
        if sys.platform == "linux":
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        os.set_inheritable(inherited, True)
        os.execv(command[0], command)  # noqa: S606 - a shell would be one more process to end
    except BaseException as error:  # noqa: BLE001 - this is the forked child: it may only end
        os.write(2, f"cannot run {command[0]}: {error}\n".encode())
    finally:
        os._exit(127)


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _is_orphaned(parent: int) -> bool:
    for _ in range(LAST_LOOKS):
        if os.getppid() != parent:
            return True
        time.sleep(LOOK)
    return False


def _remove(folder: str) -> None:
    if folder:
        import shutil

        shutil.rmtree(folder, ignore_errors=True)


def _raise_exit(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))

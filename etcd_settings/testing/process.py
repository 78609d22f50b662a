"""
Run a program that cannot outlive us.

`GuardedProcess` is our side of ``guard.py``: the program is the guard's child, and the guard ends it when this process
ends, whichever way. This module knows signals and exit codes; it knows nothing of etcd.

Invariant: the pid belongs to our program for as long as `alive` holds. Signals go through the guard, its parent, so
none can hit a stranger that was given the same number.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from etcd_settings.errors import ConfigurationError

__all__ = ["GuardedProcess"]

_GUARD = Path(__file__).with_name("guard.py")


class GuardedProcess:
    """
    One run of one program. Not thread-safe.

    Args:
        command: The program's whole path, and its arguments.

        environ: Its whole environment.

        log: The file to which everything that it prints is added.

        remove: A folder that is of no use without us; removed if this process dies without ending the program.
    """

    def __init__(
        self, command: Sequence[str | Path], *, environ: Mapping[str, str], log: Path, remove: Path | None = None
    ) -> None:
        self.command = tuple(map(str, command))
        self.paused = False
        with log.open("ab") as sink:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", _GUARD, remove or "", *self.command],
                bufsize=0,
                env=dict(environ),
                # Ctrl-C in a terminal goes to the whole group; the test must be able to end first, and decide.
                start_new_session=True,
                stderr=sink,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        first = self._read_line()
        if not first:
            self.close()
            raise ConfigurationError(f"{sys.executable} could not start {command[0]}. What it printed is in {log}.")
        self.pid = int(first)

    @property
    def alive(self) -> bool:
        return self._guard.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal, and come back once it was sent; of stopping, once it took effect. The dead feel nothing."""
        with contextlib.suppress(BrokenPipeError):
            self._write(bytes([number]))
            self._read_line(1)

    def pause(self) -> None:
        """Stop it where it is: its sockets stay open, and the kernel still acknowledges for it."""
        self.send(signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        self.send(signal.SIGCONT)
        self.paused = False

    def end(self, number: signal.Signals, *, grace: float) -> None:
        """Send a signal that should end it, wait *grace* seconds, and kill it if it still lives."""
        self.send(number)
        self.resume()  # the paused die of nothing but SIGKILL
        try:
            self._guard.wait(grace)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            self._guard.wait()
        self.close()

    def close(self) -> None:
        """Let go of our ends of the pipes. While it still runs that ends it, at once."""
        for pipe in (self._guard.stdin, self._guard.stdout):
            if pipe is not None:
                pipe.close()
        self._guard.wait()

    def _write(self, data: bytes) -> None:
        if self._guard.stdin is not None and not self._guard.stdin.closed:
            self._guard.stdin.write(data)

    def _read_line(self, size: int = 32) -> bytes:
        if self._guard.stdout is None or self._guard.stdout.closed:
            return b""
        return self._guard.stdout.readline() if size > 1 else self._guard.stdout.read(size)

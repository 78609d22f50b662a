"""Run the command line as a program: piped, or on a terminal."""

from __future__ import annotations

import codecs
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

PROGRAM = [sys.executable, "-m", "etcd_settings"]
PATIENCE = 60


def piped(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run it with pipes in place of a terminal."""
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False, **options
    )


def on_terminal(*arguments: str, interrupt_after: str = "", **environ: str) -> tuple[int, str]:
    """
    Run it on a pseudo-terminal of 100 columns; give its exit code and all that the terminal showed.

    Args:
        arguments: What it is called with.

        interrupt_after: Press Ctrl-C once the terminal shows this.

        environ: Changes to its environment.
    """
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **environ}
    # In a session of its own, whose terminal this is: else Ctrl-C would reach nobody.
    command = ["setsid", "--ctty", *PROGRAM, *arguments]
    shown = ""
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        for part in _parts(ours):
            shown += part
            if interrupt_after and interrupt_after in shown:
                interrupt_after = ""
                os.write(ours, b"\x03")
        code = process.wait(PATIENCE)
    os.close(ours)
    return code, shown


def _parts(terminal: int) -> Iterator[str]:
    """Read until nobody holds the other end any more."""
    decode = codecs.getincrementaldecoder("utf-8")().decode
    while True:
        try:
            part = os.read(terminal, 1 << 16)
        except OSError:  # Linux says so
            return
        if not part:
            return
        yield decode(part)

"""Run the command line as a program: piped, or on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import Any

PROGRAM = [sys.executable, "-m", "etcd_settings"]
PATIENCE = 60


def piped(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run it with pipes in place of a terminal."""
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False, **options
    )


def on_terminal(*arguments: str, **environ: str) -> tuple[int, str]:
    """Run it on a pseudo-terminal of 100 columns; give its exit code and all that the terminal showed."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **environ}
    with subprocess.Popen([*PROGRAM, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        shown = read_all(ours)
        code = process.wait(PATIENCE)
    os.close(ours)
    return code, shown


def read_all(terminal: int) -> str:
    """Read until nobody holds the other end any more."""
    parts: list[bytes] = []
    while True:
        try:
            part = os.read(terminal, 1 << 16)
        except OSError:  # Linux says so
            part = b""
        if not part:
            return b"".join(parts).decode()
        parts.append(part)

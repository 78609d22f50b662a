"""Run the command line as a program: piped, or on a terminal."""

from __future__ import annotations

import codecs
import os
import pty
import select
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


def on_terminal(
    *arguments: str, interrupt_after: str = "", answer: tuple[str, bytes] = ("", b""), **environ: str
) -> tuple[int, str]:
    """
    Run it on a pseudo-terminal of 100 columns; give its exit code and all that the terminal showed.

    Args:
        arguments: What it is called with.

        interrupt_after: Press Ctrl-C once the terminal shows this.

        answer: What to type once the terminal shows something, and what that is, the latter first.

        environ: Changes to its environment.
    """
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **environ}
    # In a session of its own, whose terminal this is: else Ctrl-C would reach nobody.
    command = ["setsid", "--ctty", *PROGRAM, *arguments]
    shown = ""
    awaited, typed = (interrupt_after, b"\x03") if interrupt_after else answer
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        try:
            for part in _parts(ours):
                shown += part
                if awaited and awaited in shown:
                    awaited = ""
                    os.write(ours, typed)
                elif interrupt_after and not (awaited or part):
                    os.write(ours, typed)  # Python may take a signal just before it begins to read, and go on reading
            code = process.wait(PATIENCE)
        finally:
            process.kill()  # who waits for an answer that nobody types would wait for ever
    os.close(ours)
    return code, shown


def _parts(terminal: int) -> Iterator[str]:
    """Read until nobody holds the other end any more; after a second of silence that is an empty part."""
    decode = codecs.getincrementaldecoder("utf-8")().decode
    while True:
        if not select.select([terminal], [], [], 1.0)[0]:
            yield ""
            continue
        try:
            part = os.read(terminal, 1 << 16)
        except OSError:  # Linux says so
            return
        if not part:
            return
        yield decode(part)

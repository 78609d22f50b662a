"""
Write what a verb has to say: lines and JSON for programs, tables and colours on a terminal.

Invariant: what comes from etcd cannot steer a terminal, since control characters are shown as escapes there.
"""

from __future__ import annotations

import base64
import json
import math
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etcd_settings.documents import controls_escaped

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["SIGNS", "console", "hush", "on_terminal", "plain", "read_or_not", "spelled", "write", "write_json"]

SIGNS = {"create": ("+", "green"), "put": ("~", "yellow"), "delete": ("-", "red")}
"""The sign and the colour of each kind of change."""


def on_terminal() -> bool:
    """Tell whether somebody reads stdout on a terminal."""
    return sys.stdout.isatty()


def console() -> Console:
    """Give rich's console on stdout; it heeds ``NO_COLOR``."""
    from rich.console import Console  # 60 ms, which pipes need not pay

    return Console(highlight=False, markup=False)


def write(text: str) -> None:
    """Write a line, or several, to stdout, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextmanager
def read_or_not() -> Generator[None]:
    """Let the block, which only writes to stdout, end where its reader went away: there is more to do than to tell."""
    try:
        yield
    except BrokenPipeError:
        hush()


def hush() -> None:
    """Send to nowhere what cannot be written to stdout, of which Python would complain at exit."""
    with suppress(OSError), Path(os.devnull).open("w") as nowhere:  # a stdout that is no file complains of nothing
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def write_json(value: Any, *, compact: bool = False) -> None:
    """
    Write a value as JSON, indented, or in one line if *compact*.

    Bytes that are no text come as ``{"base64": …}``, dates and numbers that JSON does not have as texts.
    """
    is_unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    text = json.dumps(_for_json(value), ensure_ascii=not is_unicode, indent=None if compact else 2)
    write(controls_escaped(text))


def plain(text: str) -> str:
    """Give *text* with everything that is no printable character as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def spelled(value: Any) -> str:
    """Give a leaf of a tree in one printable line."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, bytes):
        return f"{len(value)} bytes that are no text"
    shown = _for_json(value)
    return plain(shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False))


def _for_json(value: Any) -> Any:
    match value:
        case dict():
            return {name: _for_json(child) for name, child in value.items()}
        case list():
            return [_for_json(item) for item in value]
        case bytes():
            return {"base64": base64.b64encode(value).decode()}
        case float() if not math.isfinite(value):
            return str(value)
        case str() | bool() | int() | float() | None:
            return value
    return str(value)

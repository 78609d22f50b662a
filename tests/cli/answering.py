"""Sit at a terminal, as far as a command can tell, and answer what it asks."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest


class _Keyboard(io.StringIO):
    def __init__(self, answer: str, meanwhile: Callable[[], object]) -> None:
        super().__init__(f"{answer}\n")
        self._meanwhile = meanwhile

    def isatty(self) -> bool:
        return True

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]  # typeshed has it of bytes, too
        self._meanwhile()
        return super().readline(size)


def answer(patch: pytest.MonkeyPatch, text: str, *, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Type *text* when the command asks; *meanwhile* happens while the question stands."""
    patch.setattr(sys, "stdin", _Keyboard(text, meanwhile))
    patch.setattr(sys.stderr, "isatty", lambda: True)

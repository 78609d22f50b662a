"""Wait until a condition holds, so that no test needs to sleep and hope."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

PATIENCE = 30.0
"""Seconds for what takes milliseconds on an idle machine."""


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"it still does not hold after {PATIENCE:g} seconds")
        time.sleep(0.005)

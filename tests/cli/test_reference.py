"""The reference page says what the commands say."""

from __future__ import annotations

from tests.cli.reference import PAGE, page


def test_the_reference_is_up_to_date() -> None:
    """Whoever changes a command writes the page anew: ``python -m tests.cli.reference``."""
    assert page() == PAGE.read_text("utf-8")

"""
Show what a plan would change, key by key, with secrets masked.

A document is one key, and shown as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etcd_settings.cli.output import SIGNS, console, on_terminal, plain, spelled, write
from etcd_settings.cli.verbs import Mask
from etcd_settings.snapshot import Entry

if TYPE_CHECKING:
    from etcd_settings.publish import Edit, Plan

__all__ = ["Difference", "differences", "write_differences"]


_LONGEST = 4_000
"""Characters of a value that are shown to people; JSON has all."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One key that would change, as ``--json`` shows it; what is not there is None."""

    kind: str
    path: str
    old: Any
    new: Any


def differences(plan: Plan, mask: Mask) -> list[Difference]:
    """Give what *plan* would change, in the order of the keys."""
    return [_difference(edit, mask) for edit in sorted(plan.edits, key=lambda edit: edit.path)]


def write_differences(found: list[Difference]) -> None:
    """Write a line for each, in colours on a terminal."""
    shown = console() if found and on_terminal() else None
    for one in found:
        sign, colour = SIGNS[one.kind]
        values = [_clipped(spelled(value)) for value in (one.old, one.new) if value is not None]
        line = f"{sign} {plain(one.path)} = {' -> '.join(values)}"
        if shown is None:
            write(line)
        else:
            shown.print(line, style=colour)


def _clipped(text: str) -> str:
    """Give what is enough to know a value by; a certificate fits."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"


def _difference(edit: Edit, mask: Mask) -> Difference:
    old = None if edit.old is None else mask.text(edit.path, edit.old)
    new = None if edit.new is None else mask.text(edit.path, Entry(edit.key, edit.new))
    kind = "create" if edit.old is None else "delete" if edit.new is None else "put"
    return Difference(kind, edit.path, old, new)

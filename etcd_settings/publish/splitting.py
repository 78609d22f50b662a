"""
Split a plan that one transaction cannot carry.

Whoever reads meanwhile sees some parts and not others. So they are as large as etcd takes them, and a branch at the top
is in one of them whole, if it fits into one. Of a branch that does not, what goes comes before what is new.

It knows sizes. It carries nothing out.

Invariant: the parts together are the plan, and at no time do keys contradict each other that did not before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter

from etcd_settings.etcd.requests import MAX_CHANGES
from etcd_settings.keys import encode_key
from etcd_settings.publish.planning import Edit, Plan

__all__ = ["split"]

_MAX_BYTES = 1 << 20
"""Keys and values in one transaction; etcd takes requests of 1.5 MiB by default, which comparisons count into."""

_OVERHEAD = 16
"""Bytes that each change needs besides its key and value, at most."""


def split(plan: Plan) -> tuple[Plan, ...]:
    """
    Give the parts of *plan*, each of which `etcd_settings.publish.apply` can carry out; one if that suffices.

    They are carried out in order, each with the revision of the one before::

        revision = None
        for part in split(plan):
            revision = apply(part, client, after=revision)

    Each is refused if anybody else wrote under the prefix since the part before; what was carried out before that
    stays. A new plan then has the rest.
    """
    # What etcd finds too large, it refuses at once: then nothing was carried out yet.
    groups = sorted(_groups(plan.edits), key=lambda group: max(map(_size, group)), reverse=True)
    parts = [part for group in groups for part in group]
    if len(parts) < 2:
        return (plan,)
    return tuple(
        replace(
            plan,
            puts=tuple(edit for edit in part if edit.new is not None),
            deletes=tuple(edit for edit in part if edit.new is None),
            is_part=True,
        )
        for part in parts
    )


def _groups(edits: Iterable[Edit]) -> Iterator[Sequence[Sequence[Edit]]]:
    """Give parts, grouped by what has to come in order: those of a large branch, and each that holds small ones."""
    small: list[Sequence[Edit]] = []
    for _, found in groupby(sorted(edits, key=_order), key=attrgetter("branch")):
        branch = [*found]
        if len(branch) <= MAX_CHANGES and _size(branch) <= _MAX_BYTES:
            small.append(branch)
        else:
            yield [*_packed([edit] for edit in branch)]
    yield from ([part] for part in _packed(small))


def _packed(pieces: Iterable[Sequence[Edit]]) -> Iterator[Sequence[Edit]]:
    """Put as many pieces into each part as go in, in their order."""
    part: list[Edit] = []
    size = 0
    for piece in pieces:
        more = _size(piece)
        if part and (len(part) + len(piece) > MAX_CHANGES or size + more > _MAX_BYTES):
            yield part
            part, size = [], 0
        part += piece
        size += more
    if part:
        yield part


def _order(edit: Edit) -> tuple[str, bool, str]:
    return edit.branch, edit.new is not None, edit.path


def _size(edits: Iterable[Edit]) -> int:
    return sum(len(encode_key(edit.key)) + len(edit.new or b"") + _OVERHEAD for edit in edits)

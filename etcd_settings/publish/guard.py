"""
Guard a plan: what must still be so when it is carried out.

A key counts if the plan writes or deletes it, and if it is as desired already: another writer who changes one of these
would leave a mixture of two intents. Up to etcd's 128 comparisons each of them has one of its own, those that must not
exist too. Beyond, one comparison holds for all keys under the prefix: none was written after the plan's revision. It
sees every change and every new key, but no deletion, which leaves nothing to compare. A plan that prunes always has it,
because it says of every key under the prefix what is to become of it.

It knows plans and comparisons. Who carries them out is somebody else.
"""

from __future__ import annotations

from collections.abc import Sequence

from etcd_settings.etcd import Compare
from etcd_settings.publish.planning import Plan
from etcd_settings.snapshot import Entry

__all__ = ["MAX_OPERATIONS", "guard", "sees_deletions", "written_since"]

MAX_OPERATIONS = 128
"""Operations, and comparisons, that etcd takes at one level of a transaction by default (``--max-txn-ops``)."""


def guard(plan: Plan) -> list[Compare]:
    """Give the comparisons that must hold for *plan* to be carried out."""
    known = _known(plan)
    if not _is_wide(plan):
        return [_unwritten(key, revision) for key, revision in known.items()]
    everything = Compare.mod_revision(plan.prefix, "<", plan.revision + 1, prefix=True)
    if len(plan.edits) > MAX_OPERATIONS:  # the inner transactions take what comparisons would
        return [everything]
    existing = [_unwritten(key, revision) for key, revision in known.items() if revision]
    return [everything, *existing[: MAX_OPERATIONS - 1]]


def sees_deletions(plan: Plan) -> bool:
    """Tell whether *plan* is refused too when somebody else deleted any of the keys that count; see `guard`."""
    exact = sum(not comparison.prefix for comparison in guard(plan))
    return exact >= sum(revision > 0 for revision in _known(plan).values())


def written_since(plan: Plan, found: Sequence[Entry]) -> list[str]:
    """Tell because of which keys *plan* is refused: those that *found*, what the prefix holds now, shows as written."""
    known, there = _known(plan), {entry.key: entry.mod_revision for entry in found}
    keys = {key for key, revision in known.items() if there.get(key, 0) != revision}
    if _is_wide(plan):
        keys |= {key for key, revision in there.items() if revision > plan.revision}
    return sorted(keys)


def _is_wide(plan: Plan) -> bool:
    return plan.prunes or len(_known(plan)) > MAX_OPERATIONS


def _known(plan: Plan) -> dict[str, int]:
    """Give the keys that count with the revisions that last wrote them, 0 for those that do not exist."""
    edits = {edit.key: edit.old.mod_revision if edit.old else 0 for edit in plan.edits}
    return edits | {entry.key: entry.mod_revision for entry in plan.unchanged}


def _unwritten(key: str, revision: int) -> Compare:
    return Compare.mod_revision(key, "==", revision)

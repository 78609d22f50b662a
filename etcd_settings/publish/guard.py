"""
Guard a plan: what must still be so when it is carried out.

A key counts if the plan writes or deletes it, and if it is as desired already: another writer who changes one of these
would leave a mixture of two intents. Up to etcd's 128 comparisons each of them has one of its own, those that must not
exist too. Where a plan creates keys, nobody else may have written to the same branch, since ``db`` beside ``db/host``
or ``db.json`` is a contradiction, though each key by itself is new.

Beyond 128, one comparison holds for all keys under the prefix: none was written after the plan's revision. It sees
every change and every new key, but no deletion, which leaves nothing to compare. A plan that prunes always has it,
because it says of every key under the prefix what is to become of it; and so has a part of a plan, since what was
written between two parts would else be seen by none.

It knows plans and comparisons. Who carries them out is somebody else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from etcd_settings.etcd import Compare
from etcd_settings.etcd.requests import MAX_OPERATIONS
from etcd_settings.publish.planning import Plan
from etcd_settings.snapshot import Entry

__all__ = ["guard", "sees_deletions", "written_since"]


def guard(plan: Plan) -> list[Compare]:
    """Give the comparisons that must hold for *plan* to be carried out."""
    known = _known(plan)
    exact = [Compare.mod_revision(key, "==", revision) for key, revision in known.items()] + _beside(plan, known)
    if len(exact) <= MAX_OPERATIONS and not (plan.prunes or plan.is_part):
        return exact
    if len(plan.edits) > MAX_OPERATIONS:  # the inner transactions take what comparisons would
        return [_untouched(plan, "")]
    existing = [Compare.mod_revision(key, "==", revision) for key, revision in known.items() if revision]
    return [_untouched(plan, ""), *existing[: MAX_OPERATIONS - 1]]


def sees_deletions(plan: Plan) -> bool:
    """Tell whether *plan* is refused too when somebody else deleted any of the keys that count; see `guard`."""
    exact = {comparison.key for comparison in guard(plan) if not comparison.prefix}
    return all(key in exact for key, revision in _known(plan).items() if revision)


def written_since(plan: Plan, found: Sequence[Entry]) -> list[str]:
    """Tell because of which keys *plan* is refused, by what the prefix holds now."""
    there, keys = {entry.key: entry.mod_revision for entry in found}, set[str]()
    for comparison in guard(plan):
        key = str(comparison.key)
        if comparison.prefix:
            keys.update(each for each, revision in there.items() if each.startswith(key) and revision > plan.revision)
        elif there.get(key, 0) != comparison.operand:
            keys.add(key)
    return sorted(keys)


def _known(plan: Plan) -> dict[str, int]:
    """Give the keys that count with the revisions that last wrote them, 0 for those that do not exist."""
    edits = {edit.key: edit.old.mod_revision if edit.old else 0 for edit in plan.edits}
    return edits | {entry.key: entry.mod_revision for entry in plan.unchanged}


def _beside(plan: Plan, known: Mapping[str, int]) -> list[Compare]:
    """Compare what could contradict the keys that *plan* creates: values, documents and keys in the same branch."""
    created = (edit.branch for edit in plan.puts if edit.old is None)
    comparisons: list[Compare] = []
    for name in dict.fromkeys(created):
        if plan.prefix + name not in known:
            comparisons.append(Compare.mod_revision(plan.prefix + name, "==", 0))
        comparisons += [_untouched(plan, f"{name}."), _untouched(plan, f"{name}/")]
    return comparisons


def _untouched(plan: Plan, path: str) -> Compare:
    return Compare.mod_revision(plan.prefix + path, "<", plan.revision + 1, prefix=True)

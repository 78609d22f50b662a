"""The guard compares every key that counts, as far as etcd's 128 comparisons go."""

from __future__ import annotations

from typing import Any

import pytest

from etcd_settings.etcd import Compare
from etcd_settings.publish import plan, sees_deletions
from etcd_settings.publish.guard import guard
from tests.making import PREFIX, make_snapshot


def untouched(path: str) -> Compare:
    return Compare.mod_revision(PREFIX + path, "<", 6, prefix=True)


EVERYTHING = untouched("")


def unwritten(path: str, revision: int) -> Compare:
    return Compare.mod_revision(PREFIX + path, "==", revision)


def test_each_key_that_counts_is_compared() -> None:
    """Those to write and to delete, those that are as desired, those that must not exist, and what would contradict."""
    made = plan(make_snapshot({"a": "1", "b": "1", "c/x": "1", "d": "1"}, revision=5), {"a": 1, "b": 2, "c": 3, "e": 4})

    expected = {unwritten("a", 1), unwritten("b", 1), unwritten("c/x", 1), unwritten("c", 0), unwritten("e", 0)}
    expected |= {untouched(path) for path in ("c.", "c/", "e.", "e/")}
    assert expected == set(guard(made))
    assert sees_deletions(made)


@pytest.mark.parametrize("desired", [{"db": {"host": {"name": 1}}}, {"db": {}}], ids=repr)
def test_a_new_key_wants_its_branch_untouched(desired: dict[str, Any]) -> None:
    """Also the value that would stand in its way."""
    made = plan(make_snapshot({"other": "1"}, revision=5), desired)

    (edit,) = made.puts
    assert {unwritten(edit.path, 0), unwritten("db", 0), untouched("db."), untouched("db/")} == set(guard(made))


def test_pruning_looks_at_all_keys() -> None:
    """A key that appeared is one that the tree lacks."""
    made = plan(make_snapshot({"a": "1", "b": "1"}, revision=5), {"a": 2, "c": 1}, prune=True)

    assert [EVERYTHING, unwritten("a", 1), unwritten("b", 1)] == guard(made)
    assert sees_deletions(made)


@pytest.mark.parametrize(
    ("changed", "equal", "comparisons", "sees"),
    [(128, 0, 128, True), (1, 127, 128, True), (1, 128, 128, False), (129, 0, 1, False), (0, 129, 128, False)],
)
def test_beyond_etcds_limit_one_comparison_holds_for_all(
    changed: int, equal: int, comparisons: int, *, sees: bool
) -> None:
    """With exact ones beside it while there is room, those of keys that change first."""
    held = {f"{n:03}": "x" for n in range(changed + equal)}
    desired = {name: "x" if n >= changed else "y" for n, name in enumerate(held)}

    made = plan(make_snapshot(held, revision=5), desired)

    found = guard(made)
    assert (comparisons, sees) == (len(found), sees_deletions(made))
    assert (changed + equal > 128) == (EVERYTHING in found)
    if changed <= 128:
        assert {unwritten(edit.path, 1) for edit in made.edits} <= set(found)


def test_keys_that_do_not_exist_need_no_comparison_beside_the_one_for_all() -> None:
    """That one sees whoever creates them, so nothing is missed."""
    made = plan(make_snapshot({}, revision=5), {str(n): n for n in range(1000)})

    assert [EVERYTHING] == guard(made)
    assert sees_deletions(made)

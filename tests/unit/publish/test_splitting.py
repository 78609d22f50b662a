"""A plan that is too large for one transaction is split, and the parts together are the plan."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from etcd_settings.etcd.requests import MAX_CHANGES
from etcd_settings.publish import Plan, plan_entries, split
from etcd_settings.publish.guard import guard, sees_deletions
from tests.making import PREFIX, make_snapshot


def planned(new: Mapping[str, bytes], old: Mapping[str, str] | None = None) -> Plan:
    return plan_entries(make_snapshot(old or {}, revision=5), new, prune=True)


def paths(plan: Plan) -> list[str]:
    return sorted(edit.path for edit in plan.edits)


def test_what_one_transaction_carries_is_not_split() -> None:
    """Up to its last change, and the plan of nothing."""
    most = planned({f"k{n}": b"" for n in range(MAX_CHANGES)})

    assert (most,) == split(most)
    assert [planned({})] == [*split(planned({}))]


@pytest.mark.parametrize(("count", "size", "parts"), [(4097, 1, 2), (9000, 1, 3), (5, 300_000, 2), (3, 2_000_000, 4)])
def test_parts_are_few_and_together_the_plan(count: int, size: int, parts: int) -> None:
    """None has too many changes, or too many bytes unless one value alone has; the largest comes first."""
    made = planned({f"k{n}": b"x" * size for n in range(count)}, {"old": "1", "older": "1"})
    found = split(made)

    assert parts == len(found)
    assert paths(made) == sorted(path for part in found for path in paths(part))
    assert all(len(part.edits) <= MAX_CHANGES for part in found)
    sizes = [sum(len(edit.new or b"") for edit in part.edits) for part in found]
    assert sorted(sizes, reverse=True) == sizes
    assert all(total <= 1 << 20 for total in sizes) or size > 1 << 20
    assert ["old", "older"] == sorted(edit.path for part in found for edit in part.deletes)


def test_names_have_bytes_too() -> None:
    """A request holds them as well."""
    made = planned({f"{n:04}{'k' * 1000}": b"" for n in range(1200)})

    assert 2 == len(split(made))


def test_a_branch_is_not_torn_unless_it_must_be() -> None:
    """With the value that it replaces and the documents of its name; else a reader might see both."""
    made = planned(
        {f"{name}/{n}": b"" for name in ("a", "b", "db", "large") for n in range(5000 if name == "large" else 1500)},
        {"db": "1", "db.json": "{}"},
    )

    homes = [{path.split("/")[0].split(".")[0] for path in paths(part)} for part in split(made)]
    assert 1 == sum("db" in home for home in homes)
    assert 2 == sum("large" in home for home in homes)


def test_a_part_counts_on_all_keys_and_on_its_own_one_by_one() -> None:
    """The first since the plan was made, for others wrote between two parts or before them alike."""
    first, second = split(planned({"a": b"x" * 600_000, "b": b"x" * 600_000}, {"a": "1", "b": "1", "c": "1"}))

    for part in (first, second):
        everything, *exact = guard(part)
        assert (PREFIX, True) == (everything.key, everything.prefix)
        assert [edit.key for edit in part.edits] == [comparison.key for comparison in exact]
        assert sees_deletions(part)

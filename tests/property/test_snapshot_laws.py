"""Laws of snapshots: equality, order, differences."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from etcd_settings.keys import decode_key
from etcd_settings.snapshot import Entries, Snapshot
from tests.making import PREFIX, make_entry, make_layers, make_row, make_snapshot
from tests.strategies import Values, any_entries, any_layers, any_paths, raw_values

snapshots = st.builds(make_layers, any_layers, revision=st.integers(1, 9))


@given(values=any_entries, seed=st.randoms(use_true_random=False))
def test_the_order_of_entries_makes_no_difference(values: Values, seed: random.Random) -> None:
    """The same entries make an equal mapping and an equal snapshot in whatever order they come."""
    rows = [make_row(path, value) for path, value in values.items()]
    shuffled = seed.sample(rows, len(rows))

    one, two = (Snapshot({"": Entries(some, prefix=PREFIX)}, 1) for some in (rows, shuffled))

    assert dict(one) == dict(two)
    assert one == two


@given(layers=any_layers)
def test_a_snapshot_shows_the_last_layer_that_has_a_path(layers: Mapping[str, Values]) -> None:
    """As a mapping it is the layers' mappings, laid over one another."""
    winners: dict[str, bytes] = {}
    for values in layers.values():
        winners |= values

    snapshot = make_layers(layers)

    assert winners == {path: entry.value for path, entry in snapshot.items()}
    assert len(winners) == len(snapshot)


@given(snapshot=snapshots)
def test_nothing_changed_since_itself(snapshot: Snapshot) -> None:
    """A relist that finds the same is no change."""
    assert snapshot == snapshot
    assert frozenset() == snapshot.changed_since(snapshot)


@given(one=snapshots, two=snapshots)
def test_differences_are_mutual(one: Snapshot, two: Snapshot) -> None:
    """What changed on the way forth changes on the way back."""
    assert one.changed_since(two) == two.changed_since(one)


@given(one=snapshots, two=snapshots)
def test_equality_is_no_difference(one: Snapshot, two: Snapshot) -> None:
    """Snapshots with the same layers are equal if, and only if, nothing changed."""
    if list(one.layers) == list(two.layers):
        assert (one == two) == (not one.changed_since(two))
    else:
        assert one != two


@given(one=snapshots, two=snapshots)
def test_exactly_the_changed_paths_differ(one: Snapshot, two: Snapshot) -> None:
    """A path is told if, and only if, some layer holds another entry for it, or none."""
    layers = {**one.layers, **two.layers}
    paths = {path for snapshot in (one, two) for entries in snapshot.layers.values() for path in entries}
    differing = {
        path
        for path in paths
        for layer in layers
        if one.layers.get(layer, {}).get(path) != two.layers.get(layer, {}).get(path)
    }

    assert differing == two.changed_since(one)


@given(one=snapshots, two=snapshots, three=snapshots)
def test_no_change_is_lost_on_a_detour(one: Snapshot, two: Snapshot, three: Snapshot) -> None:
    """What differs between first and last changed on one of the steps."""
    assert three.changed_since(one) <= three.changed_since(two) | two.changed_since(one)


changes = st.dictionaries(
    any_paths(),
    st.none() | st.builds(lambda value, revision: (value, revision), raw_values, st.integers(2, 9)),
    max_size=4,
)
"""Path → value and revision that are written, or None where the key is deleted."""


@given(
    values=any_entries,
    steps=st.lists(changes, max_size=4),
    max_patch=st.sampled_from([0, 1, 3, 1000]),
    plain=st.booleans(),
)
def test_evolving_is_like_reading_anew(
    values: Values, steps: list[Mapping[str, tuple[bytes, int] | None]], max_patch: int, plain: bool
) -> None:
    """Changes laid over old entries make what a bulk read would find now, in every respect, and leave the old alone."""
    now = {path: make_entry(path, value) for path, value in values.items()}
    snapshot = Snapshot({"": dict(now)}, 1) if plain else make_snapshot(values)
    before, seen = snapshot, [(dict(now), snapshot)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("etcd_settings.entries._MAX_PATCH", max_patch)
        for revision, step in enumerate(steps, start=2):
            written = {path: made and make_entry(path, made[0], revision=made[1]) for path, made in step.items()}
            snapshot = snapshot.evolve(revision, {"": written, "unknown/": written})
            now = {path: entry for path, entry in {**now, **written}.items() if entry is not None}
            seen.append((dict(now), snapshot))

    assert now == dict(snapshot)
    assert len(now) == len(snapshot) == len(list(snapshot))
    assert all(path in snapshot for path in now)
    assert now.keys() ^ dict(before).keys() <= snapshot.changed_since(before)
    for entries, then in seen:
        read_anew = Snapshot({"": entries}, 1)
        assert read_anew == then
        assert then == read_anew
        assert snapshot.changed_since(read_anew) == snapshot.changed_since(then) == then.changed_since(snapshot)


@given(
    values=any_entries,
    step=changes,
    path=st.sampled_from(["a", "b", "a/b", "\udcff"]),
    seed=st.randoms(use_true_random=False),
)
@example(values={"b/x": b"", "a/x": b"", "b/y": b"", "a": b""}, step={}, path="b", seed=random.Random(3))
@example(values={"b/x": b"", "b/y": b""}, step={"b/x": (b"1", 2), "b/y": None}, path="b", seed=random.Random(3))
def test_rows_below_a_path_are_those_below_it(
    values: Values, step: Mapping[str, tuple[bytes, int] | None], path: str, seed: random.Random
) -> None:
    """Whatever was written since, and in whatever order the rows came."""
    written = {path: made and make_entry(path, made[0], revision=made[1]) for path, made in step.items()}
    rows = [make_row(path, value) for path, value in values.items()]
    entries = Entries(seed.sample(rows, len(rows)), prefix=PREFIX).evolve(written)

    below = [decode_key(row.key).removeprefix(PREFIX) for row in entries.rows_below(path)]

    assert sorted(other for other in entries if other.startswith(f"{path}/")) == sorted(below)

"""Laws of snapshots: equality, order, differences."""

from __future__ import annotations

import random
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from etcd_settings.snapshot import Entries, Snapshot
from tests.making import PREFIX, make_layers, make_row
from tests.strategies import Values, any_entries, any_layers

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

"""Laws of the tree: order, layers, origins."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from etcd_settings.errors import EtcdSettingsError
from etcd_settings.nodes import Traced
from etcd_settings.snapshot import Entries, Snapshot
from etcd_settings.tree import Tree, branch, build, explain, layer_trees, merge, traced_trees
from tests.making import PREFIX, make_entry, make_layers, make_row, make_snapshot
from tests.strategies import Values, any_entries, any_layers, leaf_names, texts, trees


def outcome(snapshot: Snapshot) -> Tree | list[str]:
    """Give the tree, or what is wrong."""
    try:
        return build(snapshot)
    except EtcdSettingsError as e:
        return [str(problem) for problem in e.problems]


def leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(node, dict):
        for name, child in node.items():
            yield from leaves(child, (*path, name))
    else:
        yield path, node


def untraced(node: Any) -> Any:
    if isinstance(node, dict):
        return {name: untraced(child) for name, child in node.items()}
    assert isinstance(node, Traced)
    return node.value


@given(values=any_entries, seed=st.randoms(use_true_random=False))
@example(values={"a/b.json": b"{", "b/a.json": b"{", "a": b"x"}, seed=random.Random(1))
def test_the_order_of_entries_makes_no_difference(values: Values, seed: random.Random) -> None:
    """Equal entries make an equal tree or equal problems, in whatever order they come."""
    rows = [make_row(path, value) for path, value in values.items()]
    shuffled = seed.sample(rows, len(rows))

    one, two = (outcome(Snapshot({"": Entries(some, prefix=PREFIX)}, 1)) for some in (rows, shuffled))

    assert one == two


@given(values=any_entries)
def test_rows_and_entries_make_the_same_tree(values: Values) -> None:
    """Whether a store delivered rows or somebody made entries by hand makes no difference."""
    entries = {path: make_entry(path, value) for path, value in values.items()}

    assert outcome(make_snapshot(values)) == outcome(Snapshot({"": entries}, 1))


@given(tree=trees(texts).filter(lambda tree: all(not isinstance(leaf, dict) or leaf for _, leaf in leaves(tree))))
def test_plain_texts_come_back_where_they_were_put(tree: Tree) -> None:
    """Of entries without documents and conflicts, each is a leaf, and there is no other leaf."""
    values = {"/".join(path): leaf.encode() for path, leaf in leaves(tree)}

    built = build(make_snapshot(values))

    assert values == {"/".join(path): leaf.encode() for path, leaf in leaves(built)}


@given(layers=st.lists(st.dictionaries(st.sampled_from(["a/x", "a/y", "b/c/z", "d"]), texts), max_size=4))
def test_the_tree_shows_the_winners(layers: list[Mapping[str, str]]) -> None:
    """Where no path lies above another, the tree holds what the snapshot shows: the highest layer's value for each."""
    snapshot = make_layers({f"{number}/": values for number, values in enumerate(layers)})

    assert {path: entry.text for path, entry in snapshot.items()} == {
        "/".join(path): leaf for path, leaf in leaves(build(snapshot))
    }


@given(layers=any_layers, path=st.sampled_from(["a", "b/a", "ü"]))
def test_deleting_a_key_uncovers_the_layer_below(layers: Mapping[str, Values], path: str) -> None:
    """Writing a key into a layer of its own on top, and deleting it, is as if nothing had been."""
    over = {**layers, "top/": {path: b"covered"}}
    after = {**layers, "top/": {}}

    assert isinstance(outcome(make_layers(layers)), list) == isinstance(outcome(make_layers(over)), list)
    assert outcome(make_layers(layers)) == outcome(make_layers(after))


@given(tree=trees(texts))
def test_merging_with_nothing_or_with_itself_changes_nothing(tree: Tree) -> None:
    """The empty tree is neutral on both sides, and a tree over itself is itself."""
    assert tree == merge({}, tree) == merge(tree, {}) == merge(tree, tree)


@given(lower=trees(texts), upper=trees(texts))
def test_merging_changes_neither_side(lower: Tree, upper: Tree) -> None:
    """Trees are shared, so laying one over the other leaves both as they were."""
    before = copy.deepcopy((lower, upper))

    merge(lower, upper)

    assert before == (lower, upper)


NAMES = st.sampled_from("ab")
ALIKE = st.dictionaries(NAMES, st.dictionaries(NAMES, st.dictionaries(NAMES, texts, max_size=2), max_size=2))
"""Trees in which a path is always a branch, or always a leaf."""


@given(one=ALIKE, two=ALIKE, three=ALIKE)
def test_merging_is_associative_where_paths_keep_their_kind(one: Tree, two: Tree, three: Tree) -> None:
    """
    Without a text above a branch it does not matter which neighbours merge first.

    With one it does: see ``test_merging_goes_from_the_lowest_up`` for the counterexample, and the reason why layers
    merge from the lowest up.
    """
    assert merge(merge(one, two), three) == merge(one, merge(two, three))


@given(layers=any_layers)
def test_traced_trees_hold_the_same_values(layers: Mapping[str, Values]) -> None:
    """With origins or without, layer by layer and merged, the values are equal."""
    snapshot = make_layers(layers)
    try:
        plain = layer_trees(snapshot)
    except EtcdSettingsError:
        return
    traced = traced_trees(snapshot)

    assert plain == [untraced(tree) for tree in traced]
    assert reduce(merge, plain, Tree()) == untraced(reduce(merge, traced, Tree()))


@given(layers=any_layers)
@example(layers={"": {"a.json": b'{"b": {"c": "x"}}', "a/b/c": b"y"}, "app/": {"a/b.toml": b"c = 1"}})
@example(layers={"": {"a": b'{"b": "{\\"a\\": 2}"}'}, "app/": {"a/b/c": b"1"}})
def test_the_winner_is_where_the_value_came_from(layers: Mapping[str, Values]) -> None:
    """For every leaf of the tree, the entry that `explain` names holds that very value, at the place that it tells."""
    snapshot = make_layers(layers)
    try:
        tree = build(snapshot)
    except EtcdSettingsError:
        return
    for path, leaf in leaves(tree):
        explanation = explain(snapshot, "/".join(path))
        winner = explanation.winner

        assert winner is not None
        (found,) = [p for p, entry in snapshot.layers[winner.layer].items() if entry.key == winner.key]
        alone = build(Snapshot({"": {found: snapshot.layers[winner.layer][found]}}, 1))
        assert leaf == value_at(alone, path)
        assert winner not in explanation.shadowed


def value_at(node: Any, path: tuple[str, ...]) -> Any:
    """Follow *path* through branches, and through texts that are JSON objects."""
    for name in path:
        node = merge({"x": node}, {"x": {}})["x"][name]  # an empty branch above opens a text
    return node


@given(layers=any_layers, path=st.lists(leaf_names, min_size=1, max_size=3))
def test_what_is_missing_has_no_winner(layers: Mapping[str, Values], path: list[str]) -> None:
    """Explaining any path gives an answer or `build`'s own error, and a winner only where there is a value."""
    snapshot = make_layers(layers)
    built = outcome(snapshot)
    if isinstance(built, list):
        return
    values = {"/".join(place) for place, _ in leaves(built)}

    explanation = explain(snapshot, "/".join(path))

    assert explanation.winner is None or any("/".join(path).startswith(value) for value in values)


@given(layers=any_layers, path=st.sampled_from(["a", "b", "a/b", "b/a/0", "/ü/", "\udcff", "0"]))
@example(layers={"": {"a": b'{"b": {"c": 1}}'}, "app/": {"a/b/c": b"2", "a.json/b": b"x"}}, path="a/b")
@example(layers={"": {"a.json": b'{"b": {"c": 1}}', "a/b.toml": b"d = 1", "a/c": b"x"}}, path="a/b")
def test_a_branch_built_alone_is_the_branch_of_the_whole(layers: Mapping[str, Values], path: str) -> None:
    """Where the whole tree builds, building only a branch of it gives the same branch."""
    snapshot = make_layers(layers)
    plain = Snapshot({layer: dict(entries) for layer, entries in snapshot.layers.items()}, 1)
    whole = outcome(snapshot)
    if isinstance(whole, list):
        return

    assert branch_or_error(whole, path) == branch_or_error(build(snapshot, path), path)
    assert branch_or_error(whole, path) == branch_or_error(build(plain, path), path)


def branch_or_error(tree: Tree, path: str) -> Tree | str:
    try:
        return branch(tree, path)
    except EtcdSettingsError as e:
        return str(e)

"""Laws of publishing: what a plan leads to is what was desired, and nothing else moves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from etcd_settings.fitting import load
from etcd_settings.publish import plan, splitting
from etcd_settings.spelling import as_text, flatten
from etcd_settings.tree import build, merge
from tests.making import make_snapshot
from tests.strategies import Values, held_entries, leaf_names, leaves, texts, trees

# Names that are those of `any_entries`, so that what is desired meets what is there.
_near = st.recursive(
    st.dictionaries(st.sampled_from(["a", "b", "0", "ü"]), leaves | st.just("text") | st.just('{"a": 1}'), max_size=3),
    lambda inner: st.dictionaries(st.sampled_from(["a", "b", "1", "a.json"]), inner, max_size=3),
    max_leaves=6,
)
desired_trees = _near | trees()


@given(values=held_entries, prune=st.booleans())
def test_pushing_what_was_pulled_changes_nothing(values: Values, *, prune: bool) -> None:
    """Whatever etcd holds, documents and bases included, its own tree moves no byte of it, nor does that as text."""
    snapshot = make_snapshot(values)
    tree = build(snapshot)

    assert () == plan(snapshot, tree, prune=prune).edits
    assert () == plan(snapshot, as_text(tree), prune=prune).edits


@given(values=held_entries, desired=desired_trees, prune=st.booleans())
@example(values={"a.toml": b"x = 1\nb = 2"}, desired={"a": {"x": None}}, prune=False)  # no TOML, so plain keys
@example(values={"a.json": b'{"x": "{\\"p\\": 1}"}', "a/x/q": b"2"}, desired={"a": {"x": {"q": 2}}}, prune=True)
@example(values={"a": b'{"x": 1}', "a/y": b"2"}, desired={"a": {"x": 1}}, prune=True)  # no key is left for the base
@example(values={"a": b"", "a/y": b"2"}, desired={"a": {"y": 3, "z": {}}}, prune=True)
@example(values={"a.json": b'{"x": {"p": 1}}', "a/x.json": b'{"q": 2}'}, desired={"a": {"x": {"q": 3}}}, prune=False)
@example(values={"a.json": b'{"x": {"p": 1}}', "a/x.json": b'{"q": 2}'}, desired={"a": {"x": {"q": 3}}}, prune=True)
@example(values={"a.yaml": b""}, desired={"a": {}}, prune=False)  # which is null
@example(values={"a": b'{"b": "\xff"}'}, desired={"a": {"c": 1}}, prune=False)  # no text, so no base
@example(values={"a": b"text"}, desired={"a": {"c": 1}}, prune=False)
@example(values={"a.json": b"[1]"}, desired={"a": {"b": b"\xff"}}, prune=False)  # no JSON
@example(values={"a.json": b"1"}, desired={"a": "1.0"}, prune=False)
@example(values={"a.json": b'{"on": true}'}, desired={"a": {"on": 1}}, prune=False)  # equal for Python alone
def test_a_plan_leads_to_what_was_desired(values: Values, desired: dict[str, Any], *, prune: bool) -> None:
    """Afterwards etcd holds that tree, or without pruning that tree over its own, and planning it again is empty."""
    snapshot = make_snapshot(values)

    made = plan(snapshot, desired, prune=prune)
    after = made.outcome(snapshot)

    assert as_text(desired if prune else merge(build(snapshot), desired)) == as_text(build(after))
    assert () == plan(after, desired, prune=prune).edits
    assert () == plan(after, build(after), prune=True).edits


@given(values=held_entries, desired=desired_trees, prune=st.booleans(), most=st.integers(1, 3))
@example(values={"a": b"x"}, desired={"a": {"b": 1, "c": 2}}, prune=False, most=1)
@example(values={"a/b": b"x", "a/c": b"x"}, desired={"a": 1}, prune=False, most=1)
@example(values={"a.json": b"[1]"}, desired={"a": {"b": "x" * 9, "c": {}}}, prune=True, most=1)
@example(values={"a.json": b"", "a/b": b"x"}, desired={"a": 1}, prune=False, most=1)  # no JSON without what is below
def test_a_tree_can_be_read_after_each_part(values: Values, desired: dict[str, Any], *, prune: bool, most: int) -> None:
    """However small the parts are; and all together lead to what the plan leads to."""
    snapshot = make_snapshot(values)
    made = plan(snapshot, desired, prune=prune)
    now = snapshot
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitting, "MAX_CHANGES", most)
        parts = splitting.split(made)
    for part in parts:
        now = part.outcome(now)
        build(now)

    assert build(made.outcome(snapshot)) == build(now)


@given(desired=trees())
def test_a_tree_at_an_empty_prefix_becomes_its_keys(desired: dict[str, Any]) -> None:
    """One for each leaf, spelled as ever, and reading back as an equal tree."""
    empty = make_snapshot({})

    made = plan(empty, desired)

    assert flatten(desired) == {edit.path: _readable(edit.new or b"") for edit in made.puts}
    assert as_text(desired) == build(made.outcome(empty))


@given(values=held_entries, desired=desired_trees, prune=st.booleans())
def test_a_plan_is_as_small_as_its_words_say(values: Values, desired: dict[str, Any], *, prune: bool) -> None:
    """Each key once, none written with what it holds, no marker touched, and without pruning no branch beside it."""
    snapshot = make_snapshot(values)

    made = plan(snapshot, desired, prune=prune)

    assert len(made.edits) == len({edit.key for edit in made.edits})
    assert all(edit.old is None or edit.old.value != edit.new for edit in made.edits)
    assert all(edit.path and not edit.path.endswith("/") for edit in made.edits)
    assert not {edit.key for edit in made.edits} & {entry.key for entry in made.unchanged}
    if not prune:
        mounts = {edit.path.split("/")[0].split(".")[0] for edit in made.edits}
        assert mounts <= {name.split(".")[0] for name in desired}


class _Pool(BaseModel):
    size: int
    hosts: list[str]
    weights: dict[str, float]


class _Model(BaseModel):
    name: str
    debug: bool
    ratio: float
    limit: int | None
    matrix: list[list[int]]
    pools: dict[str, _Pool]
    main: _Pool


_floats = st.floats(allow_nan=False)
_pools = st.builds(
    _Pool,
    size=st.integers(),
    hosts=st.lists(texts, max_size=2),
    weights=st.dictionaries(leaf_names, _floats, max_size=2),
)
_models = st.builds(
    _Model,
    name=texts,
    debug=st.booleans(),
    ratio=_floats,
    limit=st.none() | st.integers(),
    matrix=st.lists(st.lists(st.integers(), max_size=2), max_size=2),
    pools=st.dictionaries(leaf_names, _pools, max_size=2),
    main=_pools,
)


@given(
    model=_models,
    held=st.lists(
        st.sampled_from(
            [
                ("main.json", b'{"size": 1, "hosts": ["x"]}'),
                ("pools.toml", b"[a]\nsize = 1\nhosts = []"),
                ("main/weights.yaml", b"a: 1.5"),
                ("pools/a/size", b"7"),
                ("matrix.json", b"[[1]]"),
                ("name", b"x"),
            ]
        ),
        unique=True,
    ).map(dict),
)
def test_the_typed_settings_survive_push_and_pull(model: _Model, held: Values) -> None:
    """What was pushed loads as it was, from keys and from documents; pulled and pushed again it moves nothing."""
    snapshot = make_snapshot(held)

    after = plan(snapshot, model.model_dump(), prune=True).outcome(snapshot)

    assert model == load(_Model, after)
    assert () == plan(after, as_text(build(after)), prune=True).edits
    assert () == plan(after, model.model_dump(), prune=True).edits


def _readable(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value

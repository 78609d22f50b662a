"""Laws of spelling: what is written reads back."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from etcd_settings.documents import SUFFIXES
from etcd_settings.errors import EtcdSettingsError
from etcd_settings.spelling import as_text, flatten, spell
from etcd_settings.tree import build, merge
from tests.making import make_layers, make_snapshot
from tests.strategies import Values, any_entries, leaves, texts, trees


@given(tree=trees())
def test_what_is_written_reads_back(tree: dict[str, Any]) -> None:
    """The entries of a flattened tree build that tree, with every leaf as text and every table kept."""
    assert as_text(tree) == build(make_snapshot(flatten(tree)))


@given(tree=trees(texts))
def test_a_tree_of_texts_reads_back_unchanged(tree: dict[str, Any]) -> None:
    """What was read from etcd and is written to an empty prefix makes an equal tree."""
    assert tree == build(make_snapshot(flatten(tree)))


@given(tree=trees())
def test_spelling_twice_changes_nothing(tree: dict[str, Any]) -> None:
    """A text is its own spelling, so that pushing what was pulled writes nothing."""
    once = as_text(tree)

    assert once == as_text(once)
    assert flatten(once) == flatten(tree)


@given(values=any_entries)
def test_whatever_etcd_holds_can_be_written_elsewhere(values: Values) -> None:
    """Any tree that builds can be compared and, if its names allow it, be written to an empty prefix."""
    try:
        tree = build(make_snapshot(values))
        flat = flatten(tree)
    except EtcdSettingsError:
        return

    assert as_text(tree) == build(make_snapshot(flat))


@given(lower=trees(texts), upper=trees(texts))
@example(lower={"t": {"a": "x"}}, upper={"t": {}})  # an empty table hides nothing
@example(lower={"t": "x"}, upper={"t": {}})
def test_layers_that_were_written_merge_as_their_trees_do(lower: dict[str, Any], upper: dict[str, Any]) -> None:
    """Writing a tree into a layer has the effect that the tree itself would have there."""
    snapshot = make_layers({"low/": flatten(lower), "high/": flatten(upper)})

    assert merge(lower, upper) == build(snapshot)


@given(value=leaves)
def test_a_leaf_has_one_spelling(value: object) -> None:
    """Equal values are spelled alike, and a spelling spells itself."""
    assert spell(value) == spell(spell(value))


@given(
    names=st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=4) | st.sampled_from(["a/b", "a.json", ".yml"]),
        min_size=1,
        max_size=4,
        unique=True,
    )
)
def test_a_tree_is_refused_or_reads_back(names: list[str]) -> None:
    """Whatever the names, there is no third way."""
    tree = dict.fromkeys(names, "x")
    try:
        flat = flatten(tree)
    except EtcdSettingsError as e:
        found = len(e.problems)
    else:
        found = 0
        assert tree == build(make_snapshot(flat))

    assert (found > 0) == any(not name or "/" in name or name.endswith(SUFFIXES) for name in names)

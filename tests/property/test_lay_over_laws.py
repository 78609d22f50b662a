"""Laws of writing a tree over what is there: it reads back merged, and nothing beside it moves."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given

from etcd_settings.etcd.trees import lay_over
from etcd_settings.keys import encode_key
from etcd_settings.spelling import as_text, flatten
from etcd_settings.tree import build, merge
from tests.making import make_snapshot
from tests.property.test_publish_laws import desired_trees
from tests.strategies import Values, held_entries, trees


def carried_out(values: Values, changes: dict[str, str | bytes | None]) -> Values:
    written = {path: encode_key(text) for path, text in changes.items() if text is not None}
    return {path: value for path, value in values.items() if path not in changes} | written


@given(values=held_entries, tree=desired_trees)
@example(values={"a/0": b"x", "a/1": b"y"}, tree={"a": ["z"]})
@example(values={"a.json": b'{"b": 1}', "a/c": b"2", "a/": b""}, tree={"a": "text"})
@example(values={"a": b"text"}, tree={"a": {"b": 1}})
@example(values={"a": b'{"b": 1}'}, tree={"a": {"c": 2}})
@example(values={"a": b'{"b": 1}'}, tree={"a": {}})
@example(values={"a": b'{"b": 1}', "a/c": b"2"}, tree={"a": {}})
@example(values={"a.toml": b"b = 1"}, tree={"a": {}})
@example(values={"a.yaml": b"- 1"}, tree={"a": {}})
@example(values={"a.yaml": b"- 1"}, tree={"a": {"b": 1}})
@example(values={"a.yaml": b""}, tree={"a": {}})  # which is null
@example(values={"a.json": b"", "a/b": b"1"}, tree={"a": {"c": 1}})  # no JSON, but a base
@example(values={"a": b"\xff"}, tree={"a": {"b": 1}})
@example(values={"a": b'{"b": "\xff"}'}, tree={"a": {"c": 1}})  # no text, so no base
def test_it_reads_back_merged(values: Values, tree: dict[str, Any]) -> None:
    """Whatever stood in the way is gone; of the rest nothing is lost. Doing it again changes nothing."""
    before = make_snapshot(values)

    after = carried_out(values, lay_over(before, tree))

    assert as_text(merge(build(before), tree)) == as_text(build(make_snapshot(after)))
    assert after == carried_out(after, lay_over(make_snapshot(after), tree))


@given(tree=trees())
def test_at_an_empty_prefix_it_is_its_leaves(tree: dict[str, Any]) -> None:
    """One key for each, and nothing to delete."""
    assert flatten(tree) == lay_over({}, tree)


@given(values=held_entries, tree=desired_trees)
@example(values={"a/": b"", "a/b": b"1"}, tree={"a": "text"})
def test_it_moves_nothing_beside_it(values: Values, tree: dict[str, Any]) -> None:
    """Keys in branches that the tree does not name stay as they are, and so do markers of directories."""
    changes = lay_over(make_snapshot(values), tree)

    assert {path.split("/")[0].split(".")[0] for path in changes} <= {name.split(".")[0] for name in tree}
    assert not any(path.endswith("/") for path in changes)

"""A plan says which keys change, from what to what, and shows no value by itself."""

from __future__ import annotations

import pickle
from types import MappingProxyType
from typing import Any

import pytest

from etcd_settings.errors import ConfigurationError, ConflictError
from etcd_settings.publish import Plan, plan, plan_entries
from etcd_settings.snapshot import Snapshot
from tests.making import PREFIX, Value, make_layers, make_snapshot

HELD: dict[str, Value] = {
    "debug": "false",
    "database.json": '{"host": "db1", "port": 5432}',
    "database/pool": "5",
    "features/": "",
    "features/new": "on",
}


def changes(made: Plan) -> dict[str, str | None]:
    return {edit.path: None if edit.new is None else edit.new.decode() for edit in made.edits}


@pytest.mark.parametrize(
    ("desired", "expected"),
    [
        ({}, {}),
        ({"debug": False, "database": {"port": "5432", "pool": 5}}, {}),
        ({"debug": True}, {"debug": "true"}),
        ({"new": {"a": None, "b": []}}, {"new/a": "null", "new/b": "[]"}),
        ({"database": MappingProxyType({"pool": 6})}, {"database/pool": "6"}),
        ({"new": {}}, {"new.json": "{}"}),
        ({"database": {"port": 5433}}, {"database.json": '{"host": "db1", "port": 5433}'}),
        ({"database": {"port": "5433"}}, {"database.json": '{"host": "db1", "port": 5433}'}),  # it was a number there
        ({"database": {"host": "7"}}, {"database.json": '{"host": "7", "port": 5432}'}),  # and a text here
        ({"database": {"tls": True}}, {"database.json": '{"host": "db1", "port": 5432, "tls": true}'}),
        ({"database": {"pin": "7"}}, {"database.json": '{"host": "db1", "port": 5432, "pin": "7"}'}),
        ({"database": {"pool": 6}}, {"database/pool": "6"}),
        ({"database": {"pool": {"size": 6}}}, {"database/pool": None, "database/pool/size": "6"}),
        ({"features": "none"}, {"features/new": None, "features": "none"}),
        ({"debug": {"sql": True}}, {"debug": None, "debug/sql": "true"}),
        (
            {"database": {"key": b"\xff"}},  # no JSON holds it, so the document becomes keys
            None,
        ),
    ],
    ids=repr,
)
def test_what_differs_changes_where_it_is(desired: dict[str, Any], expected: dict[str, str | None] | None) -> None:
    """In the document or under the key that holds it; the rest stays, byte for byte."""
    made = plan(make_snapshot(HELD), desired)

    if expected is None:
        assert {"database/host", "database/key", "database/port"} == {edit.path for edit in made.puts}
        assert {"database.json"} == {edit.path for edit in made.deletes}
    else:
        assert expected == changes(made)


def test_pruning_deletes_what_the_tree_lacks() -> None:
    """Keys, and members of documents; markers of directories are nobody's value, and stay."""
    made = plan(make_snapshot(HELD), {"database": {"host": "db1"}}, prune=True)

    assert {"database.json": '{"host": "db1"}', "database/pool": None, "debug": None, "features/new": None} == changes(
        made
    )


@pytest.mark.parametrize(
    ("held", "desired", "expected"),
    [
        ({"a": '{"x": 1}', "a/y": "2"}, {"a": {"x": 1, "y": 3}}, {"a/y": "3"}),
        ({"a": '{"x": 1}', "a/y": "2"}, {"a": {"x": 5, "y": 2}}, {"a": '{"x": 5}'}),
        ({"a": '{"x": 1}', "a/y": "2"}, {"a": {"x": 1}}, {"a": None, "a/x": "1", "a/y": None}),
        ({"a": '{"x": 1}', "a/y": "2"}, {"a": {"y": 2}}, {"a": None}),
        ({"a": "", "a/y": "2"}, {"a": {"y": 3}}, {"a/y": "3"}),
        ({"a.json": '{"x": 1}', "a/x": "2"}, {"a": {"x": 3}}, {"a/x": "3"}),
        ({"a.json": "[1]"}, {"a": [2]}, {"a.json": "[2]"}),
        ({"a.json": '{\n"x": 1}'}, {"a": {"x": 2}}, {"a.json": '{\n  "x": 2\n}'}),
        ({"a.json": "[1]"}, {"a": "[2]"}, {"a.json": "[2]"}),
        ({"a.json": '"x"'}, {"a": "y"}, {"a.json": '"y"'}),
        ({"a.toml": "# why\nx = 1\n"}, {"a": {"x": 2}}, {"a.toml": "x = 2\n"}),
        ({"a.toml": "d = 07:32:00\nx = 1"}, {"a": {"x": 2, "d": "07:32:00"}}, {"a.toml": "d = 07:32:00\nx = 2\n"}),
        ({"a.toml": "x = 1"}, {"a": {"x": None}}, {"a.toml": None, "a/x": "null"}),
        ({"a.yaml": "y: 1\nx: [1]\n"}, {"a": {"y": 1, "x": [2]}}, {"a.yaml": "y: 1\nx:\n- 2\n"}),
        ({"a.json": "{}", "a/b.json": "{}"}, {"a": {"b": {"c": 1}}}, {"a/b.json": '{"c": 1}'}),
        ({"a/b": "1"}, {"a": {}}, {"a.json": "{}", "a/b": None}),
    ],
    ids=repr,
)
def test_a_base_and_a_document_hold_what_they_held(
    held: dict[str, Value], desired: dict[str, Any], expected: dict[str, str | None]
) -> None:
    """They are written anew only for what they own, and go when there is nothing that they can say."""
    assert expected == changes(plan(make_snapshot(held), desired, prune=True))


def test_a_document_keeps_what_no_key_may_be_named() -> None:
    """A name in a document may hold a slash; it is no key, and nobody has to rename it to change what is beside it."""
    snapshot = make_snapshot({"routes.json": '{"/health": 1, "n": 1}'})

    assert {"routes.json": '{"/health": 1, "n": 2}'} == changes(plan(snapshot, {"routes": {"/health": 1, "n": 2}}))


@pytest.mark.parametrize(
    ("desired", "subjects"),
    [
        ({"a/b": 1, "": 2, "c": {"d.json": 3}}, ["a/b", "", "c/d.json"]),
        ({"database": {"a/b": 1}}, ["database/a/b"]),
        ({"database": {"new": {"": 1}}}, ["database/new/"]),
        ({"database": {"port": {"": b"\xff"}}}, ["database/port/"]),
        ({"database": {"port": object()}, "debug": float}, ["database/port", "debug"]),
    ],
    ids=repr,
)
def test_what_would_not_read_back_is_refused(desired: dict[str, Any], subjects: list[str]) -> None:
    """All of it at once, with its path, and wherever it would have gone."""
    with pytest.raises(ConfigurationError) as caught:
        plan(make_snapshot(HELD), desired)

    assert subjects == [getattr(problem, "subject", None) for problem in caught.value.problems]


def test_keys_that_contradict_each_other_are_no_start() -> None:
    """Nobody can say what differs from a tree that is none."""
    with pytest.raises(ConflictError):
        plan(make_snapshot({"a": "1", "a.json": "2"}), {"b": 1})


def test_a_plan_tells_what_it_is_made_of() -> None:
    """The old entries and the new values; which keys are as desired; and no value in any repr."""
    made = plan(make_snapshot(HELD, revision=9), {"debug": "hunter2", "database": {"host": "db1"}})

    (edit,) = made.puts
    assert ("debug", PREFIX + "debug", b"hunter2") == (edit.path, edit.key, edit.new)
    assert edit.old is not None
    assert "false" == edit.old.text
    assert [PREFIX + "database.json"] == [entry.key for entry in made.unchanged]
    assert (PREFIX, 9, False) == (made.prefix, made.revision, made.prunes)
    assert "<Plan for '/config/app/' at revision 9: 1 to write, 0 to delete>" == repr(made)
    assert "hunter2" not in repr(made.edits)


def test_a_value_in_the_place_of_a_branch_is_told() -> None:
    """By the branch's path, wherever it is; one that holds nothing is no loss."""
    held = {**HELD, "empty.json": "{}", "deep/er/x": "1"}

    made = plan(make_snapshot(held), {"database": 1, "empty": 1, "deep": {"er": 1}, "debug": {"sql": 1}})

    assert ("database", "deep/er") == made.replaced


def test_of_several_layers_one_is_chosen() -> None:
    """Nobody guesses which one; the others count for nothing."""
    snapshot = make_layers({"low/": {"a": "1"}, "high/": {"a": "2"}})

    made = plan(snapshot, {"a": 1, "b": 2}, layer="low/")

    assert {PREFIX + "low/b"} == {edit.key for edit in made.edits}
    assert {"a": "2", "b": "2"} == {path: entry.text for path, entry in made.outcome(snapshot).items()}
    for layer in (None, "middle/"):
        with pytest.raises(ConfigurationError, match="'low/', 'high/'"):
            plan(snapshot, {}, layer=layer)


def test_a_snapshot_that_travelled_knows_its_prefix_by_its_keys() -> None:
    """If it has any."""
    travelled: Snapshot = pickle.loads(pickle.dumps(make_snapshot({"a/b": "1"})))
    empty: Snapshot = pickle.loads(pickle.dumps(make_snapshot({})))

    assert PREFIX == plan(travelled, {"c": 1}).prefix
    with pytest.raises(ConfigurationError, match="does not know its prefix"):
        plan(empty, {"c": 1})


def test_the_outcome_has_the_revisions_that_etcd_would_give() -> None:
    """Up to the revision itself, which another writer may be ahead of."""
    snapshot = make_snapshot({"a": "1", "b": "2"}, revision=5)

    after = plan(snapshot, {"a": 3, "c": 4}, prune=True).outcome(snapshot)

    assert {"a": (1, 6, 2), "c": (6, 6, 1)} == {
        path: (entry.create_revision, entry.mod_revision, entry.version) for path, entry in after.items()
    }


def test_entries_are_planned_byte_for_byte() -> None:
    """What they mean counts for nothing; what is beside them is deleted only by pruning."""
    snapshot = make_snapshot({"a.json": '{"x": 1}', "b": "1", "c": "1", "d/": ""})
    values = {"a.json": b'{"x":1}', "b": b"1", "e": b"\xff"}

    kept, pruned = plan_entries(snapshot, values), plan_entries(snapshot, values, prune=True)

    assert [("a.json", b'{"x":1}'), ("e", b"\xff")] == [(edit.path, edit.new) for edit in kept.edits]
    assert (kept.puts, ["c", "d/"]) == (pruned.puts, [edit.path for edit in pruned.deletes])
    assert (False, True) == (kept.prunes, pruned.prunes)
    assert [PREFIX + "b"] == [entry.key for entry in pruned.unchanged]
    assert () == plan_entries(snapshot, {path: entry.value for path, entry in snapshot.items()}, prune=True).edits


@pytest.mark.parametrize("document", [{"a.json": r'{"x": "\ud83d"}'}, {"a.toml": "x = [inf]"}], ids=repr)
def test_a_document_without_spelling_is_in_nobodys_way(document: dict[str, str]) -> None:
    """Nobody could write it, and whoever writes beside it, or leaves it out, need not."""
    snapshot = make_snapshot({**document, "b": "1"})

    assert ["b"] == [edit.path for edit in plan(snapshot, {"b": 2}).edits]
    assert ["b", *document] == [edit.path for edit in plan(snapshot, {"b": 2}, prune=True).edits]

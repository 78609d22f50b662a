"""The rule of the tree, number by number, as the documentation gives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest

from etcd_settings.errors import ConflictError, DecodeError, EtcdSettingsError
from etcd_settings.etcd.messages import message
from etcd_settings.snapshot import Entries, Snapshot
from etcd_settings.tree import (
    Explanation,
    Origin,
    Traced,
    Tree,
    as_list,
    branch,
    build,
    explain,
    layer_trees,
    merge,
    object_in,
    traced_trees,
)
from tests.making import PREFIX, Value, make_entries, make_entry, make_layers, make_row, make_snapshot

Values = Mapping[str, Value]


def built(values: Values) -> Tree:
    return build(make_snapshot(values))


def problems(values: Values) -> list[EtcdSettingsError]:
    with pytest.raises(EtcdSettingsError) as caught:
        built(values)
    return list(caught.value.problems)


class TestPaths:
    """Rule 1: a path is split at slashes; leaves are text."""

    def test_slashes_make_branches(self) -> None:
        """Each segment but the last is a branch."""
        assert {"debug": "true", "database": {"host": "db1", "pool": {"size": "5"}}} == built(
            {"debug": "true", "database/host": "db1", "database/pool/size": "5"}
        )

    def test_nothing_makes_an_empty_tree(self) -> None:
        """An empty prefix is no error, and neither is a snapshot without layers."""
        assert {} == built({})
        assert {} == build(Snapshot({}, 1))

    def test_an_empty_value_is_an_empty_text(self) -> None:
        """Empty and missing are two things."""
        assert {"a": ""} == built({"a": ""})

    def test_a_leaf_is_text_whatever_it_looks_like(self) -> None:
        """Numbers and JSON stay as they were written: types are the business of whoever declares them."""
        assert {"a": "5432", "b": "[1]", "c": '{"d": 1}', "d": "null"} == built(
            {"a": "5432", "b": "[1]", "c": '{"d": 1}', "d": "null"}
        )

    def test_a_value_that_is_no_text_stays_bytes(self) -> None:
        """It is an error only for whoever needs text; its neighbours are unharmed."""
        assert {"a": b"\xff\xfe", "b": "ok"} == built({"a": b"\xff\xfe", "b": "ok"})

    def test_a_key_that_is_no_text_makes_surrogate_escapes(self) -> None:
        """All 256 bytes may be in a key, in branches and in leaves."""
        assert {"\udcff": {"\udcfe": "1"}} == built({"\udcff/\udcfe": "1"})

    @pytest.mark.parametrize("path", ["", "a/", "a/b/", "a.json/"])
    def test_an_empty_value_at_a_directory_is_a_marker(self, path: str) -> None:
        """Browsers of etcd write those, at the prefix too; they make nothing, not even a branch."""
        assert {"c": "1"} == built({path: "", "c": "1"})

    def test_a_marker_beside_its_children_is_ignored(self) -> None:
        """It marks a directory that is there anyway."""
        assert {"a": {"b": "1"}} == built({"": "", "a/": "", "a/b": "1"})

    @pytest.mark.parametrize("path", ["", "a/", "/a", "//", "/", "a//b", "a//", "//a", "a/.json", ".toml"])
    def test_any_other_empty_segment_is_an_error(self, path: str) -> None:
        """A value there has no name to be found by; a document needs one before its suffix."""
        (problem,) = problems({path: "1"})

        assert isinstance(problem, ConflictError)
        assert (f"/config/app/{path}",) == problem.keys
        assert "its path has an empty segment" == problem.reason

    @pytest.mark.parametrize("path", ["a//", "//", "/", "a//b/"])
    def test_a_marker_does_not_excuse_another_empty_segment(self, path: str) -> None:
        """Only the last segment of a marker is empty."""
        (problem,) = problems({path: ""})

        assert "its path has an empty segment" in str(problem)

    @pytest.mark.parametrize("prefix", ["", "/", "app", "/größe/"])
    def test_the_prefix_may_be_any(self, prefix: str) -> None:
        """What stands before the path makes no difference, with or without a slash at its end."""
        rows = [make_row(path, "1", prefix=prefix) for path in ("a", "b/c")]

        assert {"a": "1", "b": {"c": "1"}} == build(Snapshot({"": Entries(rows, prefix=prefix)}, 1))

    def test_without_a_prefix_a_leading_slash_is_an_empty_segment(self) -> None:
        """``a`` and ``/a`` are two keys, and must not land on one leaf."""
        entries = Entries([make_row("/a", "1", prefix=""), make_row("a", "2", prefix="")])

        with pytest.raises(ConflictError, match="'/a': its path has an empty segment"):
            build(Snapshot({"": entries}, 1))

    def test_protobufs_rows_make_the_same_tree(self) -> None:
        """The way of the cold read: etcd's answer, no entry in between."""
        answer = message("RangeResponse")()
        answer.kvs.add(key=b"/config/app/a/b", value=b"1")
        answer.kvs.add(key=b"/config/app/a/c", value=b"\xff")

        assert {"a": {"b": "1", "c": b"\xff"}} == build(Snapshot({"": Entries(answer.kvs, prefix=PREFIX)}, 1))


class TestDocuments:
    """Rule 2: a last segment with a document's suffix is mounted without it."""

    @pytest.mark.parametrize(
        ("path", "text"),
        [
            ("db.json", '{"host": "db1", "port": 5432}'),
            ("db.toml", 'host = "db1"\nport = 5432'),
            ("db.yaml", "host: db1\nport: 5432"),
            ("db.yml", "{host: db1, port: 5432}"),
        ],
    )
    def test_a_document_is_a_branch_with_types(self, path: str, text: str) -> None:
        """Its leaves have the types of the format."""
        assert {"db": {"host": "db1", "port": 5432}} == built({path: text})

    def test_a_document_may_lie_deep(self) -> None:
        """It is mounted where its key is."""
        assert {"a": {"b": {"c": 1}, "d": "x"}} == built({"a/b.json": '{"c": 1}', "a/d": "x"})

    def test_a_document_may_be_a_list_or_a_scalar(self) -> None:
        """Then it is a leaf."""
        assert {"hosts": ["a", "b"], "n": 3, "nothing": None} == built(
            {"hosts.json": '["a", "b"]', "n.json": "3", "nothing.json": "null"}
        )

    def test_only_one_suffix_is_cut_off(self) -> None:
        """``a.json.json`` is a document at ``a.json``, and no rival of the document at ``a``."""
        assert {"a": {"x": 1}, "a.json": {"y": 2}} == built({"a.json": '{"x": 1}', "a.json.json": '{"y": 2}'})

    @pytest.mark.parametrize("path", ["a.JSON", "a.txt", "a.json.bak", "ajson"])
    def test_any_other_name_is_a_plain_leaf(self, path: str) -> None:
        """A dot alone means nothing, and case counts."""
        assert {path: "{}"} == built({path: "{}"})

    def test_a_branch_may_be_named_like_a_document(self) -> None:
        """Only the last segment's suffix counts."""
        assert {"a.json": {"b": "1"}} == built({"a.json/b": "1"})

    @pytest.mark.parametrize("path", ["db.json", "a/db.toml"])
    def test_a_broken_document_is_an_error(self, path: str) -> None:
        """It names the key."""
        (problem,) = problems({path: "{hunter2"})

        assert isinstance(problem, DecodeError)
        assert f"/config/app/{path}" == problem.key

    def test_a_document_that_is_no_text_is_an_error(self) -> None:
        """A suffix promises text."""
        (problem,) = problems({"db.json": b"\xff"})

        assert "The value at '/config/app/db.json' is not valid UTF-8 text (byte 0)" in str(problem)


class TestBases:
    """Rule 3: a value with children is their base, if it is a JSON object or empty."""

    @pytest.mark.parametrize(
        ("base", "tree"),
        [
            ('{"host": "db1", "port": 5432}', {"host": "db2", "port": 5432}),
            ("", {"host": "db2"}),
            ("{}", {"host": "db2"}),
        ],
    )
    def test_children_override_their_base(self, base: str, tree: Tree) -> None:
        """What the children do not name comes from the base."""
        assert {"db": tree} == built({"db": base, "db/host": "db2"})

    def test_a_base_reaches_deep(self) -> None:
        """Base and children merge branch by branch."""
        assert {"db": {"pool": {"min": 1, "max": "9"}, "host": "x"}} == built(
            {"db": '{"pool": {"min": 1, "max": 2}, "host": "x"}', "db/pool/max": "9"}
        )

    def test_bases_stand_on_bases(self) -> None:
        """The deeper one is nearer, and wins."""
        assert {"a": {"b": {"x": 1, "y": 2, "z": "3"}}} == built(
            {"a": '{"b": {"x": 1, "y": 0, "z": 0}}', "a/b": '{"y": 2, "z": 0}', "a/b/z": "3"}
        )

    @pytest.mark.parametrize("base", ["text", "[1]", "3", '{"a": ', b'{"a": "\xff"}', b"\xff", " "])
    def test_any_other_value_with_children_is_a_conflict(self, base: Value) -> None:
        """It cannot be both a leaf and a branch; value and first child are named."""
        (problem,) = problems({"db": base, "db/": "", "db/z": "1", "db/a": "2"})

        assert isinstance(problem, ConflictError)
        assert ("/config/app/db", "/config/app/db/a") == problem.keys
        assert "the first has keys below it, and its value is no JSON object" == problem.reason

    def test_a_value_far_above_is_a_conflict_too(self) -> None:
        """The child need not be a direct one."""
        (problem,) = problems({"a": "text", "a/b/c/d": "1"})

        assert isinstance(problem, ConflictError)
        assert ("/config/app/a", "/config/app/a/b/c/d") == problem.keys

    def test_a_base_may_come_after_its_children(self) -> None:
        """Pages, and stores that do not sort, deliver in any order."""
        rows = [make_row("db/pool/size", "5"), make_row("db/host", "x"), make_row("db", '{"host": "y", "port": 1}')]

        assert {"db": {"host": "x", "port": 1, "pool": {"size": "5"}}} == build(
            Snapshot({"": Entries(rows, prefix=PREFIX)}, 1)
        )

    def test_a_child_may_be_a_document(self) -> None:
        """A mounted document is a child like any other."""
        assert {"db": {"host": "x", "pool": {"max": 2}}} == built({"db": '{"host": "x"}', "db/pool.json": '{"max": 2}'})


class TestRivals:
    """Rule 4: two values that land on one path conflict; a document and children merge."""

    @pytest.mark.parametrize(
        "paths", [("db.json", "db.toml"), ("db", "db.json"), ("db", "db.json", "db.yaml"), ("a/b", "a/b.yml")]
    )
    def test_two_values_for_one_path_conflict(self, paths: tuple[str, ...]) -> None:
        """Neither wins silently, even if they say the same; all are named."""
        (problem,) = problems(dict.fromkeys(paths, ""))

        assert isinstance(problem, ConflictError)
        assert tuple(f"/config/app/{path}" for path in paths) == problem.keys
        assert "they land on one path" in problem.reason

    @pytest.mark.parametrize("value", ["same", "{}"])
    def test_rivals_conflict_above_children_too(self, value: str) -> None:
        """Children do not tell which of two bases is meant."""
        (problem,) = problems({"db": value, "db.json": value, "db/host": "x"})

        assert "'/config/app/db' and '/config/app/db.json': they land on one path, 'db'" in str(problem)

    @pytest.mark.parametrize(
        ("path", "text"), [("db.json", '{"host": "x", "port": 1}'), ("db.toml", 'host = "x"\nport = 1')]
    )
    def test_a_document_is_the_base_of_its_children(self, path: str, text: str) -> None:
        """Children override it, key by key."""
        assert {"db": {"host": "db2", "port": 1}} == built({path: text, "db/host": "db2"})

    @pytest.mark.parametrize("path", ["db.json", "db.yaml"])
    def test_an_empty_document_is_an_empty_base(self, path: str) -> None:
        """As an empty text is."""
        assert {"db": {"host": "x"}} == built({path: "", "db/host": "x"})

    @pytest.mark.parametrize("text", ["[1]", "3", "null"])
    def test_a_document_with_children_must_be_a_branch(self, text: str) -> None:
        """A list or a scalar has no place for children."""
        (problem,) = problems({"db.json": text, "db/host": "x"})

        assert "'/config/app/db.json' and '/config/app/db/host': the first has keys below it" in str(problem)


class TestLists:
    """Rule 5: children that are numbered without a gap may be a list."""

    def test_numbered_children_stay_a_mapping_in_the_tree(self) -> None:
        """Without a type that wants a list they are names like any other."""
        assert {"hosts": {"0": "a", "1": "b"}} == built({"hosts/0": "a", "hosts/1": "b"})

    def test_numbered_children_are_a_list_where_one_is_wanted(self) -> None:
        """In the order of their numbers, not of their spelling."""
        node = {str(number): f"v{number}" for number in reversed(range(12))}

        assert [f"v{number}" for number in range(12)] == as_list(node)

    @pytest.mark.parametrize("node", [{}, {"a": 1}, {"0": 1, "a": 2}, {"-1": 1}, {"²": 1}, {"0": 1, "": 2}])
    def test_other_children_are_no_list(self, node: Tree) -> None:
        """That is no error: the branch is a mapping then."""
        assert as_list(node) is None

    @pytest.mark.parametrize(
        ("names", "missing"), [("1", 0), ("02", 1), ("013", 2), (["0", "01"], 1), (["0", "1", "01"], 2)]
    )
    def test_a_gap_is_an_error(self, names: list[str], missing: int) -> None:
        """Items do not move up when one is missing, and two spellings of one number leave a gap."""
        with pytest.raises(ConflictError, match=f"'a/hosts': a list of {len(names)} lacks its item {missing}"):
            as_list(dict.fromkeys(names, "x"), "a/hosts")


class TestLayers:
    """Rule 6: layers merge path by path, and later ones win."""

    def merged(self, *layers: Values) -> Tree:
        return build(make_layers({f"{number}/": values for number, values in enumerate(layers)}))

    def test_later_layers_win(self) -> None:
        """Each path takes its value from the highest layer that has it."""
        assert {"a": "3", "b": {"x": "1", "y": "2", "z": "3"}} == self.merged(
            {"a": "1", "b/x": "1", "b/y": "1"}, {"b/y": "2", "b/z": "2"}, {"a": "3", "b/z": "3"}
        )

    def test_deleting_a_key_uncovers_the_layer_below(self) -> None:
        """What was hidden was not lost."""
        assert {"a": "high"} == self.merged({"a": "low"}, {"a": "high"})
        assert {"a": "low"} == self.merged({"a": "low"}, {})

    def test_a_branch_replaces_a_text_and_the_reverse(self) -> None:
        """Between layers a change of kind is no conflict."""
        assert {"a": {"b": "2"}} == self.merged({"a": "1"}, {"a/b": "2"})
        assert {"a": "2"} == self.merged({"a/b": "1"}, {"a": "2"})

    def test_a_json_object_below_is_a_base(self) -> None:
        """Its text is opened when a higher layer has children there, and stays text otherwise."""
        assert {"a": {"x": 1, "y": "2"}} == self.merged({"a": '{"x": 1, "y": 1}'}, {"a/y": "2"})
        assert {"a": '{"x": 1}', "b": {"c": "1"}} == self.merged({"a": '{"x": 1}'}, {"b/c": "1"})

    def test_documents_merge_between_layers(self) -> None:
        """Whatever the format, and with plain keys."""
        assert {"db": {"host": "x", "port": 2, "tls": "on"}} == self.merged(
            {"db.json": '{"host": "x", "port": 1}'}, {"db.toml": "port = 2"}, {"db/tls": "on"}
        )

    def test_items_merge_by_index_but_a_list_is_replaced_whole(self) -> None:
        """Children by index are paths; a list in a document is one value."""
        assert {"l": {"0": "a", "1": "c"}} == self.merged({"l/0": "a", "l/1": "b"}, {"l/1": "c"})
        assert {"l": [3]} == self.merged({"l.json": "[1, 2]"}, {"l.json": "[3]"})
        assert {"l": {"1": "c"}} == self.merged({"l.json": "[1, 2]"}, {"l/1": "c"})

    def test_an_empty_branch_above_hides_nothing(self) -> None:
        """It has no child that could win; but it does replace a text."""
        assert {"db": {"host": "x"}} == self.merged({"db/host": "x"}, {"db.json": "{}"})
        assert {"db": {}} == self.merged({"db": "text"}, {"db.json": "{}"})

    def test_each_layer_is_a_tree_of_its_own(self) -> None:
        """Adapters that fold names need the layers before they merge."""
        snapshot = make_layers({"low/": {"a": "1", "db.json": "{}"}, "high/": {"a": "2"}})

        assert [{"a": "1", "db": {}}, {"a": "2"}] == layer_trees(snapshot)

    def test_what_conflicts_in_one_layer_does_not_across_two(self) -> None:
        """``db`` over ``db.json`` is a replacement, as any other."""
        assert {"db": "text"} == self.merged({"db.json": '{"host": "x"}'}, {"db": "text"})

    def test_merging_changes_neither(self) -> None:
        """Trees are shared between readers."""
        lower, upper = {"a": {"x": {"y": "1"}}, "b": "1"}, {"a": {"x": {"z": "2"}}}

        assert {"a": {"x": {"y": "1", "z": "2"}}, "b": "1"} == merge(lower, upper)
        assert ({"a": {"x": {"y": "1"}}, "b": "1"}, {"a": {"x": {"z": "2"}}}) == (lower, upper)

    def test_merging_goes_from_the_lowest_up(self) -> None:
        """It is not associative: a text between two branches hides the lower one, unless the upper two merge first."""
        low, middle, high = {"a": {"x": "1"}}, {"a": "text"}, {"a": {"y": "2"}}

        assert {"a": {"y": "2"}} == merge(merge(low, middle), high)
        assert {"a": {"x": "1", "y": "2"}} == merge(low, merge(middle, high))


class TestProblems:
    """Rule 7: all problems at once, each with its key, and no value."""

    def test_all_problems_are_told_at_once(self) -> None:
        """Whoever mends keys mends them in one go."""
        found = problems({"a": "hunter2", "a/b": "1", "c.json": "{hunter2", "d//e": "hunter2", "f": "", "f.toml": ""})

        assert [
            "'/config/app/a' and '/config/app/a/b': the first has keys below it, and its value is no JSON object.",
            "The value at '/config/app/c.json' is not valid JSON (line 1, column 2).",
            "'/config/app/d//e': its path has an empty segment.",
            "'/config/app/f' and '/config/app/f.toml': they land on one path, 'f'.",
        ] == [str(problem).partition(". ")[0] + "." for problem in found]
        assert not [problem for problem in found if "hunter2" in str(problem)]

    def test_problems_of_all_layers_are_told_at_once(self) -> None:
        """Lower layers first, each with its whole key."""
        with pytest.raises(ConflictError) as caught:
            build(make_layers({"low/": {"a//b": "1"}, "high/": {"a": "x", "a/b": "1"}}))

        assert [
            ("/config/app/low/a//b",),
            ("/config/app/high/a", "/config/app/high/a/b"),
        ] == [getattr(problem, "keys", None) for problem in caught.value.problems]

    def test_a_broken_base_does_not_hide_what_is_broken_below_it(self) -> None:
        """Settling goes on after a problem."""
        assert 2 == len(problems({"a.json": "{", "a/b.json": "{"}))

    def test_many_conflicts_are_told_in_good_time(self) -> None:
        """Telling them takes about linear time: 4,000 keys, 2,000 conflicts."""
        values = {path: "x" for number in range(2000) for path in (f"k{number}", f"k{number}/x")}

        assert 2000 == len(problems(values))


class TestBranches:
    """What adapters ask of a finished tree."""

    TREE: ClassVar[Tree] = {"a": {"b": {"c": "1"}}, "text": "x", "json": '{"d": {"e": 1}}'}

    @pytest.mark.parametrize(
        ("path", "found"),
        [
            ("", TREE),
            ("a", {"b": {"c": "1"}}),
            ("a/b", {"c": "1"}),
            ("/a/b/", {"c": "1"}),
            ("json", {"d": {"e": 1}}),
            ("json/d", {"e": 1}),
            ("missing", {}),
            ("a/missing/too", {}),
        ],
    )
    def test_a_branch_is_found_by_path(self, path: str, found: Tree) -> None:
        """A JSON object counts as a branch; a missing branch is an empty one."""
        assert found == branch(self.TREE, path)

    @pytest.mark.parametrize(("path", "at"), [("text", "text"), ("a/b/c", "a/b/c"), ("a/b/c/d", "a/b/c")])
    def test_a_value_is_no_branch(self, path: str, at: str) -> None:
        """The error names where the value is."""
        with pytest.raises(ConflictError, match=f"'{at}': a branch was asked for, and a single value is there"):
            branch(self.TREE, path)

    @pytest.mark.parametrize(
        ("value", "found"),
        [
            ({"a": 1}, {"a": 1}),
            ('{"a": 1}', {"a": 1}),
            ("text", None),
            (b"{}", None),
            ([1], None),
            (None, None),
            (Traced("text", Origin("/k", "", 1)), None),
            (Traced('{"a": 1}', Origin("/k", "", 1)), {"a": Traced(1, Origin("/k", "", 1, "a"))}),
        ],
    )
    def test_objects_are_found_in_values(self, value: object, found: object) -> None:
        """In branches, JSON texts and traced ones."""
        assert found == object_in(value)


class TestOrigins:
    """Every value tells where it came from, and what it shadows."""

    SNAPSHOT = make_layers(
        {
            "common/": {
                "db.json": '{"host": "low", "pool": {"min": 1, "max": 2}}',
                "level": "info",
                "hosts.json": '[{"name": "a"}, {"name": "b"}]',
            },
            "app/": {"db": '{"host": "mid", "user": "u"}', "db/host": "high", "level": "debug"},
        }
    )

    @staticmethod
    def at(path: str, inside: str = "") -> Origin:
        layer = path.partition("/")[0] + "/"
        return Origin(f"/config/app/{path}", layer, 1, inside)

    @pytest.mark.parametrize(
        ("path", "winner", "shadowed"),
        [
            ("level", ("app/level",), [("common/level",)]),
            ("db/host", ("app/db/host",), [("app/db", "host"), ("common/db.json", "host")]),
            ("db/user", ("app/db", "user"), []),
            ("db/pool/max", ("common/db.json", "pool/max"), []),
            ("/db/pool//max/", ("common/db.json", "pool/max"), []),
            ("hosts", ("common/hosts.json",), []),
            ("hosts/1/name", ("common/hosts.json", "1/name"), []),
            ("db/pool", None, []),
            ("db", None, []),
            ("db.json", None, []),
            ("hosts.json", None, []),
            ("missing", None, []),
            ("hosts/2", None, []),
            ("level/deeper", None, []),
            ("", None, []),
        ],
    )
    def test_winner_and_losers_are_told(
        self, path: str, winner: tuple[str, str] | None, shadowed: list[tuple[str, str]]
    ) -> None:
        """The nearest loser first; a branch, and nothing, have no origin."""
        assert Explanation(
            "/".join(name for name in path.split("/") if name),
            self.at(*winner) if winner else None,
            tuple(self.at(*place) for place in shadowed),
        ) == explain(self.SNAPSHOT, path)

    def test_within_a_layer_the_deeper_base_is_nearer(self) -> None:
        """It wins over the one above it, so it comes first among the losers."""
        snapshot = make_layers({"x/": {"a": '{"b": {"c": 1}}', "a/b": '{"c": 2}', "a/b/c": "3"}})

        assert Explanation("a/b/c", self.at("x/a/b/c"), (self.at("x/a/b", "c"), self.at("x/a", "b/c"))) == explain(
            snapshot, "a/b/c"
        )

    def test_a_text_under_a_branch_is_told_as_shadowed(self) -> None:
        """There is no single winner, but somebody's value does not count."""
        snapshot = make_layers({"low/": {"db": "off"}, "high/": {"db/host": "x"}})

        assert Explanation("db", None, (self.at("low/db"),)) == explain(snapshot, "db")

    def test_a_branch_under_a_text_is_told_where_it_has_values(self) -> None:
        """``db`` has become a text, so ``db/host`` has no value any more."""
        snapshot = make_layers({"low/": {"db/host": "x"}, "high/": {"db": "off"}})

        assert Explanation("db/host", None, (self.at("low/db/host"),)) == explain(snapshot, "db/host")
        assert Explanation("db", self.at("high/db"), ()) == explain(snapshot, "db")

    def test_the_revision_is_the_entrys(self) -> None:
        """It tells when the key was last written, not when it was read."""
        snapshot = Snapshot({"": {"a": make_entry("a", "1", revision=5)}}, 9)

        assert Explanation("a", Origin("/config/app/a", "", 5), ()) == explain(snapshot, "a")

    def test_explaining_raises_what_building_raises(self) -> None:
        """Nobody can tell where a value came from in a tree that does not exist."""
        with pytest.raises(ConflictError, match="they land on one path"):
            explain(make_snapshot({"db": "", "db.json": "{}"}), "other")

    def test_traced_trees_are_the_trees_with_origins(self) -> None:
        """A list is one leaf; an empty branch has none."""
        snapshot = make_snapshot({"a.json": '{"b": [1], "c": {}}', "a/d": b"\xff", "e/f": "1"})

        assert [
            {
                "a": {
                    "b": Traced([1], Origin("/config/app/a.json", "", 1, "b")),
                    "c": {},
                    "d": Traced(b"\xff", Origin("/config/app/a/d", "", 1)),
                },
                "e": {"f": Traced("1", Origin("/config/app/e/f", "", 1))},
            }
        ] == traced_trees(snapshot)

    def test_a_traced_leaf_does_not_show_its_value(self) -> None:
        """It may meet a log on its way."""
        assert "hunter2" not in repr(Traced("hunter2", Origin("/k", "", 1)))


def test_plain_entries_and_a_stores_rows_make_the_same_tree() -> None:
    """Whoever makes a snapshot by hand gets what etcd would have given."""
    values: Values = {"a": '{"x": 1}', "a/b": "1", "c.json": "[1]", "d/": "", "e": b"\xff", "\udcff": "2"}
    plain = {path: make_entry(path, value) for path, value in values.items()}

    assert build(Snapshot({"": make_entries(values)}, 1)) == build(Snapshot({"": plain}, 1))

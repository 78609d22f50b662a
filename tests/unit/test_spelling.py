"""Python values are spelled as text that reads back."""

from __future__ import annotations

import datetime as dt
import enum
import json
from collections import OrderedDict
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest

from etcd_settings.errors import ConfigurationError
from etcd_settings.spelling import as_text, flatten, spell, unspell
from etcd_settings.tree import build
from tests.making import make_snapshot


class Colour(enum.StrEnum):
    RED = "red"


class OldColour(str, enum.Enum):  # noqa: UP042  # `str` of its members is not their text
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Odd(float):
    def __repr__(self) -> str:  # as numpy's have it
        return f"Odd({float(self)})"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", "text"),
        ("", ""),
        ("5432", "5432"),
        ('{"a": 1}', '{"a": 1}'),
        (" größe\n", " größe\n"),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        (0, "0"),
        (-(10**30), "-1" + "0" * 30),
        (1.5, "1.5"),
        (1e300, "1e+300"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (float("-inf"), "-inf"),
        (Odd("inf"), "inf"),
        (Decimal("1.10"), "1.10"),
        (dt.date(2024, 2, 29), "2024-02-29"),
        (dt.time(7, 32, 1), "07:32:01"),
        (dt.datetime(1979, 5, 27, 7, 32, tzinfo=dt.UTC), "1979-05-27T07:32:00+00:00"),
        ([], "[]"),
        ([1, "a", None, [True]], '[1, "a", null, [true]]'),
        ((1, 2), "[1, 2]"),
        ({"b", "a"}, '["a", "b"]'),
        (["größe"], '["größe"]'),
        ([{"b": 1, "a": 2}], '[{"a": 2, "b": 1}]'),
        ([MappingProxyType({"a": dt.date(2024, 2, 29)})], '[{"a": "2024-02-29"}]'),
        ([Decimal("1.10"), b"text"], '["1.10", "text"]'),
        ({}, "{}"),
        ({"a": {"b": 1}}, '{"a": {"b": 1}}'),
        (b"text", "text"),
        (b"\xff", b"\xff"),
        (Colour.RED, "red"),
        (OldColour.RED, "red"),
        (Level.HIGH, "3"),
    ],
)
def test_a_value_is_spelled(value: object, text: str | bytes) -> None:
    """Strings as they are, what TOML knows as TOML's readers expect it, everything else as JSON."""
    assert text == spell(value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (object(), "has no spelling, being or holding something unusual (its type is object)"),
        ([object()], "(its type is list)"),
        ([b"\xff"], "has no spelling"),
        ([{("hunter2",): 1}], "has no spelling"),
        (1j, "(its type is complex)"),
        ([float("nan")], "holds a number that JSON has no word for"),
        (10**5000, "holds a number that JSON has no word for"),
        ("hunter2\ud800", "holds half of a surrogate pair"),
        (["hunter2\ud800"], "holds half of a surrogate pair"),
    ],
    ids=[
        *("an object", "an object in a list", "odd bytes in a list", "an odd name", "a complex number"),
        *("not-a-number in a list", "a huge number", "half a pair", "half a pair in a list"),
    ],
)
def test_a_value_without_a_spelling_is_refused(value: object, reason: str) -> None:
    """The error tells why and where, does not show the value, and neither does its context."""
    with pytest.raises(ConfigurationError) as caught:
        spell(value, where="a/b")

    error = caught.value
    assert "a/b" == error.subject
    assert str(error).startswith("The value of 'a/b' ")
    assert reason in str(error)
    assert "hunter2" not in f"{error} {error!r} {vars(error)}"
    assert (None, None) == (error.__context__, error.__cause__)


def test_a_value_that_holds_itself_is_refused() -> None:
    """No text stands for it."""
    ring: list[object] = []
    ring.append(ring)

    with pytest.raises(ConfigurationError, match="nested too deeply"):
        spell(ring)


def test_a_tree_becomes_paths() -> None:
    """One path for each leaf; a list is one leaf."""
    tree = {"debug": True, "db": {"host": "x", "ports": [1, 2], "pool": OrderedDict(size=5)}}

    assert {"debug": "true", "db/host": "x", "db/ports": "[1, 2]", "db/pool/size": "5"} == flatten(tree)


def test_an_empty_tree_has_no_paths() -> None:
    """It says nothing, so nothing is written."""
    assert {} == flatten({})


def test_an_empty_table_is_kept_as_a_document() -> None:
    """It reads back as a table, also under a name that looks like a document's."""
    tree = {"a": {}, "b": {"c": {}}, "a.json": {}, "l": []}

    flat = flatten(tree)

    assert {"a.json": "{}", "b/c.json": "{}", "a.json.json": "{}", "l": "[]"} == flat
    assert {"a": {}, "b": {"c": {}}, "a.json": {}, "l": "[]"} == build(make_snapshot(flat))


def test_a_table_may_be_named_like_a_document() -> None:
    """Only a last segment's suffix counts."""
    assert {"a.json/b": "1"} == flatten({"a.json": {"b": 1}})


@pytest.mark.parametrize(
    ("tree", "path", "reason"),
    [
        ({"": 1}, "", "it has an empty name"),
        ({"a": {"": {"b": 1}}}, "a/", "it has an empty name"),
        ({"a": {"b/c": 1}}, "a/b/c", "the name 'b/c' holds a slash"),
        ({"a/b": {"c": 1}}, "a/b", "the name 'a/b' holds a slash"),
        ({"a.json": "{}"}, "a.json", "its value would not read back as text"),
        ({"a": {"b.yml": 1}}, "a/b.yml", "its value would not read back as text"),
        ({"a": {8080: "x"}}, "a/8080", "this one is of type int"),
        ({"a\ud800": 1}, "a\ud800", "its name holds half of a surrogate pair"),
        ({"\udcc3\udca9": 1}, "\udcc3\udca9", "its name holds half of a surrogate pair"),
    ],
    ids=repr,
)
def test_a_name_that_would_not_read_back_is_refused(tree: dict[str, object], path: str, reason: str) -> None:
    """Before anything is written, with the path and the reason."""
    with pytest.raises(ConfigurationError) as caught:
        flatten(tree)

    assert path == caught.value.subject
    assert f"{path!r} cannot be a key: " in str(caught.value)
    assert reason in str(caught.value)


def test_a_name_of_odd_bytes_survives() -> None:
    """What `build` makes of a key that is no UTF-8 can be written again."""
    assert {"\udcff": "1"} == flatten({"\udcff": 1})


def test_all_that_is_wrong_with_a_tree_is_told_at_once() -> None:
    """Names and values, above and below one another."""
    with pytest.raises(ConfigurationError) as caught:
        flatten({"a/b": {"": 1, "c": object()}, "fine": 1, "d.toml": object()})

    assert ["a/b", "a/b/", "a/b/c", "d.toml", "d.toml"] == [
        getattr(problem, "subject", None) for problem in caught.value.problems
    ]


def test_trees_from_different_places_compare_as_text() -> None:
    """A number in a document and its text under a key are the same setting; so are tables, in any order."""
    document = build(make_snapshot({"db.json": '{"port": 5432, "hosts": ["a"], "on": true, "none": null, "t": {}}'}))
    keys = build(
        make_snapshot({"db/port": "5432", "db/hosts": '["a"]', "db/on": "true", "db/none": "null", "db/t.json": "{}"})
    )

    assert document != keys
    assert as_text(document) == as_text(keys)


def test_whatever_a_document_holds_can_be_compared() -> None:
    """Dates, sets, binaries and not-a-number come out of YAML, and must not break a comparison."""
    text = "day: 2024-02-29\nset: !!set {b, a}\nbin: !!binary /w==\nnan: .nan\npairs: !!pairs [a: 1]\n1: one"

    assert {
        "day": "2024-02-29",
        "set": '["a", "b"]',
        "bin": b"\xff",
        "nan": "nan",
        "pairs": '[["a", 1]]',
        "1": "one",
    } == as_text(build(make_snapshot({"x.yaml": text}))["x"])


def test_a_list_is_json_for_everybody() -> None:
    """Any JSON reader gets the same list."""
    value = [1, -2.5, 'a"b\\c\n\u2028', None, True, {"k": []}]

    text = spell(value)

    assert isinstance(text, str)
    assert value == json.loads(text)


def test_paths_may_start_below_a_branch() -> None:
    """Errors name the whole path too."""
    assert {"db/pool/size": "5"} == flatten({"size": 5}, below="db/pool/")
    with pytest.raises(ConfigurationError, match=r"'db/a\.json' cannot be a key"):
        flatten({"a.json": 5}, below="db/")


def test_whatever_cannot_be_compared_is_told_at_once() -> None:
    """Each with its path."""
    with pytest.raises(ConfigurationError) as caught:
        as_text({"a": {"b": object(), "fine": 1}, "c": object()})

    assert ["a/b", "c"] == [getattr(problem, "subject", None) for problem in caught.value.problems]


@pytest.mark.parametrize("text", ["01", "[1,2]", '{"a": 1}', r'["\ud83d"]', "NaN", "[" * 100_000], ids=len)
def test_what_would_be_spelled_in_another_way_stays_a_text(text: str) -> None:
    """Or would not be spelled at all."""
    assert text == unspell(text)


def test_what_is_nested_too_deeply_is_refused() -> None:
    """With a word for it, and no error of Python's."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ConfigurationError, match="nested too deeply"):
        spell(deep)

"""Documents are read by their suffix, and what does not parse is told without quoting it."""

from __future__ import annotations

import datetime as dt
import sys

import pytest

from etcd_settings.documents import SUFFIXES, json_object, parse, render, split_suffix
from etcd_settings.errors import ConfigurationError, DecodeError
from tests.making import make_entry


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("db.json", '{"ports": [1, 2], "on": true, "off": null}', {"ports": [1, 2], "on": True, "off": None}),
        ("db.toml", 'host = "db1"\npool.size = 3\nratio = 0.5', {"host": "db1", "pool": {"size": 3}, "ratio": 0.5}),
        ("db.yaml", "host: db1\nports: [1, 2]\nup: yes", {"host": "db1", "ports": [1, 2], "up": True}),
        ("db.yml", "a: 1", {"a": 1}),
        ("list.json", "[1, 2]", [1, 2]),
        ("number.json", "3", 3),
        ("null.json", "null", None),
        ("nothing.toml", "", {}),
        ("nothing.yaml", "", None),
        ("dates.toml", "day = 2024-02-29", {"day": dt.date(2024, 2, 29)}),
        ("deep/down/db.json", "{}", {}),
    ],
)
def test_a_document_is_read_by_its_suffix(path: str, text: str, value: object) -> None:
    """JSON, TOML and YAML give what their own readers give."""
    assert value == parse(path, make_entry(path, text))


@pytest.mark.parametrize(
    ("path", "text", "expected", "position"),
    [
        ("a.json", '{"password": "hunter2",\n]', "JSON", "line 2, column 1"),
        ("a.json", "", "JSON", "line 1, column 1"),
        ("a.json", '{"hunter2": NaN}', "JSON", None),
        ("a.json", "[" * 100_000, "JSON", "nested too deeply"),
        ("a.toml", 'password = "hunter2', "TOML", None),
        ("a.toml", "a = 1\nb = hunter2", "TOML", "line 2, column 5"),
        ("a.yaml", "a: hunter2\n\tb: 1", "YAML", "line 2, column 1"),
        ("a.yaml", "a: !!python/object:hunter2.Hunter {}", "YAML", "line 1, column 4"),
        ("a.yaml", "a: !!timestamp hunter2", "YAML", None),
        ("a.yaml", "8080: hunter2\n'8080': b", "YAML", None),
        ("a.yaml", "&hunter2 [*hunter2]", "YAML", "nested too deeply"),
        ("a.json", b'{"hunter2": "\xff"}', "UTF-8 text", "byte 13"),
    ],
)
def test_a_broken_document_is_told_by_key_and_place(
    path: str, text: str | bytes, expected: str, position: str | None
) -> None:
    """The error says which format was promised and where it fails, and neither it nor its context quotes the text."""
    with pytest.raises(DecodeError) as caught:
        parse(path, make_entry(path, text))

    error = caught.value
    assert (f"/config/app/{path}", expected, position) == (error.key, error.expected, error.position)
    assert "hunter2" not in f"{error} {error!r} {vars(error)}"
    assert (None, None) == (error.__context__, error.__cause__)


def test_yaml_without_pyyaml_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stores YAML is told what to install, and at which key."""
    monkeypatch.setitem(sys.modules, "yaml", None)

    with pytest.raises(ConfigurationError, match=r"a\.yaml' is .* `pip install 'etcd-settings\[yaml\]'`") as e:
        parse("a.yaml", make_entry("a.yaml", "a: 1"))

    assert "/config/app/a.yaml" == e.value.subject
    assert e.value.__context__ is None


def test_names_in_yaml_are_text() -> None:
    """A tree's names are texts, and YAML's may be numbers, booleans, dates and nulls, at any depth."""
    text = "8080: web\ntrue: yes it is\nlist: [{1.5: x}]\n2024-02-29: leap\n~: nothing"

    assert {
        "8080": "web",
        "true": "yes it is",
        "list": [{"1.5": "x"}],
        "2024-02-29": "leap",
        "null": "nothing",
    } == parse("a.yaml", make_entry("a.yaml", text))


def test_aliases_in_yaml_are_walked_once() -> None:
    """Thirty lines that stand for 2**30 nodes are read at once, and not for minutes."""
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 31)]

    tree = parse("a.yaml", make_entry("a.yaml", "\n".join(lines)))

    assert ["x"] == tree["a0"]
    assert tree["a30"][0] is tree["a30"][1]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_suffix_is_split_off(suffix: str) -> None:
    """Stem and suffix make the name again."""
    assert ("a.b", suffix) == split_suffix(f"a.b{suffix}")


@pytest.mark.parametrize("name", ["a", "a.txt", "json", "a.JSON", ""])
def test_any_other_name_has_no_suffix(name: str) -> None:
    """Case counts, as everywhere in etcd."""
    assert (name, "") == split_suffix(name)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}', {"a": 1}),
        (' \n{"a": {}} ', {"a": {}}),
        ("{}", {}),
        ("[1]", None),
        ("", None),
        ("{", None),
        ("{name} is a template", None),
        ('{"a": Infinity}', None),
        ('{"a":' * 100_000, None),
    ],
)
def test_a_text_may_be_a_json_object(text: str, found: object) -> None:
    """Only a whole, valid object counts; everything else is just a text."""
    assert found == json_object(text)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_rendered_reads_back(suffix: str) -> None:
    """In each format, types and order included."""
    value = {"text": "ü\n\x85", "on": True, "number": -5, "list": [1, "a"], "table": {"empty": {}}}

    text = render(f"a{suffix}", value)

    assert text is not None
    assert "\x85" not in text  # a terminal may obey it
    back = parse(f"a{suffix}", make_entry(f"a{suffix}", text))
    assert (value, [*value]) == (back, [*back])


def test_json_keeps_its_lines() -> None:
    """A document that somebody laid out in lines stays in lines, and one in a single line stays there."""
    assert '{"a": 1}' == render("x.json", {"a": 1}, like='{"a": 2}\n')
    assert '{\n  "a": 1\n}' == render("x.json", {"a": 1}, like='{\n"a": 2\n}')


@pytest.mark.parametrize(
    ("path", "value"),
    [("x.toml", {"a": None}), ("x.toml", [1]), ("x.json", {"a": b"\xff"}), ("x", float("nan")), ("x.yaml", object())],
    ids=repr,
)
def test_what_a_format_cannot_say_is_not_rendered(path: str, value: object) -> None:
    """There is no text then, and whoever asked has another way."""
    assert render(path, value) is None


@pytest.mark.parametrize(("suffix", "module", "extra"), [("toml", "tomli_w", "cli"), ("yaml", "yaml", "yaml")])
def test_a_missing_writer_is_named(monkeypatch: pytest.MonkeyPatch, suffix: str, module: str, extra: str) -> None:
    """With the extra that brings it."""
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(ConfigurationError, match=rf"Writing 'x.{suffix}' .*etcd-settings\[{extra}\]") as caught:
        render(f"x.{suffix}", {"a": 1})

    assert (None, None) == (caught.value.__cause__, caught.value.__context__)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'{"\ud83d\ude00": "a \ud83d\ude00"}', {"\U0001f600": "a \U0001f600"}),
        ("a: !!binary aGk=", {"a": "hi"}),
        ("a: !!binary //4=", {"a": b"\xff\xfe"}),
    ],
)
def test_yaml_gives_what_other_formats_give(text: str, value: object) -> None:
    """One character for the pair of escapes that JSON writes, and text for bytes that are one."""
    assert value == parse("a.yaml", make_entry("a.yaml", text))

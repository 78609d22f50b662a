"""Laws of files that are written from what etcd holds: pushed again, they move nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from etcd_settings.documents import parse
from etcd_settings.fitting.descent import nulls_as_text, typed
from etcd_settings.publish import plan
from etcd_settings.publish.exporting import export
from etcd_settings.spelling import as_text
from etcd_settings.tree import build
from tests.making import make_entry, make_snapshot
from tests.strategies import Values, held_entries, lists, scalars, texts, trees

CONTROLS = {chr(code) for code in [*range(9), *range(11, 32), *range(127, 160)]}
suffixes = st.sampled_from([".toml", ".json", ".yaml"])


def is_text(values: Values) -> bool:
    try:
        for path, value in values.items():
            path.encode()
            value.decode()
    except UnicodeError:
        return False
    return True


def read(file: str, suffix: str) -> dict[str, Any]:
    found: dict[str, Any] = parse(suffix, make_entry(suffix, file))
    return found


@given(values=held_entries.filter(is_text), suffix=suffixes)
@example(values={"a.json": b'{"x": null, "y": [null], "z": 1}'}, suffix=".toml")
@example(values={"a.toml": b"x = 1979-05-27\ny = inf\nz = 07:32:00"}, suffix=".json")
@example(values={"a.toml": b"x = 07:32:00\ny = [07:32:00]"}, suffix=".yaml")
@example(values={"a.yaml": b"8080: !!set {a, b}\nx: &l [1]\ny: *l"}, suffix=".toml")
@example(values={"a": "\x7f\x85\u2028\ufeff\r\n ".encode()}, suffix=".yaml")
def test_a_file_of_what_etcd_holds_moves_nothing(values: Values, suffix: str) -> None:
    """In every format, whatever documents it came from and whatever the format lacks words for."""
    snapshot = make_snapshot(values)

    file = export(build(snapshot), suffix)

    assert () == plan(snapshot, read(file, suffix), prune=True).edits


@given(tree=trees(scalars | lists), suffix=suffixes)
def test_a_file_holds_the_tree_that_went_in(tree: dict[str, Any], suffix: str) -> None:
    """As text; and no terminal finds anything in it to obey."""
    file = export(tree, suffix)

    assert as_text(tree) == as_text(read(file, suffix))
    assert not CONTROLS & set(file)


def test_what_a_format_has_words_for_keeps_its_type() -> None:
    """What it has none for is a text, and nothing beside it is."""
    tree = {"a": {"null": None, "number": 1, "list": [True, None]}, "b": [2.5], "c": {}}

    assert {**tree, "a": {"null": "null", "number": 1, "list": "[true, null]"}} == read(export(tree, ".toml"), ".toml")
    assert tree == read(export(tree, ".json"), ".json")
    assert export(tree, ".json").endswith("\n}\n")
    assert tree == read(export(tree, ".yaml"), ".yaml")


class Inner(BaseModel):
    size: int
    name: str


class Model(BaseModel):
    text: str
    secret: SecretStr
    number: int | None
    ratio: float
    debug: bool
    hosts: list[str]
    ports: dict[str, int]
    inner: Inner


spellings = texts | st.sampled_from(["1", "01", "1.0", "1e3", "true", "True", "null", "[1, 2]", "[1,2]", '{"a": 1}'])


@given(
    tree=st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(Model.model_fields, spellings),
            "ports": st.dictionaries(texts, spellings, max_size=2),
            "Inner": st.dictionaries(st.sampled_from(["size", "NAME", "other"]), spellings, max_size=2),
        },
    )
)
def test_types_do_not_change_what_is_spelled(tree: dict[str, Any]) -> None:
    """A tree with the types of a class is the same as text; nothing that wants a text is anything else."""
    found = typed(tree, Model)

    assert as_text(tree) == as_text(found)
    assert all(isinstance(found.get(name, ""), str) for name in ("text", "secret"))
    assert all(isinstance(text, str) for name, text in found.get("Inner", {}).items() if name != "size")


class Named(BaseModel):
    size: str


class Either(BaseModel):
    part: Inner | Named


def test_what_one_of_several_types_wants_as_a_text_stays_one() -> None:
    """Nobody knows which of them it will be."""
    tree = {"part": {"size": "1"}}

    assert tree == typed(tree, Either)
    assert ["part/size"] == nulls_as_text({"part": {"size": None}}, Either)


class Rooted(BaseModel):
    model_config = {"etcd_path": "services/orders"}  # type: ignore[typeddict-unknown-key]  # as EtcdBaseSettings has it

    port: int


def test_types_begin_where_the_class_reads() -> None:
    """What is beside its branch, or in the way of it, stays a text; what has a type already keeps it."""
    tree = {"port": "1", "services": {"port": "1", "orders": {"port": "1"}}}
    found = typed(tree, Rooted)

    assert {**tree, "services": {"port": "1", "orders": {"port": 1}}} == found == typed(found, Rooted)
    assert {"services": "1"} == typed({"services": "1"}, Rooted)

"""What differs between two states of the settings is named by field paths."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, RootModel, SecretStr

from etcd_settings import Change
from etcd_settings.live.changes import changed_paths

names = st.text("abc", min_size=1, max_size=2)
leaves = st.integers(0, 2)
branches = st.recursive(leaves, lambda below: st.dictionaries(names, below, max_size=3), max_leaves=6)
trees = st.dictionaries(names, branches, max_size=3)


class Inner(BaseModel):
    x: int = 1
    secret: SecretStr = SecretStr("a")


class Other(BaseModel):
    x: int = 1


class Table(RootModel[dict[str, int]]):
    pass


@dataclass
class Record:
    name: str = "n"
    inner: Inner = field(default_factory=Inner)
    ignored: int = field(default=0, compare=False)


class Outer(BaseModel, extra="allow"):
    inner: Inner | Other | None = Inner()
    table: Table = Table({})
    record: Record = field(default_factory=Record)
    many: list[Inner] = []
    by_name: dict[str, Inner] = {}
    ratio: float = 0.0


@pytest.mark.parametrize(
    ("new", "paths"),
    [
        (Outer(), set()),
        (Outer(inner=Inner(x=2)), {"inner.x"}),
        (Outer(inner=Inner(secret=SecretStr("b"))), {"inner.secret"}),
        (Outer(inner=None), {"inner"}),
        (Outer(inner=Other()), {"inner"}),
        (Outer(table=Table({"a": 1})), {"table.a"}),
        (Outer(record=Record("m", Inner(x=3))), {"record.name", "record.inner.x"}),
        (Outer(record=Record(ignored=1)), set()),
        (Outer(many=[Inner()]), {"many"}),
        (Outer(by_name={"a": Inner()}), {"by_name.a"}),
        (Outer(ratio=float("nan")), {"ratio"}),
        (Outer(added=1), {"added"}),  # type: ignore[call-arg]  # it allows extra ones
    ],
)
def test_models_dataclasses_and_mappings_are_gone_through(new: Outer, paths: set[str]) -> None:
    """Everything else, lists included, is one value."""
    assert paths == changed_paths(Outer(), new)


def test_nan_did_not_change() -> None:
    """It is not equal to itself, and yet the same."""
    assert frozenset() == changed_paths({"a": float("nan")}, {"a": float("nan")})


@pytest.mark.parametrize("value", [1, "text", (1, 2)])
def test_settings_that_are_one_value(value: object) -> None:
    """The path of all of it is empty, and everything is within."""
    paths = changed_paths(0, value)

    assert {""} == paths
    assert Change(0, value, paths, 1).touches("anything")


def test_a_value_that_cannot_be_compared_has_changed() -> None:
    """An ``__eq__`` that raises is no reason to overlook a change."""

    class Odd:
        def __eq__(self, other: object) -> bool:
            raise ValueError

        __hash__ = None  # type: ignore[assignment]

    assert {"a"} == changed_paths({"a": Odd()}, {"a": Odd()})


@pytest.mark.parametrize(
    ("path", "touched"),
    [("a.b", True), ("a", True), ("a.b.c", True), ("a.bc", False), ("a.c", False), ("b", False)],
)
def test_a_change_touches_what_is_above_and_below(path: str, touched: bool) -> None:
    """Names are compared whole."""
    assert touched is Change(None, None, frozenset({"a.b"}), 1).touches(path)


@given(old=trees, new=trees)
def test_there_are_paths_if_and_only_if_something_differs(old: dict[str, Any], new: dict[str, Any]) -> None:
    """And swapping the two names the same paths."""
    paths = changed_paths(old, new)

    assert (old == new) == (not paths)
    assert paths == changed_paths(new, old)


def test_a_cached_property_is_no_setting() -> None:
    """Pydantic keeps it beside the fields once it was asked for; that changes nothing."""

    class Model(BaseModel):
        host: str

        @cached_property
        def url(self) -> str:
            return f"http://{self.host}"

    old, new = Model(host="a"), Model(host="a")
    assert "http://a" == old.url

    assert frozenset() == changed_paths(old, new)

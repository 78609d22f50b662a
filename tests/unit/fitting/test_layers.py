"""Layers: names are folded in each, then the layers are laid over each other, and what they mean is the tree's rule."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AliasChoices, AliasPath, BaseModel, Field

from etcd_settings.errors import EtcdSettingsError
from etcd_settings.fitting import load
from etcd_settings.fitting.loading import target_for
from etcd_settings.nodes import Traced
from etcd_settings.tree import build
from tests.unit.fitting.snapshots import snapshot


class Inner(BaseModel):
    max_size: int = 0
    name: str = ""


class Settings(BaseModel):
    host: str = Field(default="", validation_alias=AliasChoices("host", "hostname", AliasPath("hosts", 0)))
    inner: Inner = Inner()
    by_name: dict[str, Inner] = {}
    tags: list[str] = []
    plain: dict[str, Any] = {}


@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [
        ({"inner/name": "a"}, {"inner/max_size": "1"}, Inner(name="a", max_size=1)),
        ({"inner/name": "a", "inner/max-size": "1"}, {"Inner/MAX_SIZE": "2"}, Inner(name="a", max_size=2)),
        ({"inner": '{"NAME": "a", "Max-Size": 1}'}, {"inner/max_size": "2"}, Inner(name="a", max_size=2)),
        ({"inner/name": "a"}, {"inner": '{"max_size": 2}'}, Inner(max_size=2)),
        ({"inner.json": '{"NAME": "a"}'}, {"inner.toml": "max-size = 2"}, Inner(name="a", max_size=2)),
        ({"inner": "not json"}, {"inner/max_size": "2"}, Inner(max_size=2)),
        ({"inner": "not json"}, {"inner": '{"max_size": 2}'}, Inner(max_size=2)),
    ],
)
def test_layers_merge_by_field_whatever_each_calls_it(
    lower: dict[str, str], upper: dict[str, str], expected: Inner
) -> None:
    """Branches merge; a text above a branch replaces it, and one below is its base if it is a JSON object."""
    assert expected == load(Settings, snapshot(lower, upper)).inner


def test_a_text_in_between_hides_what_is_below_it() -> None:
    """Three layers, the middle one a text: the branch on top stands on the text alone."""
    held = snapshot({"inner/name": "a"}, {"inner": '{"MAX_SIZE": 1}'}, {"inner/max-size": "2"})

    assert Inner(max_size=2) == load(Settings, held).inner


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        ({"host": "lower"}, {"HOSTNAME": "upper"}),
        ({"hostname": "lower"}, {"host": "upper"}),
        ({"host": "lower"}, {"hosts/0": "upper"}),
        ({"hosts": '["lower"]'}, {"Host": "upper"}),
    ],
)
def test_the_higher_layer_wins_by_whichever_alias(lower: dict[str, str], upper: dict[str, str]) -> None:
    """Which of its choices a field comes by matters within a layer only."""
    assert load(Settings, snapshot(lower, upper)).host == "upper"


def test_dicts_of_models_merge_key_by_key() -> None:
    """Keys of a dict are exact, and the models below them merge by field."""
    held = snapshot(
        {"by_name/Main/name": "a", "by_name/Main/max_size": "1", "by_name/main/name": "b"},
        {"by-name/Main/MAX-SIZE": "2", "by-name/New": '{"NAME": "c"}'},
    )

    expected = {"Main": Inner(name="a", max_size=2), "main": Inner(name="b"), "New": Inner(name="c")}
    assert expected == load(Settings, held).by_name


@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [
        ({"tags/0": "a", "tags/1": "b"}, {"tags/1": "c"}, ["a", "c"]),
        ({"tags/0": "a", "tags/1": "b"}, {"tags/2": "c"}, ["a", "b", "c"]),
        ({"tags/0": "a", "tags/1": "b"}, {"tags": '["c"]'}, ["c"]),
        ({"tags": '["a", "b"]'}, {"tags/0": "c"}, ["c"]),
        ({"tags.json": '["a", "b"]'}, {"tags.json": '["c"]'}, ["c"]),
    ],
)
def test_lists_merge_by_index_and_texts_replace_them(
    lower: dict[str, str], upper: dict[str, str], expected: list[str]
) -> None:
    """Children by index merge by path; a list from JSON is replaced whole."""
    assert expected == load(Settings, snapshot(lower, upper)).tags


NAMES = st.sampled_from(["a", "b", "0", "1"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TEXTS = st.sampled_from(["x", "1", "null", "", '{"a": "y"}', '{"a": {"b": "z"}, "0": 1}', "[1]", "{broken"])
LAYERS = st.lists(st.dictionaries(PATHS, TEXTS, max_size=5), min_size=1, max_size=3)


@pytest.mark.parametrize("kind", [Any, dict[str, Any]])
@given(layers=LAYERS)
def test_without_types_it_is_the_tree(kind: Any, layers: list[dict[str, str]]) -> None:
    """What a type says nothing about is exactly what the tree says, however many layers there are."""
    held = snapshot(*layers)
    try:
        expected = build(held)
    except EtcdSettingsError:
        with pytest.raises(EtcdSettingsError):
            target_for(kind).fit(held)
        return

    assert expected == (target_for(kind).fit(held) if any(layers) else {})


class Recursive(BaseModel):
    a: Recursive | str | None = None
    b: dict[str, Recursive | str] | str = ""
    children: list[Recursive] = Field(default=[], validation_alias="0")


@given(layers=LAYERS)
def test_the_thorough_way_finds_what_the_fast_way_finds(layers: list[dict[str, str]]) -> None:
    """Both ways stop at the same snapshots, and where none stops, their trees have the same shape."""
    held, target = snapshot(*layers), target_for(Recursive)
    try:
        fast = target.fit(held)
    except EtcdSettingsError:
        with pytest.raises(EtcdSettingsError):
            target.trace(held)
        return

    assert _names(fast) == _names(target.trace(held))


def _names(value: Any) -> Any:
    match value:
        case Traced():
            return _names(value.value)
        case dict():
            return {name: _names(child) for name, child in value.items()}
        case list():
            return [_names(child) for child in value]
        case _:
            return None

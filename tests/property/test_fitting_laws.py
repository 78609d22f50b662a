"""However a configuration is spelled in etcd, it means the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any, Literal

from hypothesis import given
from hypothesis import strategies as st
from pydantic import AliasChoices, BaseModel, Field, SecretStr

from etcd_settings.fitting import load
from etcd_settings.snapshot import Snapshot
from tests.making import make_layers


class Leaf(BaseModel):
    kind: Literal["leaf"] = "leaf"
    Text: str
    max_size: int
    flag: bool
    on_day: date | None = None


class Other(BaseModel):
    kind: Literal["other"] = "other"
    Max_Size: list[int]


class Branch(BaseModel):
    leaf: Leaf
    leaf_list: list[Leaf]
    By_Key: dict[str, Leaf]
    tags: list[str]
    numbers: dict[str, list[int]]
    pair: tuple[int, str]
    maybe: Leaf | None = None
    either: Leaf | Other | list[int]
    secret: SecretStr
    alias: int = Field(validation_alias=AliasChoices("first-name", "SecondName"))


TEXTS = st.text(st.characters(codec="utf-8"), max_size=5)
NUMBERS = st.integers(-5, 5)
KEYS = st.text("aB-_.", min_size=1, max_size=4)
LEAVES = st.builds(Leaf, Text=TEXTS, max_size=NUMBERS, flag=st.booleans(), on_day=st.none() | st.dates())
BRANCHES = st.builds(
    lambda **fields: Branch.model_validate({**fields, "first-name": fields.pop("alias")}),
    leaf=LEAVES,
    leaf_list=st.lists(LEAVES, max_size=2),
    By_Key=st.dictionaries(KEYS, LEAVES, max_size=2),
    tags=st.lists(TEXTS, max_size=3),
    numbers=st.dictionaries(KEYS, st.lists(NUMBERS, max_size=2), max_size=2),
    pair=st.tuples(NUMBERS, TEXTS),
    maybe=st.none() | LEAVES,
    either=LEAVES | st.builds(Other, Max_Size=st.lists(NUMBERS, max_size=2)) | st.lists(NUMBERS, max_size=2),
    secret=TEXTS.map(SecretStr),
    alias=NUMBERS,
)


class Writer:
    """Write a value as somebody might: as keys or as JSON, in any spelling of the names."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw

    def keys(self, path: str, value: Any) -> Iterator[tuple[str, str]]:
        """Give the entries that a value becomes; a container may be one JSON text, and an empty one must."""
        children = self.children(value)
        if children and (not path or self.draw(st.booleans())):
            for name, child in children:
                yield from self.keys(f"{path}/{name}" if path else name, child)
        else:
            plain = self.plain(value)
            yield path, plain if isinstance(plain, str) else json.dumps(plain)

    def plain(self, value: Any) -> Any:
        """Give a value as JSON can hold it."""
        children = self.children(value)
        if isinstance(value, (list, tuple)):
            return [self.plain(child) for _, child in children]
        if isinstance(value, (BaseModel, dict)):
            return {name: self.plain(child) for name, child in children}
        if isinstance(value, SecretStr):
            return value.get_secret_value()
        return value.isoformat() if isinstance(value, date) else value

    def children(self, value: Any) -> list[tuple[str, Any]]:
        match value:
            case BaseModel():
                return [(self.spelled(value, name), child) for name, child in value if child is not None]
            case dict():
                return list(value.items())
            case list() | tuple():
                return [(str(index), child) for index, child in enumerate(value)]
        return []

    def spelled(self, model: BaseModel, name: str) -> str:
        alias = type(model).model_fields[name].validation_alias
        if isinstance(alias, AliasChoices):
            name = str(self.draw(st.sampled_from(alias.choices)))
        name = self.draw(st.sampled_from([name, name.lower(), name.upper(), name.title()]))
        return name.replace("_", "-") if self.draw(st.booleans()) else name


@st.composite
def written(draw: st.DrawFn) -> tuple[Branch, Snapshot]:
    """Draw a configuration and a way to write it, each field into a layer of its own choice."""
    branch, writer = draw(BRANCHES), Writer(draw)
    layers: dict[str, dict[str, str]] = {"low/": {}, "high/": {}}
    for name, child in writer.children(branch):
        layers[draw(st.sampled_from(sorted(layers)))].update(writer.keys(name, child))
    return branch, make_layers(layers)


@given(case=written())
def test_every_spelling_of_a_configuration_loads_as_it(case: tuple[Branch, Snapshot]) -> None:
    """Keys or JSON, any case, hyphens, aliases and layers: what was written is what is loaded."""
    branch, held = case

    assert branch == load(Branch, held)

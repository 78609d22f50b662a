"""
What pydantic-settings promises of its environment source holds for keys in etcd.

Every case is loaded twice, from the environment by pydantic-settings itself and from etcd by us, with ``__`` in the
name of a variable written as ``/`` in the key; the two must agree. Where we differ on purpose, the case says what each
does; ``docs/reference/pydantic-settings.md`` says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum, IntEnum
from importlib.metadata import version
from typing import Annotated, Any, Literal, cast

import pytest
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    Field,
    HttpUrl,
    Json,
    SecretStr,
    ValidationError,
    create_model,
)
from pydantic_settings import BaseSettings, ForceDecode, NoDecode, SettingsConfigDict, SettingsError

from etcd_settings.errors import EtcdSettingsError
from etcd_settings.integrations.pydantic_settings import EtcdBaseSettings, EtcdSettingsConfigDict
from tests.integrations.holding import held


class SubSub(BaseModel):
    v3: int = 0
    Mixed: str = ""


class Sub(BaseModel):
    v1: str = ""
    v2: bytes = b""
    deep: SubSub = SubSub()
    numbers: list[int] = []
    aliased: str = Field(default="", validation_alias="Other-Name")


@dataclass
class Data:
    host: str
    port: int = 1


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    name: str


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


class Level(IntEnum):
    LOW = 1


class Number(Enum):
    ONE = 1


def comma(value: Any) -> Any:
    return value.split(",") if isinstance(value, str) else value


def from_environment(
    monkeypatch: pytest.MonkeyPatch, kind: Any, default: Any, variables: Mapping[str, str], **config: Any
) -> Any:
    class Settings(BaseSettings):
        model_config = cast("SettingsConfigDict", {"env_nested_delimiter": "__", **config})

    with monkeypatch.context() as patch:
        for name, text in variables.items():
            patch.setenv(name, text)
        return create_model("Settings", __base__=Settings, x=(kind, default))()


def from_etcd(kind: Any, default: Any, variables: Mapping[str, str], **config: Any) -> Any:
    source = held({name.replace("__", "/"): text for name, text in variables.items()})

    class Settings(EtcdBaseSettings):
        model_config = cast("EtcdSettingsConfigDict", {"etcd_url": source, **config})

    return create_model("Settings", __base__=Settings, x=(kind, default))()


SAME: list[tuple[Any, Mapping[str, str], object]] = [
    # Simple types, in any case
    (int, {"X": "5"}, 5),
    (str, {"x": ""}, ""),
    (bool, {"x": "yes"}, True),
    (date, {"x": "2032-04-23"}, date(2032, 4, 23)),
    (HttpUrl, {"x": "https://example.com"}, HttpUrl("https://example.com")),
    (SecretStr, {"x": "s"}, SecretStr("s")),
    (Literal["a", "b"], {"x": "a"}, "a"),
    (Level, {"x": "1"}, Level.LOW),
    (Literal[Level.LOW], {"x": "1"}, Level.LOW),
    (str | None, {"x": "null"}, "null"),
    # Complex types from JSON
    (list[int], {"x": "[1, 2]"}, [1, 2]),
    (set[int], {"x": "[1, 2, 2]"}, {1, 2}),
    (tuple[int, str], {"x": '[1, "a"]'}, (1, "a")),
    (dict[str, int], {"x": '{"a": 1}'}, {"a": 1}),
    (dict[str, Sub], {"x": '{"a": {"v1": "b"}}'}, {"a": {"v1": "b"}}),
    (list[Sub], {"x": '[{"v1": "b"}]'}, [{"v1": "b"}]),
    (Sub, {"x": '{"v1": "b", "deep": {"v3": 1}}'}, {"v1": "b", "deep": {"v3": 1}}),
    (Data, {"x": '{"host": "h", "port": 2}'}, {"host": "h", "port": 2}),
    (Data, {"x__host": "h"}, {"host": "h", "port": 1}),
    (Json[list[int]], {"x": "[1]"}, [1]),
    (Annotated[list[int], Field(max_length=3)], {"x": "[1]"}, [1]),
    # Nesting
    (Sub, {"x__v1": "a", "x__v2": "b", "x__deep__v3": "3"}, {"v1": "a", "v2": b"b", "deep": {"v3": 3}}),
    (Sub, {"X__V1": "a", "X__DEEP__v3": "3", "X__DEEP__MIXED": "m"}, {"v1": "a", "deep": {"v3": 3, "Mixed": "m"}}),
    (Sub, {"x": '{"V1": "a", "Deep": {"V3": 3, "mixed": "m"}}'}, {"v1": "a", "deep": {"v3": 3, "Mixed": "m"}}),
    (
        Sub,
        {"x": '{"v1": "json", "v2": "json"}', "x__v2": "nested", "x__deep__v3": "3"},
        {"v1": "json", "v2": b"nested", "deep": {"v3": 3}},
    ),
    (Sub, {"x__deep": '{"v3": 1, "Mixed": "json"}', "x__v1": "a"}, {"v1": "a", "deep": {"v3": 1, "Mixed": "json"}}),
    (Sub, {"x__numbers": "[1, 2]"}, {"numbers": [1, 2]}),
    (Sub, {"x__other-name": "a"}, {"aliased": "a"}),
    (Sub | None, {"x__v1": "a"}, {"v1": "a"}),
    (Sub | None, {"x": '{"v1": "a"}'}, {"v1": "a"}),
    (dict[str, str], {"x__a": "1", "x__b": "2"}, {"a": "1", "b": "2"}),
    (dict[str, dict[str, int]], {"x__a__b": "1", "x__a__c": "2"}, {"a": {"b": 1, "c": 2}}),
    (dict[str, list[int]], {"x__a": "[1, 2]"}, {"a": [1, 2]}),
    (dict[str, Any], {"x__a": "1"}, {"a": "1"}),
    (dict[str, str], {"x": '{"a": "json", "b": "json"}', "x__b": "nested"}, {"a": "json", "b": "nested"}),
    # Unions
    (int | list[int], {"x": "[1]"}, [1]),
    (int | list[int], {"x": "5"}, 5),
    (str | list[str], {"x": "text"}, "text"),
    (Pet, {"x__kind": "dog", "x__name": "a"}, {"kind": "dog", "name": "a"}),
    (Pet, {"x": '{"kind": "cat", "lives": 9}'}, {"kind": "cat", "lives": 9}),
    (Pet, {"x": '{"kind": "cat"}', "x__lives": "9"}, {"kind": "cat", "lives": 9}),
    (Cat | Dog, {"x__lives": "9"}, {"lives": 9}),
    (Cat | None, {"x__lives": "9"}, {"lives": 9}),
    # Decoding
    (Annotated[list[str], NoDecode, BeforeValidator(comma)], {"x": "a,b"}, ["a", "b"]),
    # Aliases
    (Annotated[int, Field(validation_alias="Y")], {"y": "1"}, 1),
    (Annotated[int, Field(alias="Y")], {"Y": "1"}, 1),
    (Annotated[int, Field(validation_alias=AliasChoices("y", "z"))], {"Z": "1"}, 1),
    (Annotated[int, Field(validation_alias=AliasChoices("y", "z"))], {"z": "2", "y": "1"}, 1),
    (Annotated[int, Field(validation_alias=AliasPath("y", 1))], {"y": "[1, 2]"}, 2),
    (Annotated[int, Field(validation_alias=AliasPath("y", "k"))], {"y": '{"k": 2}'}, 2),
    (Annotated[int, Field(validation_alias=AliasChoices("z", AliasPath("y", 1)))], {"y": "[1, 2]"}, 2),
    (Annotated[Sub, Field(validation_alias="Y")], {"y__v1": "a", "y__deep__v3": "1"}, {"v1": "a", "deep": {"v3": 1}}),
    (Annotated[Sub, Field(validation_alias=AliasChoices("z", "y"))], {"y__v1": "a"}, {"v1": "a"}),
]


newest = pytest.mark.skipif(
    tuple(map(int, version("pydantic-settings").split(".")[:2])) < (2, 16),
    reason="older ones read some of them otherwise",
)


@pytest.mark.parametrize(("kind", "variables", "expected"), SAME)
def test_keys_mean_what_variables_mean(kind: Any, variables: Mapping[str, str], expected: object) -> None:
    """Nesting, aliases, unions, decoding and merging are those of the environment."""
    assert {"x": expected} == from_etcd(kind, ..., variables).model_dump(exclude_unset=True)


@newest
@pytest.mark.parametrize(("kind", "variables", "expected"), SAME)
def test_variables_mean_what_these_cases_say(
    monkeypatch: pytest.MonkeyPatch, kind: Any, variables: Mapping[str, str], expected: object
) -> None:
    """The cases are those of pydantic-settings, and not of our wishes."""
    assert {"x": expected} == from_environment(monkeypatch, kind, ..., variables).model_dump(exclude_unset=True)


CONFIGURED: list[tuple[Any, Mapping[str, str], Mapping[str, Any], object]] = [
    (int | None, {"X": "5"}, {"case_sensitive": True}, None),
    (int | None, {"x": "5"}, {"case_sensitive": True}, 5),
    (Sub, {"x__V1": "a", "x__v2": "b"}, {"case_sensitive": True}, Sub(v2=b"b")),
    (Annotated[list[int], ForceDecode], {"x": "[1]"}, {"enable_decoding": False}, [1]),
    (Annotated[list[str], BeforeValidator(comma)], {"x": "a,b"}, {"enable_decoding": False}, ["a", "b"]),
    (int, {"x": "5"}, {"strict": True}, 5),
    (Annotated[int, Field(alias="Y")], {"x": "5"}, {"populate_by_name": True}, 5),
    (Annotated[int, Field(alias="Y")], {"y": "5", "x": "6"}, {"populate_by_name": True}, 5),
    (int, {"x": "5", "unknown": "6"}, {"extra": "forbid"}, 5),
    (int, {"x": "5", "unknown": "6"}, {"extra": "ignore"}, 5),
]


@pytest.mark.parametrize(("kind", "variables", "config", "expected"), CONFIGURED)
def test_the_configuration_means_the_same(
    kind: Any, variables: Mapping[str, str], config: Mapping[str, Any], expected: object
) -> None:
    """``case_sensitive``, ``enable_decoding``, ``strict``, ``populate_by_name`` and ``extra`` apply to keys too."""
    assert expected == from_etcd(kind, None, variables, **config).x


@newest
@pytest.mark.parametrize(("kind", "variables", "config", "expected"), CONFIGURED)
def test_the_configuration_means_what_these_cases_say(
    monkeypatch: pytest.MonkeyPatch,
    kind: Any,
    variables: Mapping[str, str],
    config: Mapping[str, Any],
    expected: object,
) -> None:
    """These too are the cases of pydantic-settings."""
    assert expected == from_environment(monkeypatch, kind, None, variables, **config).x


FAILURE = "an error"


def told(load: Callable[[], object]) -> object:
    try:
        return load()
    except (ValidationError, SettingsError, EtcdSettingsError):
        return FAILURE


DIFFERENT: dict[str, tuple[Any, Mapping[str, str], object, object]] = {
    "keys of a dict keep their case": (dict[str, int], {"x__Key": "1"}, {"key": 1}, {"Key": 1}),
    "models below mixed-case keys of a dict are filled": (
        dict[str, SubSub],
        {"x__Key__MIXED": "a"},
        {"key": SubSub()},
        {"Key": SubSub(Mixed="a")},
    ),
    "a list can be spread over keys": (list[int], {"x__0": "1", "x__1": "2"}, FAILURE, [1, 2]),
    "a hyphen is an underscore": (Sub, {"x__other_name": "a"}, Sub(), Sub.model_validate({"Other-Name": "a"})),
    "null is a value, and does not look unset": (list[int] | None, {"x": "null"}, FAILURE, None),
    "null is None where a text is no value": (int | None, {"x": "null"}, FAILURE, None),
    "two spellings of a name are an error": (Sub, {"x__v1": "a", "x__V1": "b"}, Sub(v1="b"), FAILURE),
    "a scalar with children is an error": (dict[str, str], {"x__a": "1", "x__a__b": "2"}, {"a": "1"}, FAILURE),
    "a number stays text in a union with str": (str | list[str], {"x": "5"}, FAILURE, "5"),
    "a literal need not be a text": (Literal[1, 2], {"x": "1"}, FAILURE, 1),
    "an enumeration need not be one of texts": (Number, {"x": "1"}, FAILURE, Number.ONE),
    "names in a list of models are folded": (list[SubSub], {"x": '[{"MIXED": "a"}]'}, [SubSub()], [SubSub(Mixed="a")]),
    "an untyped dict guesses nothing": (dict, {"x__a": "1.10"}, {"a": 1.1}, {"a": "1.10"}),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_where_we_differ_we_differ_on_purpose(case: str) -> None:
    """Of each deliberate difference this is our side."""
    kind, variables, _, ours = DIFFERENT[case]

    assert ours == told(lambda: from_etcd(kind, ..., variables).x)


@newest
@pytest.mark.parametrize("case", DIFFERENT)
def test_where_we_differ_upstream_does_what_we_say(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """And this is the side of pydantic-settings."""
    kind, variables, upstream, _ = DIFFERENT[case]

    assert upstream == told(lambda: from_environment(monkeypatch, kind, ..., variables).x)


def test_a_json_parent_and_its_children_come_in_any_order() -> None:
    """Upstream loses what came before its parent; here the order does not exist."""
    orders = [{"x__a": '{"k": 1}', "x__a__b": "2"}, {"x__a__b": "2", "x__a": '{"k": 1}'}]

    loaded = [from_etcd(dict[str, dict[str, int]], ..., variables).x for variables in orders]

    assert [{"a": {"k": 1, "b": 2}}] * 2 == loaded

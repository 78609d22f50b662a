"""Names: folding, aliases of every kind, and what is never folded."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from etcd_settings.errors import ConflictError
from etcd_settings.fitting import load
from etcd_settings.fitting.loading import target_for
from etcd_settings.fitting.names import FieldSpec, Table, aliases
from etcd_settings.fitting.plans import Anything
from tests.unit.fitting.snapshots import snapshot


class Inner(BaseModel):
    max_connections: int = 0
    Name: str = ""


class Settings(BaseModel):
    max_connections: int = 0
    inner: Inner = Inner()
    by_name: dict[str, Inner] = {}
    plain: dict[str, str] = {}
    many: list[Inner] = []


@pytest.mark.parametrize(
    "name", ["max_connections", "max-connections", "MAX_CONNECTIONS", "Max-Connections", "mAX-cONNECTIONS"]
)
def test_case_and_hyphens_do_not_matter(name: str) -> None:
    """A field is found under any spelling, at every depth."""
    loaded = load(Settings, snapshot({name: "7", f"Inner/{name}": "8", f"many/0/{name}": "9"}))

    assert (7, 8, 9) == (loaded.max_connections, loaded.inner.max_connections, loaded.many[0].max_connections)


@given(case=st.lists(st.booleans(), min_size=15, max_size=15))
def test_any_mixture_of_cases_is_the_same_name(case: list[bool]) -> None:
    """No spelling of a name finds another field, or none."""
    table = Table([FieldSpec("max_connections", int, (), [("max_connections", ())])], lambda _: Anything())
    name = "".join(char.upper() if up else char for char, up in zip("max_connections", case, strict=True))

    slot = table.slot(name)

    assert slot is not None
    assert slot.key == "max_connections"


def test_names_inside_documents_are_folded_where_a_model_is_expected() -> None:
    """A document may be spelled like keys: in models inside it, in lists, and in dicts of models."""
    held = snapshot(
        {
            "inner.json": '{"Max-Connections": 1, "NAME": "a"}',
            "many": '[{"Max-Connections": 3}]',
            "by-name": '{"Some-Key": {"MAX-CONNECTIONS": 2}}',
        }
    )

    loaded = load(Settings, held)

    assert Inner(max_connections=1, Name="a") == loaded.inner
    assert [Inner(max_connections=3)] == loaded.many
    assert {"Some-Key": Inner(max_connections=2)} == loaded.by_name


def test_keys_of_dicts_are_never_folded() -> None:
    """They are data: keys that differ by case or hyphen are several, and the models below them are folded."""
    held = snapshot(
        {
            "plain/Some-Key": "a",
            "plain/some_key": "b",
            "by_name/Main/NAME": "c",
            "by_name/main/name": "d",
            "by_name/MAIN": '{"nAME": "e"}',
        }
    )

    loaded = load(Settings, held)

    assert {"Some-Key": "a", "some_key": "b"} == loaded.plain
    assert {"Main": "c", "main": "d", "MAIN": "e"} == {name: inner.Name for name, inner in loaded.by_name.items()}


@pytest.mark.parametrize("other", ["MAX_connections", "max-connections", "Max-Connections"])
def test_two_spellings_in_one_layer_are_an_error(other: str) -> None:
    """Nobody can tell which of two spellings is meant, so neither wins."""
    with pytest.raises(ConflictError) as caught:
        load(Settings, snapshot({"max_connections": "1", other: "2"}))

    assert {"/config/app/max_connections", f"/config/app/{other}"} == set(caught.value.keys)


def test_two_spellings_of_a_branch_are_an_error() -> None:
    """Branches do not merge over their spelling within a layer: each path of a field is written one way."""
    with pytest.raises(ConflictError, match="both spell the setting 'inner'"):
        load(Settings, snapshot({"inner/name": "a", "Inner/max_connections": "1"}))


def test_two_spellings_inside_a_document_are_an_error() -> None:
    """What holds for keys holds within documents."""
    with pytest.raises(ConflictError, match="both spell the setting 'Name'"):
        load(Settings, snapshot({"inner.json": '{"name": "a", "NAME": "b"}'}))


class Exact(BaseModel):
    model_config = ConfigDict(case_sensitive=True)  # type: ignore[typeddict-unknown-key]  # as settings classes have it
    host: str = "default"
    Host: str = "default"
    max_connections: int = 0


def test_case_matters_if_the_model_says_so() -> None:
    """``case_sensitive`` keeps cases apart; a hyphen is an underscore even then."""
    loaded = load(Exact, snapshot({"host": "a", "Host": "b", "HOST": "c", "max-connections": "7"}))

    assert ("a", "b", 7) == (loaded.host, loaded.Host, loaded.max_connections)


class NearlyAlike(BaseModel):
    host: str = "default"
    Host: str = "default"


def test_an_exact_name_finds_its_own_field() -> None:
    """Fields that differ by case alone are told apart by whoever writes exactly."""
    loaded = load(NearlyAlike, snapshot({"host": "a", "Host": "b"}))

    assert ("a", "b") == (loaded.host, loaded.Host)


class Aliased(BaseModel):
    plain: str = Field(default="", alias="plain-alias")
    validation: str = Field(default="", validation_alias="VALIDATION_ALIAS")
    choice: str = Field(default="", validation_alias=AliasChoices("first", "second", AliasPath("third", "Deep", 1)))
    item: int = Field(default=0, validation_alias=AliasPath("items", 0))
    last: int = Field(default=0, validation_alias=AliasPath("items", -1))
    model: Inner = Field(default=Inner(), validation_alias=AliasPath("models", "Main"))


@pytest.mark.parametrize(
    ("keys", "field", "expected"),
    [
        ({"plain-alias": "x"}, "plain", "x"),
        ({"PLAIN_ALIAS": "x"}, "plain", "x"),
        ({"plain": "x"}, "plain", ""),
        ({"validation-alias": "x"}, "validation", "x"),
        ({"First": "x"}, "choice", "x"),
        ({"SECOND": "x"}, "choice", "x"),
        ({"third/Deep/0": "w", "third/Deep/1": "x"}, "choice", "x"),
        ({"THIRD": '{"Deep": ["w", "x"]}'}, "choice", "x"),
        ({"third/Deep": '["w", "x"]'}, "choice", "x"),
        ({"third.json": '{"Deep": ["w", "x"]}'}, "choice", "x"),
        ({"second": "x", "third": '{"Deep": ["w", "y"]}'}, "choice", "x"),
        ({"second": "y", "first": "x"}, "choice", "x"),
        ({"third": '{"Deep": ["w", "y"]}', "second": "x"}, "choice", "x"),
        ({"items": "[1, 2, 3]"}, "item", 1),
        ({"items/0": "1", "items/1": "2"}, "item", 1),
        ({"items": "[1, 2, 3]"}, "last", 3),
        ({"items/0": "1", "items/1": "2"}, "last", 2),
        ({"models/Main/NAME": "x"}, "model", Inner(Name="x")),
        ({"models": '{"Main": {"NAME": "x"}}'}, "model", Inner(Name="x")),
        ({"models/Main": '{"NAME": "x"}'}, "model", Inner(Name="x")),
        ({"models/MAIN/NAME": "x"}, "model", Inner()),
    ],
)
def test_aliases_of_every_kind_are_names(keys: dict[str, str], field: str, expected: object) -> None:
    """Of several choices the first wins; of an alias path the head is a name, and the rest leads into its value."""
    assert expected == getattr(load(Aliased, snapshot(keys)), field)


class ByName(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    field: str = Field(default="", validation_alias=AliasChoices("Alias", "other"))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"field": "x"}, "x"),
        ({"FIELD": "x"}, "x"),
        ({"alias": "x"}, "x"),
        ({"field": "y", "alias": "x"}, "x"),
        ({"field": "y", "Other": "x"}, "x"),
    ],
)
def test_a_field_goes_by_its_own_name_if_the_model_says_so(keys: dict[str, str], expected: str) -> None:
    """With ``populate_by_name`` the field's name is its last choice; without, only aliases count."""
    assert expected == load(ByName, snapshot(keys)).field


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, ["alias"]),
        ({"populate_by_name": True}, ["alias", "name"]),
        ({"validate_by_name": True}, ["alias", "name"]),
        ({"validate_by_name": False, "populate_by_name": True}, ["alias"]),
        ({"validate_by_alias": False}, ["name"]),
        ({"validate_by_alias": False, "validate_by_name": True}, ["name"]),
    ],
)
def test_the_model_says_which_names_count(config: dict[str, Any], expected: list[str]) -> None:
    """``validate_by_name``, ``validate_by_alias`` and the older ``populate_by_name`` mean what pydantic means."""
    assert expected == [head for head, _ in aliases("name", "alias", config)]


class Strictly(BaseModel):
    model_config = ConfigDict(extra="forbid")
    one: str = Field(default="", validation_alias=AliasChoices("first", "second", AliasPath("third", 0)))
    two: str = Field(default="", validation_alias=AliasPath("third", 1))


def test_every_choice_is_handed_over_under_one_name() -> None:
    """A later choice that is not taken would be an extra key to the model: it is left out."""
    assert load(Strictly, snapshot({"second": "y", "first": "x"})).one == "x"
    assert {"first": "x"} == target_for(Strictly).fit(snapshot({"second": "x"}))


def test_a_path_that_serves_another_field_stays() -> None:
    """The head of an alias path is kept for whoever else reads from it."""
    loaded = load(Strictly, snapshot({"third/0": "x", "third/1": "y"}))

    assert ("x", "y") == (loaded.one, loaded.two)


class Exactly(TypedDict, total=False):
    my_db: int


Exactly.__pydantic_config__ = {"extra": "allow", "exact_names": True}  # type: ignore[attr-defined]  # ours


def test_a_record_with_exact_names_folds_nothing() -> None:
    """What is spelled otherwise is a name of its own, at its place and nowhere else."""
    held = snapshot({"my_db": "1", "my-db": "2", "MY_DB": "3"})

    assert {"my_db": 1, "my-db": "2", "MY_DB": "3"} == load(Exactly, held)

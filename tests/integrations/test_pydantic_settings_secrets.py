"""Nothing that is raised, logged or printed on our behalf holds a value."""

from __future__ import annotations

import logging
import pickle
import traceback
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest
from pydantic import (
    AliasChoices,
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsError

from etcd_settings.errors import EtcdSettingsError
from etcd_settings.integrations.pydantic_settings import EtcdBaseSettings, EtcdSettingsConfigDict, EtcdSettingsSource
from tests.integrations.holding import held

SECRET = "hunter2-hunter2"
PLAIN = "plain-value-77"


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Database(BaseModel):
    host: str = ""
    port: int = 1
    password: SecretStr = SecretStr("")
    dsn: str = ""

    @field_validator("dsn")
    @classmethod
    def check(cls, value: str, info: Any) -> str:
        if value:
            raise ValueError(f"{value} does not go with {info.data['password'].get_secret_value()}")
        return value


class Settings(EtcdBaseSettings):
    model_config = EtcdSettingsConfigDict(env_nested_delimiter="__", extra="forbid")
    api_token: str = ""
    key: str = Field(default="", validation_alias=AliasChoices("private-key", "pk"))
    database: Database = Database()
    databases: dict[str, Database] = Field(default={})
    tags: list[str] = Field(default=[])
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    port: int = 1
    custom: str = ""

    @field_validator("api_token", "key")
    @classmethod
    def refuse(cls, value: str) -> str:
        if "bad" in value:
            raise ValueError(f"{value[::-1]} and {value.upper()}")
        return value

    @field_validator("custom")
    @classmethod
    def quote(cls, value: str) -> str:
        if value:
            raise PydanticCustomError("my_error", "no {value}!", {"value": value})
        return value

    @model_validator(mode="after")
    def whole(self) -> Settings:
        assert self.port != 13, f"13 with {self.database.password.get_secret_value()} and {self!r}"
        return self


LEAKS: list[Mapping[str, str | bytes]] = [
    {"database/password": SECRET, "database/port": PLAIN},
    {"database": f'{{"password": "{SECRET}", "port": "{PLAIN}"}}'},
    {"database": f'{{"password": "{SECRET}"'},
    {"database": SECRET},
    {"database/password/more": SECRET},
    {"database/password": SECRET.encode() + b"\xff"},
    {"database/password": SECRET, "database/dsn": PLAIN},
    {"databases/Main/password": SECRET, "databases/Main/port": PLAIN},
    {"databases/Main/password": SECRET, "databases/Main/unknown/deep": PLAIN, "port": PLAIN},
    {"api_token": f"bad {SECRET}"},
    {"API-Token": f"bad {SECRET}", "port": PLAIN},
    {"private-key": f"bad {SECRET}"},
    {"pk": f"bad {SECRET}"},
    {"database/password": SECRET, "port": "13"},
    {"tags": SECRET},
    {"tags/0": SECRET, "tags/1/x": SECRET},
    {"tags/0": SECRET, "tags/2": SECRET},
    {"pet/kind": PLAIN},
    {"pet": PLAIN},
    {"custom": PLAIN},
    {"port": PLAIN},
    {"port": PLAIN, "Port": SECRET},
    {"port.yaml": f"{{{PLAIN}"},
]


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("PYDANTIC_SETTINGS_DEBUG", "1")


@pytest.mark.parametrize("keys", LEAKS, ids=[str(number) for number in range(len(LEAKS))])
def test_no_error_holds_a_value(caplog: pytest.LogCaptureFixture, keys: Mapping[str, str | bytes]) -> None:
    """Neither message, ``errors()``, JSON, repr, arguments, notes, cause, context, traceback nor the log shows one."""
    with pytest.raises((ValidationError, EtcdSettingsError)) as caught:
        Settings(_etcd_source=held(keys))

    error = caught.value
    told = [
        *(str(error), repr(error), repr(error.args), caplog.text, "".join(traceback.format_exception(error))),
        *(repr(getattr(error, "__notes__", "")), repr(vars(error))),
        *(repr(error.errors()) + error.json() if isinstance(error, ValidationError) else repr(pickle.dumps(error)),),
    ]
    for value in (SECRET, SECRET[::-1], SECRET.upper(), PLAIN):
        assert not [text for text in told if value in text]
    assert (None, None) == (error.__cause__, error.__context__)


def test_every_input_is_masked() -> None:
    """``errors()`` has an input for every error, and it is the mask."""
    with pytest.raises(ValidationError) as caught:
        Settings(_etcd_source=held({"port": PLAIN, "database/port": PLAIN, "databases/a/nope": "1", "tags/0/x": "1"}))

    assert {"**********"} == {one["input"] for one in caught.value.errors()}


def test_an_error_is_otherwise_what_pydantic_says() -> None:
    """Class, title, locations, types, messages and contexts are pydantic's own."""

    class Plain(BaseModel):
        port: int = Field(gt=0)
        pet: Cat

    class Etcd(EtcdBaseSettings):
        port: int = Field(gt=0)
        pet: Cat

    with pytest.raises(ValidationError) as expected:
        Plain.model_validate({"port": -1, "pet": {"kind": "dog"}})
    with pytest.raises(ValidationError) as caught:
        Etcd(_etcd_source=held({"port": "-1", "pet/kind": "dog"}))  # type: ignore[call-arg]  # etcd has the others

    own, ours = expected.value.errors(include_input=False), caught.value.errors(include_input=False)
    assert own == ours
    assert (ValidationError, "Etcd", 2) == (type(caught.value), caught.value.title, caught.value.error_count())


def test_notes_name_the_keys() -> None:
    """An error says in its notes which keys the bad values came from."""
    with pytest.raises(ValidationError) as caught:
        Settings(_etcd_source=held({"Port": "x", "databases/Main/PORT": "y", "database.json": '{"port": "z"}'}))

    assert {
        "port comes from etcd: '/config/app/Port'",
        "database.port comes from etcd: '/config/app/database.json'",
        "databases.Main.port comes from etcd: '/config/app/databases/Main/PORT'",
    } == set(caught.value.__notes__)


def test_notes_do_not_blame_etcd_for_what_came_from_above(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad value from the environment that etcd has as well is the environment's."""
    monkeypatch.setenv("DATABASE__PORT", "bad")

    with pytest.raises(ValidationError) as caught:
        Settings(_etcd_source=held({"database/port": "5", "port": "x"}))

    assert ["port comes from etcd: '/config/app/port'"] == caught.value.__notes__


def test_notes_do_not_blame_etcd_for_a_list_from_above(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list is one value: what is wrong with an item is wrong with the one that won."""
    monkeypatch.setenv("TAGS", '["a", {"b": 1}]')

    with pytest.raises(ValidationError) as caught:
        Settings(_etcd_source=held({"tags/0": "a", "tags/1": "b"}))

    assert [("tags", 1)] == [one["loc"] for one in caught.value.errors()]
    assert not hasattr(caught.value, "__notes__")


def test_a_secret_given_to_init_is_not_shown_either() -> None:
    """Also one within a model, in whatever form a message quotes it."""
    with pytest.raises(ValidationError) as caught:
        Settings(_etcd_source=held({"port": "13"}), database=Database(password=SecretStr(SECRET)))

    assert SECRET not in str(caught.value) + repr(caught.value.errors())
    assert "Assertion failed, ********** with **********" in str(caught.value)


def test_a_secret_from_above_is_not_shown_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """The errors of such a class hold no value at all, wherever the value came from."""
    monkeypatch.setenv("DATABASE__PASSWORD", SECRET)

    with pytest.raises(ValidationError) as caught:
        Settings(_etcd_source=held({"database/dsn": PLAIN}))

    told = str(caught.value) + repr(caught.value.errors())
    assert SECRET not in told
    assert PLAIN not in told


def test_what_the_environment_cannot_parse_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """pydantic-settings keeps such a text in the cause of its error; an etcd class drops the cause."""
    monkeypatch.setenv("TAGS", SECRET)

    with pytest.raises(SettingsError, match='error parsing value for field "tags"') as caught:
        Settings(_etcd_source=held({}))

    assert (None, None) == (caught.value.__cause__, caught.value.__context__)


def test_the_debug_log_of_pydantic_settings_shows_no_value(caplog: pytest.LogCaptureFixture) -> None:
    """``PYDANTIC_SETTINGS_DEBUG`` logs what sources give; ours gives something that does not tell."""
    Settings(_etcd_source=held({"api_token": SECRET, "database/host": PLAIN, "database/password": SECRET}))

    assert SECRET not in caplog.text
    assert PLAIN not in caplog.text


def test_reprs_show_no_value() -> None:
    """Nor do the source and what it gives, when they are printed."""
    source = EtcdSettingsSource(Settings, held({"api_token": SECRET, "database/host": PLAIN}))

    told = repr(source) + repr(source()) + str(source())

    assert SECRET not in told
    assert PLAIN not in told
    assert "api_token" in told


def test_a_plain_settings_class_does_not_show_sibling_secrets() -> None:
    """Also without `EtcdBaseSettings` a secret is wrapped when pydantic prints the branch around it."""
    source = held({"database/password": SECRET, "database/port": "x"})

    class Strict(BaseModel):
        password: SecretStr
        port: int
        user: str

    class Plain(BaseSettings):
        database: Strict

        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (EtcdSettingsSource(settings_cls, source),)

    with pytest.raises(ValidationError, match="Field required") as caught:
        Plain.model_validate({})

    assert SECRET not in str(caught.value) + repr(caught.value.errors())


def test_nested_validation_is_scrubbed_too() -> None:
    """A settings class within another model, or validated from a dict, tells no more."""

    class Inner(Settings):
        model_config = EtcdSettingsConfigDict(etcd_url=held({"port": PLAIN}))

    class Outer(BaseModel):
        settings: Inner

    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"settings": {"api_token": "x"}})

    assert PLAIN not in str(caught.value) + repr(caught.value.errors())
    assert [("settings", "port")] == [one["loc"] for one in caught.value.errors()]

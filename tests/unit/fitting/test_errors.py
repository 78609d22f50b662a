"""What is wrong is told all at once, with the keys to blame, and without a value."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest
from pydantic import AliasPath, BaseModel, ConfigDict, Field, Secret, SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from etcd_settings.errors import (
    ConflictError,
    DecodeError,
    EtcdSettingsError,
    InvalidSettingsError,
)
from etcd_settings.fitting import load
from tests.unit.fitting.snapshots import snapshot


class Pool(BaseModel):
    size: int = 1


class Database(BaseModel):
    host: str
    port: int = 1
    pools: list[Pool] = []
    by_name: dict[str, Pool] = {}


class Settings(BaseModel):
    database: Database
    tags: list[str] = []


def invalid(kind: Any, held: Any, path: str = "") -> InvalidSettingsError:
    with pytest.raises(InvalidSettingsError) as caught:
        load(kind, held, path)
    return caught.value


def test_every_problem_is_told_with_its_key() -> None:
    """All bad values come in one error, each with its location, type, message and the key that it came from."""
    error = invalid(
        Settings,
        snapshot(
            {
                "database/Port": "x",
                "database/pools/0/size": "1",
                "database/pools/1/size": "y",
                "database/by_name.json": '{"Main": {"SIZE": "z"}}',
            }
        ),
    )

    parsing = {"type": "int_parsing", "msg": "Input should be a valid integer, unable to parse string as an integer"}
    assert error.target == "Settings"
    assert (
        {"loc": ("database", "host"), "type": "missing", "msg": "Field required", "keys": ()},
        {"loc": ("database", "port"), **parsing, "keys": ("/config/app/database/Port",)},
        {"loc": ("database", "pools", 1, "size"), **parsing, "keys": ("/config/app/database/pools/1/size",)},
        {"loc": ("database", "by_name", "Main", "size"), **parsing, "keys": ("/config/app/database/by_name.json",)},
    ) == error.errors


def test_the_key_is_that_of_the_layer_that_won() -> None:
    """Of several layers the one to blame is named."""
    error = invalid(Database, snapshot({"host": "a", "port": "x"}, {"PORT": "y"}, {"host": "b"}))

    assert error.errors[0]["keys"] == ("/config/app/layer1/PORT",)


def test_the_key_of_a_list_in_a_json_text_is_that_of_the_text() -> None:
    """What came out of a text is blamed on the key of the text."""
    error = invalid(Database, snapshot({"host": "a", "pools": '[{"size": 1}, {"size": "x"}]'}))

    assert (("pools", 1, "size"), ("/config/app/pools",)) == (error.errors[0]["loc"], error.errors[0]["keys"])


def test_the_key_is_found_below_a_path() -> None:
    """With a path the location starts there, and the key is whole."""
    error = invalid(Database, snapshot({"services/orders/host": "a", "services/orders/port": "x"}), "services/orders")

    assert (("port",), ("/config/app/services/orders/port",)) == (error.errors[0]["loc"], error.errors[0]["keys"])


class Named(BaseModel):
    model_config = ConfigDict(loc_by_alias=False)
    port: int = Field(alias="db-port")


class Headed(BaseModel):
    port: int = Field(validation_alias=AliasPath("ports", 1))


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    lives: int


class Zoo(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


@pytest.mark.parametrize(
    ("kind", "keys", "loc", "key"),
    [
        (Named, {"DB_PORT": "x"}, ("port",), "DB_PORT"),
        (Headed, {"ports": '["1", "x"]'}, ("ports", 1), "ports"),
        (Headed, {"ports/0": "1", "ports/1": "x"}, ("ports", 1), "ports/1"),
        (Zoo, {"pet/kind": "dog", "pet/lives": "x"}, ("pet", "dog", "lives"), "pet/lives"),
        (dict[str, int], {"Some-Key": "x"}, ("Some-Key",), "Some-Key"),
    ],
)
def test_the_key_is_found_however_pydantic_spells_the_place(
    kind: Any, keys: Mapping[str, str], loc: tuple[str | int, ...], key: str
) -> None:
    """Locations by name, along alias paths and through tags of unions all lead to the key."""
    error = invalid(kind, snapshot(keys))

    assert [(loc, (f"/config/app/{key}",))] == [(one["loc"], one["keys"]) for one in error.errors]


class Range(BaseModel):
    low: int
    high: int

    @model_validator(mode="after")
    def check(self) -> Range:
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


def test_a_problem_of_a_whole_branch_names_all_its_keys() -> None:
    """A model that contradicts itself came from all the keys below it."""
    error = invalid(dict[str, Range], snapshot({"a/low": "2", "a/high": "1", "b/low": "1", "b/high": "2"}))

    assert error.errors[0]["keys"] == ("/config/app/a/low", "/config/app/a/high")


def test_a_missing_value_alone_is_missing() -> None:
    """Where a single value is asked for and nothing is there, that is an error and not None."""
    assert invalid(int, snapshot({}), "port").errors == (
        {"loc": (), "type": "missing", "msg": "Nothing is there", "keys": ()},
    )


@pytest.mark.parametrize(
    ("keys", "kind", "mentions"),
    [
        ({"tags/0": "a", "tags/2": "b"}, ConflictError, "'/config/app/tags': a list of 2 lacks its item 1"),
        ({"tags.json": '{"0": "a", "2": "b"}'}, ConflictError, "'/config/app/tags.json': a list of 2 lacks"),
        ({"tags": '{"1": "a"}'}, ConflictError, "'/config/app/tags': a list of 1 lacks its item 0"),
        ({"tags/0": "a", "tags/00": "b"}, ConflictError, "'/config/app/tags': a list of 2 lacks its item 1"),
        ({"tags": "a,b"}, DecodeError, "'/config/app/tags' is not valid JSON (line 1, column 1)"),
        ({"tags": "[1,"}, DecodeError, "'/config/app/tags' is not valid JSON (line 1, column 4)"),
        ({"tags": "[" * 100_000}, DecodeError, "'/config/app/tags' is not valid JSON (nested too deeply)"),
        ({"tags": "[NaN]"}, DecodeError, "'/config/app/tags' is not valid JSON"),
        ({"database": "x"}, DecodeError, "'/config/app/database' is not valid JSON (line 1, column 1)"),
        ({"database/host": b"a\xff"}, DecodeError, "'/config/app/database/host' is not valid UTF-8 text (byte 1)"),
        ({"database": b"\xc3\xa4\xff"}, DecodeError, "'/config/app/database' is not valid UTF-8 text (byte 2)"),
        (
            {"database/host": "a", "database/HOST": "b"},
            ConflictError,
            "'/config/app/database/host' and '/config/app/database/HOST': both spell the setting 'host'",
        ),
    ],
)
def test_what_cannot_be_fitted_names_its_keys(
    keys: Mapping[str, str | bytes], kind: type[EtcdSettingsError], mentions: str
) -> None:
    """Gaps, texts that are no JSON, bytes that are no text and double spellings say where and what."""
    with pytest.raises(kind, match=re.escape(mentions)) as caught:
        load(Settings, snapshot(keys))

    assert type(caught.value) is kind
    assert (None, None) == (caught.value.__cause__, caught.value.__context__)


def test_a_gap_between_layers_is_told_as_well() -> None:
    """A list may be spread over layers, but it must be whole in the end."""
    with pytest.raises(ConflictError, match=r"'/config/app/layer0/tags': a list of 2 lacks its item 1"):
        load(Settings, snapshot({"tags/0": "a"}, {"tags/2": "b"}))


def test_problems_of_all_kinds_are_told_together() -> None:
    """One look tells all that is to be mended before anything can be validated."""
    with pytest.raises(EtcdSettingsError) as caught:
        load(Settings, snapshot({"tags/0": "a", "tags/2": "b", "database/host": b"\xff", "database/pools": "x"}))

    assert ["ConflictError", "DecodeError", "DecodeError"] == sorted(type(p).__name__ for p in caught.value.problems)


def test_a_path_through_a_single_value_names_the_key() -> None:
    """A path that leads through a text is an error that says which."""
    with pytest.raises(ConflictError, match="'/config/app/services': a branch was asked for"):
        load(Settings, snapshot({"services": "x"}), "services/orders")


class Guarded(BaseModel):
    password: SecretStr = SecretStr("")
    pins: dict[str, SecretStr] = {}
    boxed: Secret[list[int]] = Secret([])
    vault: Secret[dict[str, int]] | None = None
    api_token: str = ""
    plain: str = Field(default="", alias="db-passwd")
    port: int = 0
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    name: str = ""
    url: str = ""
    seen: Any = None

    @field_validator("password", "api_token", "plain", "name", mode="after")
    @classmethod
    def refuse(cls, value: str | SecretStr) -> str | SecretStr:
        if "bad" in str(value):
            raise ValueError(f"{value!r} is bad")
        shown = value.get_secret_value() if isinstance(value, SecretStr) else value
        if shown == "hunter2":
            raise ValueError(f"{shown[::-1]} backwards, {shown} forwards")
        return value

    @field_validator("url")
    @classmethod
    def quote(cls, value: str, info: Any) -> str:
        if value:
            raise PydanticCustomError("bad_url", "{url} with {password}", {"url": value, **_opened(info.data)})
        return value

    @model_validator(mode="after")
    def whole(self) -> Guarded:
        assert self.seen is None, f"saw {self.seen!r} and {self.password.get_secret_value()}"
        return self


def _opened(data: Mapping[str, Any]) -> dict[str, Any]:
    return {"password": data["password"].get_secret_value()}


SECRET = "hunter2"
PLAIN = "plain-value-77"

LEAKS: list[Mapping[str, str | bytes]] = [
    {"password": SECRET},
    {"password": '{"x": "hunter2"}', "port": PLAIN},
    {"password/hunter2": "hunter2"},
    {"password": b"hunter2\xff"},
    {"api_token": SECRET},
    {"API-TOKEN": SECRET, "port": "x"},
    {"db_passwd": SECRET},
    {"pins": SECRET},
    {"pins": '{"a": "hunter2"'},
    {"pins/a": b"hunter2\xff"},
    {"pins.json": '{"a": {"b": "hunter2"}}'},
    {"boxed": '["hunter2"]'},
    {"boxed": SECRET},
    {"boxed/0": SECRET},
    {"vault": f'{{"{SECRET}": "{SECRET}"}}'},
    {"password": SECRET, "port": PLAIN},
    {"password": "x" + SECRET, "url": f"http://{PLAIN}"},
    {"password": "x" + SECRET, "seen": PLAIN},
    {"password": "x" + SECRET, "seen.json": json.dumps({"a": [PLAIN]})},
    {"pet/kind": PLAIN},
    {"pet": f'{{"kind": "{PLAIN}"}}'},
    {"pet": PLAIN},
    {"name": f"bad {PLAIN}"},
    {"name": f"bad\n'{PLAIN}'"},
    {"port.json": json.dumps(PLAIN)},
    {"port.json": f'"{PLAIN}'},
    {"port.toml": f"x = {PLAIN}"},
    {"port.yaml": f"[{PLAIN}"},
    {"name.json": json.dumps([PLAIN])},
    {"name/x": PLAIN},
]


@pytest.mark.parametrize("keys", LEAKS, ids=[str(number) for number in range(len(LEAKS))])
def test_nothing_that_is_raised_holds_a_value(
    caplog: pytest.LogCaptureFixture, keys: Mapping[str, str | bytes]
) -> None:
    """Neither message, repr, arguments, facts, cause, context nor the log shows a value, secret or not."""
    with pytest.raises(EtcdSettingsError) as caught:
        load(Guarded, snapshot(keys))

    error = caught.value
    told = " ".join(
        [
            *(str(error), repr(error), repr(error.args), repr(vars(error)), caplog.text),
            *(repr(getattr(error, "__notes__", "")), str(pickle.dumps(error))),
        ]
    ).replace("password/hunter2", "")  # this one is a key
    assert SECRET not in told
    assert SECRET[::-1] not in told
    assert PLAIN not in told
    assert (None, None) == (error.__cause__, error.__context__)


def test_a_message_keeps_what_is_not_the_value() -> None:
    """Outside of secrets a validator's own words stay, with the input masked in them."""
    messages = [one["msg"] for one in invalid(Guarded, snapshot({"name": "bad"})).errors]

    assert ["Value error, '**********' is **********"] == messages


def test_a_message_about_a_secret_is_withheld() -> None:
    """For a secret a validator's message is dropped: it may hold the value in any disguise."""
    error = invalid(Guarded, snapshot({"password": SECRET, "db-passwd": SECRET}))

    assert [("password",), ("db-passwd",)] == [one["loc"] for one in error.errors]
    assert {"The value was refused. Why is withheld, because the reason may quote a secret"} == {
        one["msg"] for one in error.errors
    }


def test_a_short_value_is_masked_only_where_it_stands_alone() -> None:
    """A value of one letter must not black out every such letter of the message."""

    class Letters(BaseModel):
        letter: str

        @field_validator("letter")
        @classmethod
        def refuse(cls, value: str) -> str:
            raise ValueError(f"a letter a is not {value}")

    assert invalid(Letters, snapshot({"letter": "a"})).errors[0]["msg"] == (
        "Value error, ********** letter ********** is not **********"
    )


def test_an_error_survives_pickling() -> None:
    """It crosses process boundaries with all its facts."""
    error = invalid(Settings, snapshot({"database/port": "x"}))

    again = pickle.loads(pickle.dumps(error))

    assert (str(error), error.errors, error.target) == (str(again), again.errors, again.target)


def test_without_pydantic_the_extra_is_named() -> None:
    """Who has not installed pydantic learns what to install."""
    program = """
import sys
sys.modules["pydantic"] = None
from etcd_settings.fitting import load
from etcd_settings.snapshot import Snapshot
try:
    load(dict, Snapshot({}, 1))
except Exception as e:
    print(type(e).__name__, e, e.__context__)
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert told == (
        "ConfigurationError Loading settings into a type takes pydantic. "
        "Install it with `pip install 'etcd-settings[pydantic]'`. None\n"
    )


def test_importing_the_room_does_not_import_pydantic() -> None:
    """Whoever loads nothing into types does not pay for pydantic."""
    program = "import sys, etcd_settings.fitting; sys.exit('pydantic' in sys.modules)"

    subprocess.run([sys.executable, "-c", program], check=True)

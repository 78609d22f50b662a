"""Whatever a factory finds wrong, nothing of what etcd holds is in a rejection, a log record or an event."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Annotated, Any, Literal
from urllib.parse import quote
from uuid import UUID

import pytest
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    HttpUrl,
    Json,
    RootModel,
    Secret,
    SecretStr,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from etcd_settings import Live, Rejection, hooks
from tests.living import App

SECRET = "hunter2 & hush"  # a marker that must not turn up anywhere, in no spelling


def value_error(value: Any) -> Any:
    if SECRET in str(value) or (isinstance(value, SecretStr) and value.get_secret_value() == SECRET):
        raise ValueError(f"{value!r} is wrong, {SECRET}, {quote(SECRET)}, {SECRET.upper()}")
    return value


def assertion_error(value: Any) -> Any:
    assert SECRET not in str(value), f"{value} is wrong"
    return value


def custom_error(value: Any) -> Any:
    if SECRET in str(value):
        raise PydanticCustomError("custom", "{value} is wrong", {"value": value})
    return value


class Colour(Enum):
    RED = "red"


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"


class Inner(BaseModel):
    number: int = 0
    text: Annotated[str, AfterValidator(value_error)] = ""
    password: str = ""


class Model(BaseModel):
    valid: str = ""
    value: Annotated[str, AfterValidator(value_error)] = ""
    before: Annotated[str, BeforeValidator(value_error)] = ""
    asserted: Annotated[str, AfterValidator(assertion_error)] = ""
    custom: Annotated[str, AfterValidator(custom_error)] = ""
    dsn: Annotated[SecretStr, AfterValidator(value_error)] = SecretStr("")
    hidden: Secret[int] = Secret(0)
    api_token: Annotated[str, AfterValidator(custom_error)] = ""
    private_key: Annotated[str, AfterValidator(assertion_error)] = ""
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] = Cat()
    called: Annotated[
        Annotated[Cat, Tag("CAT")] | Annotated[Dog, Tag("DOG")], Discriminator(lambda value: value["kind"].upper())
    ] = Field(default_factory=Cat, validate_default=False)
    inner: Inner = Inner()
    items: list[Inner] = []
    numbers: dict[str, int] = {}
    named: dict[Annotated[str, AfterValidator(custom_error)], str] = {}
    either: int | list[int] = 0
    number: int = 0
    colour: Colour = Colour.RED
    address: HttpUrl | None = None
    id: UUID | None = None
    document: Json[int] | None = None
    short: str = Field(default="", max_length=3)
    like: str = Field(default="", pattern="^a*$")
    root: RootModel[int] | None = None
    password: str = ""
    quoting: str = ""
    whole: str = ""

    @field_validator("quoting")
    @classmethod
    def _quote_another(cls, value: str, info: ValidationInfo) -> str:
        if value:
            raise ValueError(f"with {info.data['password']}, {quote(info.data['password'])}")
        return value

    @model_validator(mode="after")
    def _quote_all(self) -> Model:
        if self.whole:
            raise ValueError(f"{self!r}")
        return self


WRONG: dict[str, dict[str, str]] = {
    name: {name: SECRET}
    for name in [
        "value",
        "before",
        "asserted",
        "custom",
        "dsn",
        "hidden",
        "api_token",
        "private_key",
        "either",
        "number",
        "colour",
        "address",
        "id",
        "document",
        "short",
        "like",
        "root",
        "pet",
    ]
} | {
    "a tag": {"pet/kind": SECRET},
    "a tag that a function makes": {"called/kind": SECRET},
    "a nested model": {"inner/number": SECRET, "inner/text": SECRET},
    "a nested document": {"inner.json": f'{{"number": "{SECRET}", "text": "{SECRET}", "password": ["{SECRET}"]}}'},
    "a broken document": {"inner.json": f'{{"number": "{SECRET}"'},
    "a list by index": {"items/0/text": SECRET, "items/1/number": SECRET},
    "a list as text": {"items": f'[{{"text": "{SECRET}"}}, "{SECRET}"]'},
    "a dict's value": {"numbers/a": SECRET},
    "another field": {"password": SECRET, "quoting": "yes"},
    "the whole": {"password": SECRET, "whole": "yes", "inner/password": SECRET},
    "a conflict": {"inner": SECRET, "inner/number": "1"},
}
FACTORIES: dict[str, Callable[[App], Callable[[], Any]]] = {
    "load": lambda app: lambda: app.source.load(Model),
    "pydantic itself": lambda app: lambda: Model.model_validate(app.source.tree()),
}


@pytest.fixture
def events() -> Iterator[list[hooks.Event]]:
    told: list[hooks.Event] = []
    ends = [hooks.observe(told.append), hooks.observe(hooks.log_records)]
    yield told
    for end in ends:
        end()


@pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_nothing_of_a_refused_value_is_told(
    wrong: dict[str, str],
    factory: Callable[[App], Callable[[], Any]],
    app: App,
    events: list[hooks.Event],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Texts, facts, causes, pickles, records and events have places and reasons, and none of the value."""
    told: list[Rejection] = []
    app.put("valid", "1")
    with caplog.at_level(logging.DEBUG), Live(factory(app), on_reject=told.append, debounce=(0, 0)) as live:
        for path, value in wrong.items():
            revision = app.put(path, value)
        assert "rejected" == live.wait(revision)
        rejection = live.rejection
        assert rejection is not None
        live.wait(app.put("valid", "2"))

    error = rejection.error
    assert (None, None, None) == (error.__cause__, error.__context__, error.__traceback__)
    shown = [str(rejection), repr(rejection), repr(told), str(error), repr(error), repr(error.args), repr(vars(error))]
    shown += [repr(live.status()), repr(events), caplog.text, repr([vars(record) for record in caplog.records])]
    shown.append(pickle.dumps(error).decode("latin-1"))
    assert [] == [text for text in shown if "hunter2" in text.lower() or "hush" in text.lower()]

"""What may be shown of an error: everything but what was in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Secret,
    SecretBytes,
    SecretStr,
    TypeAdapter,
    ValidationError,
)

from etcd_settings.fitting.loading import target_for
from etcd_settings.fitting.scrubbing import findings, scrubbed, secrets_in

VALUE = "correct horse battery"


class Model(BaseModel):
    text: str = ""
    hidden: SecretStr = SecretStr("")


@dataclass
class Data:
    text: str


def refusing(kind: Any, quote: Callable[[Any], str]) -> Any:
    def refuse(value: Any) -> Any:
        raise ValueError(quote(value))

    return Annotated[kind, BeforeValidator(refuse)]


def told(kind: Any, value: Any, *, secrets: tuple[str, ...] = ()) -> str:
    """Give what is shown of the error that validating *value* raises."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    plan = target_for(kind).plan
    found = findings(caught.value, plan, secrets=secrets)
    mended = scrubbed(caught.value, found)
    return f"{found} {mended} {mended.errors()} {mended.json()}"


@pytest.mark.parametrize(
    "value",
    [
        VALUE,
        VALUE.encode(),
        {"deep": [VALUE]},
        [(VALUE,), {"x"}],
        {VALUE},
        frozenset([VALUE]),
        SecretStr(VALUE),
        SecretBytes(VALUE.encode()),
        Secret([VALUE]),
        Model(text=VALUE),
        Model(hidden=SecretStr(VALUE)),
        Data(VALUE),
    ],
)
@pytest.mark.parametrize("kind", [str, Any])
def test_an_input_is_masked_whatever_it_is(kind: Any, value: object) -> None:
    """A validator that quotes what it found, at any depth and opened if it was secret, quotes a mask."""
    shown = told(refusing(kind, lambda _: f"what is <{VALUE}>, {VALUE!r}, {VALUE.split()}?"), value)

    assert VALUE not in shown
    assert "battery" not in shown
    assert "what is <**********>" in shown


@pytest.mark.parametrize("write", [str, repr, quote_plus, str.strip, lambda text: text.replace("\n", "\\n")])
@pytest.mark.parametrize(
    "value", ["it's 50% & more", " spaces around ", "two\nlines of it", 'a "quoted" one', "p@ss/w:rd"]
)
def test_an_input_is_masked_in_every_form(value: str, write: Callable[[str], str]) -> None:
    """As it is, as Python, JSON and URLs write it: none of them is shown."""
    shown = told(refusing(str, lambda text: f"no: {write(text)}!"), value)

    assert write(value).strip("'\" ") not in shown


@pytest.mark.parametrize("value", [12345, 123.5, 10**30])
def test_numbers_are_masked_too(value: float) -> None:
    """They are values like any other."""
    assert str(value) not in told(refusing(Any, lambda number: f"no: {number}!"), value)


def test_other_secrets_are_masked_in_messages() -> None:
    """A message about one field does not quote another's secret, which its validator may have seen."""
    assert VALUE not in told(refusing(str, lambda _: f"no: {VALUE}"), "other", secrets=(VALUE,))


@given(value=st.text(min_size=1, max_size=8))
def test_no_message_survives_with_the_value_in_it(value: str) -> None:
    """Whatever the value, a message that stands around it keeps its words and loses the value."""
    shown = told(refusing(str, lambda text: f"<<{text}>>"), value)

    assert f"<<{value}>>" not in shown or value == "**********"


def test_a_secret_tells_nothing_at_all() -> None:
    """Where the place is secret the message goes altogether, however it disguises the value."""
    assert "esrever" not in told(Annotated[SecretStr, AfterValidator(refuse_backwards)], "reverse")


def refuse_backwards(value: SecretStr) -> SecretStr:
    raise ValueError(value.get_secret_value()[::-1])


class Named(BaseModel):
    tokens: dict[str, str] = {}
    open: dict[str, Model] = {}
    pins: tuple[SecretStr, ...] = ()


def test_secrets_are_found_by_type_and_by_name() -> None:
    """In nested values, in lists, below a secret name, and in models."""
    values = {
        "tokens": {"a": "one", "b": "two"},
        "open": {
            "my-password": "three",
            "x": {"text": "shown", "hidden": SecretStr("four")},
            "y": Model(hidden=SecretStr("five")),
        },
        "pins": [SecretStr("six")],
        "unknown": {"api_token": ["seven"], "text": "shown"},
    }

    assert {"one", "two", "three", "four", "five", "six", "seven"} == set(secrets_in(values, target_for(Named).plan))

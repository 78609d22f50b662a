"""Values: what becomes of a text, by type; and what a text can't be."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    Json,
    Secret,
    SecretBytes,
    SecretStr,
    Strict,
    StrictBool,
    StrictInt,
    create_model,
    field_validator,
)
from pydantic_settings import ForceDecode, NoDecode

from etcd_settings.errors import DecodeError, InvalidSettingsError
from etcd_settings.fitting import load
from etcd_settings.fitting.loading import target_for
from tests.unit.fitting.snapshots import snapshot


class Inner(BaseModel):
    size: int = 0


class Color(Enum):
    RED = "red"
    ONE = 1


class Level(IntEnum):
    LOW = 1


class Mode(Enum):
    A = 1
    B = 2


def field_of(kind: Any, **config: Any) -> Any:
    """Make a model with one field of that type, ``x``."""
    make: Any = create_model
    return make("Model", __config__=config or None, x=(kind, ...))


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (str, "5", "5"),
        (str, '{"a": 1}', '{"a": 1}'),
        (str, "", ""),
        (int, "5", 5),
        (float, "5.5", 5.5),
        (bool, "true", True),
        (bool, "0", False),
        (Decimal, "1.50", Decimal("1.50")),
        (date, "2024-01-02", date(2024, 1, 2)),
        (timedelta, "PT5S", timedelta(seconds=5)),
        (UUID, "12345678-1234-5678-1234-567812345678", UUID("12345678-1234-5678-1234-567812345678")),
        (IPv4Address, "127.0.0.1", IPv4Address("127.0.0.1")),
        (Path, "/tmp", Path("/tmp")),
        (bytes, "abc", b"abc"),
        (Color, "red", Color.RED),
        (Color, "1", Color.ONE),
        (Level, "1", Level.LOW),
        (Literal["a", "b"], "b", "b"),
        (Literal[1, 2], "2", 2),
        (Literal[True], "true", True),
        (Literal["1", 1], "1", "1"),
        (Literal[Mode.B], "2", Mode.B),
        (Literal[Mode.B] | None, "2", Mode.B),
        (Literal[1] | str, "1", "1"),
        (Any, "5", "5"),
        (object, "[1]", "[1]"),
        (int | None, "5", 5),
        (int | None, "null", None),
        (Literal[1] | None, "null", None),
        (Inner | None, "null", None),
        (list[int] | None, "null", None),
        (str | None, "null", "null"),
        (str | int | None, "null", "null"),
        (Any | None, "null", "null"),
    ],
)
def test_a_text_becomes_what_the_type_says(kind: Any, text: str, expected: object) -> None:
    """Etcd holds texts; the field decides. ``null`` is None where None is allowed and the text itself is no value."""
    loaded = load(field_of(kind), snapshot({"x": text})).x

    assert (type(expected), expected) == (type(loaded), loaded)


@pytest.mark.parametrize("text", ["null", "[null]", "5", '"x"'])
def test_json_of_another_kind_is_an_error_and_not_a_default(text: str) -> None:
    """A list whose key holds something else does not look unset."""
    model = create_model("Model", x=(list[int], [7]))

    with pytest.raises(InvalidSettingsError):
        load(model, snapshot({"x": text}))


T = TypeVar("T")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (list[int], [1, 2]),
        (list[Annotated[int, Field(gt=0)]], [1, 2]),
        (tuple[int, ...], (1, 2)),
        (tuple[int, str], (1, "2")),
        (set[int], {1, 2}),
        (frozenset[int], frozenset({1, 2})),
        (deque[int], deque([1, 2])),
        (Sequence[int], [1, 2]),
        (list, ["1", "2"]),
        (list[Any], ["1", "2"]),
        (Annotated[list[int], Field(max_length=3)], [1, 2]),
        (list[int] | None, [1, 2]),
        (list[int] | int, [1, 2]),
        (list[int] | dict[str, int], [1, 2]),
        (list[Inner] | list[int], [1, 2]),
        (dict[str, int], {"0": 1, "1": 2}),
        (dict[int, int], {0: 1, 1: 2}),
        (Mapping[str, int], {"0": 1, "1": 2}),
        (Any, {"0": "1", "1": "2"}),
    ],
)
def test_children_by_index_are_a_list_where_a_list_is_wanted(kind: Any, expected: object) -> None:
    """Every collection can be spread over keys, and what is no collection stays a branch."""
    loaded = load(field_of(kind), snapshot({"x/0": "1", "x/1": "2"})).x

    assert (type(expected), expected) == (type(loaded), loaded)


def test_more_than_ten_items_keep_their_order() -> None:
    """Indexes are numbers: 10 comes behind 9, not behind 1."""
    held = snapshot({f"x/{number}": str(number) for number in range(12)})

    assert list(range(12)) == load(field_of(list[int]), held).x


def test_lists_nest() -> None:
    """Lists of lists, of models and of dicts go as deep as their keys."""
    held = snapshot({"x/0/0/size": "1", "x/0/1/SIZE": "2", "x/1": '[{"Size": 3}]'})

    assert [[Inner(size=1), Inner(size=2)], [Inner(size=3)]] == load(field_of(list[list[Inner]]), held).x


@pytest.mark.parametrize("gap", [{"x/0": "1", "x/2": "2"}, {"x/1": "1"}])
def test_numbers_with_a_gap_are_keys_where_a_dict_will_do(gap: dict[str, str]) -> None:
    """A union with a dict takes what a list can't be."""
    loaded = load(field_of(list[int] | dict[str, int]), snapshot(gap)).x

    assert {name.removeprefix("x/"): int(value) for name, value in gap.items()} == loaded


class Tagged(BaseModel):
    kind: Literal["tagged"]
    Items: list[int] = []
    note: str = ""


class Other(BaseModel):
    kind: Literal["other", "another"]
    items: dict[str, str] = {}


class Untagged(BaseModel):
    Host: str
    ports: list[int] = []


class Sized(BaseModel):
    size: int


class Plain(BaseModel):
    host: str
    tags: list[str] = []


@pytest.mark.parametrize(
    ("kind", "keys", "expected"),
    [
        (Tagged | Other, {"kind": "tagged", "ITEMS/0": "1"}, Tagged(kind="tagged", Items=[1])),
        (Tagged | Other, {"KIND": "another", "items/0": "1"}, Other(kind="another", items={"0": "1"})),
        (
            Annotated[Tagged | Other, Field(discriminator="kind")],
            {"Kind": "other", "ITEMS/A": "1"},
            Other(kind="other", items={"A": "1"}),
        ),
        (
            Annotated[Tagged, "metadata"] | Annotated[Other, "metadata"] | None,
            {"kind": "other"},
            Other(kind="other"),
        ),
        (Untagged | Sized, {"HOST": "h", "PORTS/0": "1"}, Untagged(Host="h", ports=[1])),
        (Untagged | Sized, {"SIZE": "1"}, Sized(size=1)),
        (Untagged | Plain, {"host": "h", "Tags/0": "a"}, Plain(host="h", tags=["a"])),
        (Untagged | Plain, {"Host": "h", "ports": "[1]"}, Untagged(Host="h", ports=[1])),
        (str | Inner, {"SIZE": "1"}, Inner(size=1)),
        (dict[str, int] | Plain, {"HOST": "h", "TAGS/0": "a"}, Plain(host="h", tags=["a"])),
        (dict[str, int] | Plain, {"Some": "1"}, {"Some": 1}),
        (list[Inner] | Inner, {"0/SIZE": "1"}, [Inner(size=1)]),
        (list[Inner] | Inner, {"SIZE": "1"}, Inner(size=1)),
        (dict[str, int] | dict[str, list[int]], {"a/0": "1"}, {"a": [1]}),
        (list[Inner | int], {"0/SIZE": "1", "1": "5"}, [Inner(size=1), 5]),
    ],
)
def test_unions_take_branches_by_what_is_in_them(kind: Any, keys: dict[str, str], expected: object) -> None:
    """A tag says whose names count; without one every member's names lead to their fields."""
    held = snapshot({f"x/{path}": text for path, text in keys.items()})

    loaded = load(field_of(kind), held).x

    assert expected == loaded


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (str | list[int], "[1, 2]", [1, 2]),
        (str | list[int], "5", "5"),
        (str | list[int], "[1, 2", "[1, 2"),
        (int | list[int], "5", 5),
        (StrictInt | list[int], "5", 5),
        (bool | dict[str, int], '{"a": 1}', {"a": 1}),
        (Inner | str, '{"SIZE": 1}', Inner(size=1)),
        (Inner | str, "text", "text"),
        (Inner | list[Inner], '[{"SIZE": 1}]', [Inner(size=1)]),
        (StrictInt | StrictBool, "true", True),
        (StrictInt | StrictBool, "5", 5),
        (StrictInt | str, "5", "5"),
    ],
)
def test_unions_read_json_where_a_member_needs_it(kind: Any, text: str, expected: object) -> None:
    """Arrays and objects are decoded; any other text stays what it is, so that ``5`` is no number by accident."""
    loaded = load(field_of(kind), snapshot({"x": text})).x

    assert (type(expected), expected) == (type(loaded), loaded)


def split(value: Any) -> Any:
    return value.split(",") if isinstance(value, str) else value


class Undecoded(BaseModel):
    by_comma: Annotated[list[str], NoDecode] = []
    nested: Annotated[dict[str, list[str]], NoDecode] = {}
    maybe: Annotated[list[str] | None, NoDecode] = None

    _split = field_validator("by_comma", "maybe", mode="before")(split)

    @field_validator("nested", mode="before")
    @classmethod
    def split_all(cls, value: dict[str, Any]) -> Any:
        return {name: split(child) for name, child in value.items()}


def test_no_decode_leaves_texts_alone() -> None:
    """A field's own validator gets the text as etcd holds it, also below the field."""
    loaded = load(Undecoded, snapshot({"by_comma": "a,b", "nested/A": "c,d", "maybe": '["e"],f'}))

    assert ["a", "b"] == loaded.by_comma
    assert {"A": ["c", "d"]} == loaded.nested
    assert ['["e"]', "f"] == loaded.maybe


def test_no_decode_does_not_keep_keys_from_being_items() -> None:
    """It is about texts: children by index are a list all the same."""
    assert ["a", "b"] == load(Undecoded, snapshot({"by_comma/0": "a", "by_comma/1": "b"})).by_comma


class Quiet(BaseModel):
    model_config = ConfigDict(enable_decoding=False)  # type: ignore[typeddict-unknown-key]  # as settings classes have it
    off: list[str] = []
    forced: Annotated[list[int], ForceDecode] = []
    both: Annotated[list[str], ForceDecode, NoDecode] = []
    inner: Inner | None = None

    _split = field_validator("off", "both", mode="before")(split)


def test_decoding_can_be_switched_off_and_forced() -> None:
    """``enable_decoding=False`` is for the whole class, ``ForceDecode`` for a field in spite of it."""
    loaded = load(Quiet, snapshot({"off": "a,b", "forced": "[1]", "both": "c,d", "inner/SIZE": "1"}))

    assert (["a", "b"], [1], ["c", "d"], Inner(size=1)) == (loaded.off, loaded.forced, loaded.both, loaded.inner)


ANY_JSON: Any = Json


@pytest.mark.parametrize("kind", [ANY_JSON, ANY_JSON[Any]])
@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"x": '{"size": 1}'}, {"size": 1}),
        ({"x.json": '{"size": 1}'}, {"size": 1}),
        ({"x/size": "1"}, {"size": "1"}),
        ({"x": "null"}, None),
    ],
)
def test_json_fields_read_their_own_text(kind: Any, keys: dict[str, str], expected: object) -> None:
    """``Json`` gets a text in any case: what etcd holds as a branch or a document is written down again."""
    assert expected == load(field_of(kind), snapshot(keys)).x


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (int, "5", 5),
        (bool, "true", True),
        (float, "1.5", 1.5),
        (date, "2024-01-02", date(2024, 1, 2)),
        (Color, "red", Color.RED),
        (bytes, "abc", b"abc"),
        (str, "5", "5"),
        (list[int], "[1, 2]", [1, 2]),
        (set[int], "[1, 2]", {1, 2}),
        (tuple[int, str], '[1, "2"]', (1, "2")),
        (int | None, "5", 5),
        (int | None, "null", None),
        (dict[str, date], '{"a": "2024-01-02"}', {"a": date(2024, 1, 2)}),
    ],
)
def test_strict_models_take_texts(kind: Any, text: str, expected: object) -> None:
    """Etcd has nothing but texts, so that strictness about texts is met beforehand, as for the environment."""
    loaded = load(field_of(kind, strict=True), snapshot({"x": text})).x

    assert (type(expected), expected) == (type(loaded), loaded)


@pytest.mark.parametrize("kind", [StrictInt, Annotated[int, Strict()], Annotated[int, Field(strict=True)]])
def test_strict_fields_take_texts(kind: Any) -> None:
    """So is that of a single field, and of a list's items."""
    assert load(field_of(kind), snapshot({"x": "5"})).x == 5
    items: Any = list[kind]
    assert [5, 6] == load(field_of(items), snapshot({"x/0": "5", "x/1": "6"})).x


def test_strictness_still_refuses_what_is_no_such_value() -> None:
    """A text that is no number stays one, and pydantic says what it thinks of it."""
    with pytest.raises(InvalidSettingsError):
        load(field_of(int, strict=True), snapshot({"x": "five"}))


class Alien:
    """A type that only ``arbitrary_types_allowed`` allows."""


def test_strict_models_leave_alone_what_they_do_not_know() -> None:
    """A type without a schema is nobody's to make from a text."""
    model = field_of(Alien | None, strict=True, arbitrary_types_allowed=True)

    assert {"x": "text"} == target_for(model).fit(snapshot({"x": "text"}))


UNREADABLE = b"\xff\xfe"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (bytes, UNREADABLE),
        (bytes | None, UNREADABLE),
        (SecretBytes, SecretBytes(UNREADABLE)),
        (Any, UNREADABLE),
        (dict[str, Any], {"y": UNREADABLE}),
        (dict[str, bytes], {"y": UNREADABLE}),
    ],
)
def test_bytes_that_are_no_text_are_fine_where_bytes_are_wanted(kind: Any, expected: object) -> None:
    """A value that is not UTF-8 is an error only where it is used as text."""
    path = "x/y" if isinstance(expected, dict) else "x"

    assert expected == load(field_of(kind), snapshot({path: UNREADABLE})).x


@pytest.mark.parametrize("kind", [str, int, SecretStr, Inner, list[bytes], str | int, Inner | None, Color, Path])
def test_bytes_that_are_no_text_are_an_error_where_text_is_wanted(kind: Any) -> None:
    """Otherwise the key is named."""
    with pytest.raises(DecodeError, match="'/config/app/x' is not valid UTF-8 text"):
        load(field_of(kind), snapshot({"x": UNREADABLE}))


class Pin(SecretStr):
    """A secret with a name of its own."""


class SecretDate(Secret[date]):
    """A secret that is no text."""


@pytest.mark.parametrize(
    ("kind", "text", "handed"),
    [
        (SecretStr, "sesame", SecretStr("sesame")),
        (Pin, "sesame", Pin("sesame")),
        (SecretStr | None, "sesame", SecretStr("sesame")),
        (SecretStr | int, "5", SecretStr("5")),
        (SecretBytes, "sesame", SecretBytes(b"sesame")),
        (Secret[int], "5", Secret("5")),
        (SecretDate, "2024-01-02", Secret("2024-01-02")),
        (Secret[list[int]], "[1]", Secret([1])),
        (list[SecretStr], '["sesame"]', [SecretStr("sesame")]),
        (dict[str, SecretStr], '{"a": "sesame"}', {"a": SecretStr("sesame")}),
        (Annotated[SecretStr, Field(min_length=1)], "sesame", SecretStr("sesame")),
    ],
)
def test_secrets_are_wrapped_before_anybody_sees_them(kind: Any, text: str, handed: object) -> None:
    """What is handed to pydantic is a secret already, and pydantic takes it."""
    model, held = field_of(kind), snapshot({"x": text})

    fitted = target_for(model).fit(held)["x"]

    assert (type(handed), handed) == (type(fitted), fitted)
    assert "sesame" not in repr(fitted)
    load(model, held)


def test_a_secret_that_may_as_well_be_a_text_is_one() -> None:
    """With `str` before it in the union pydantic takes the text for that; behind it, for the secret."""
    assert load(field_of(str | SecretStr), snapshot({"x": "shown"})).x == "shown"
    assert load(field_of(SecretStr | str), snapshot({"x": "hidden"})).x == SecretStr("hidden")


def test_secrets_hold_what_etcd_holds() -> None:
    """Wrapping changes nothing about the value."""
    held = snapshot({"x/0": "1", "x/1": "2"})

    assert [1, 2] == load(field_of(Secret[list[int]]), held).x.get_secret_value()
    assert date(2024, 1, 2) == load(field_of(SecretDate), snapshot({"x": "2024-01-02"})).x.get_secret_value()


class Odd(Generic[T]):
    """A generic type that says itself how it is validated."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return handler(list[int] | dict[str, int])


def test_types_with_a_schema_of_their_own_get_json() -> None:
    """As pydantic-settings does for generic types that it can't look into."""
    model = field_of(Odd[Any])

    assert [1] == load(model, snapshot({"x": "[1]"})).x
    assert {"A": 1} == load(model, snapshot({"x/A": "1"})).x

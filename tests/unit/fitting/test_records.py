"""Models and their kin: nesting, documents, parents with children, and every kind of record."""

from __future__ import annotations

import sys
from dataclasses import InitVar, dataclass, field
from itertools import permutations
from types import ModuleType
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, NewType, NotRequired, Required, TypeVar

import pydantic.dataclasses
import pytest
from pydantic import VERSION, AliasGenerator, BaseModel, ConfigDict, Field, RootModel
from pydantic_settings import BaseSettings
from typing_extensions import ReadOnly, TypeAliasType, TypedDict  # pydantic takes no other before Python 3.12

from etcd_settings.fitting import load
from tests.unit.fitting.snapshots import snapshot

T = TypeVar("T")


class Pool(BaseModel):
    size: int = 5
    name: str = "pool"


class Database(BaseModel):
    host: str
    port: int = 5432
    pool: Pool = Pool()


class Settings(BaseModel):
    debug: bool = False
    database: Database
    replica: Database | None = None


def test_branches_become_nested_models() -> None:
    """Every slash in a key is a step into a nested model, and texts become the types of the fields."""
    held = snapshot({"debug": "true", "database/host": "db", "database/port": "6543", "database/pool/size": "9"})

    loaded = load(Settings, held)

    assert Settings(debug=True, database=Database(host="db", port=6543, pool=Pool(size=9))) == loaded


def test_an_optional_model_is_filled_like_any_other() -> None:
    """``Model | None`` takes branches, and stays None without keys."""
    held = snapshot({"database/host": "db", "replica/host": "copy", "replica/pool/size": "2"})

    loaded = load(Settings, held)

    assert loaded.replica == Database(host="copy", pool=Pool(size=2))
    assert load(Settings, snapshot({"database/host": "db"})).replica is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("database.json", '{"host": "db", "pool": {"size": 9}}'),
        ("database.toml", 'host = "db"\n[pool]\nsize = 9\n'),
        ("database.yaml", "host: db\npool:\n  size: 9\n"),
        ("database", '{"host": "db", "pool": {"size": 9}}'),
        ("database", '{"host": "db", "pool": "{\\"size\\": \\"9\\"}"}'),
    ],
)
def test_documents_and_json_texts_fill_models(name: str, text: str) -> None:
    """A model may come from a document in any format, and from a JSON text under its plain name."""
    loaded = load(Settings, snapshot({name: text}))

    assert Database(host="db", pool=Pool(size=9)) == loaded.database


@pytest.mark.parametrize(
    "order",
    list(
        permutations([("database", '{"host": "base", "port": 1}'), ("database/port", "2"), ("database/pool/size", "3")])
    ),
)
def test_children_override_their_json_parent_in_any_order(order: list[tuple[str, str]]) -> None:
    """A JSON object is the base of the children below it, whichever key comes first."""
    loaded = load(Settings, snapshot(dict(order)))

    assert Database(host="base", port=2, pool=Pool(size=3)) == loaded.database


def test_an_empty_text_is_an_empty_branch_where_a_model_is_expected() -> None:
    """A model whose key holds nothing has its defaults, with children below the key or without."""
    assert Pool() == load(Settings, snapshot({"database/host": "db", "database/pool": ""})).database.pool


@pytest.mark.parametrize("path", ["services/orders", "/services/orders/", "services//orders"])
def test_a_path_reads_one_branch(path: str) -> None:
    """``path`` loads what is below it, so that many types can share one snapshot."""
    held = snapshot({"services/orders/host": "o", "services/billing/host": "b", "host": "top"})

    assert Database(host="o") == load(Database, held, path)


def test_a_path_without_keys_gives_the_defaults() -> None:
    """Nothing below a path is an empty branch, not an error."""
    assert Pool() == load(Pool, snapshot({"other": "x"}), "services/orders")


def test_a_path_leads_through_json_texts() -> None:
    """A JSON object on the way is a branch like any other, and the children beside it still override it."""
    held = snapshot({"services": '{"orders": {"host": "o", "port": 1}}', "services/orders/port": "2"})

    assert Database(host="o", port=2) == load(Database, held, "services/orders")


def test_one_value_can_be_loaded() -> None:
    """``load`` takes any type: what is at the path need not be a branch."""
    assert load(int, snapshot({"database/port": "5432"}), "database/port") == 5432
    assert [1, 2] == load(list[int], snapshot({"ports": "[1, 2]"}), "ports")
    assert [] == load(list[int], snapshot({}), "ports")
    assert {} == load(dict[str, int], snapshot({}))


@dataclass
class PlainDatabase:
    host: str
    pool: Pool
    port: int = 5432
    tags: list[str] = field(default_factory=list)
    secret: str = Field(default="", alias="api-key")
    derived: str = field(init=False, default="")


@pydantic.dataclasses.dataclass
class PydanticDatabase:
    host: str
    pool: Pool
    port: int = Field(5432, validation_alias="db_port")
    tags: tuple[str, ...] = ()


class TypedDatabase(TypedDict):
    host: str
    pool: Pool
    port: Annotated[int, Field(alias="dbPort")]
    tags: NotRequired[list[str]]


class NamedDatabase(NamedTuple):
    host: str
    pool: Pool
    port: int = 5432


def test_plain_dataclasses_are_records() -> None:
    """A dataclass has names to fold, models inside, lists by index and aliases like a model."""
    held = snapshot({"HOST": "h", "pool/Size": "1", "tags/0": "a", "tags/1": "b", "Api_Key": "k"})

    assert PlainDatabase("h", Pool(size=1), tags=["a", "b"], secret="k") == load(PlainDatabase, held)


def test_pydantic_dataclasses_are_records() -> None:
    """So has one of pydantic's."""
    held = snapshot({"HOST": "h", "pool/Size": "1", "tags/0": "a", "Db-Port": "7"})

    assert PydanticDatabase("h", Pool(size=1), 7, ("a",)) == load(PydanticDatabase, held)


def test_typed_dicts_are_records() -> None:
    """So has a `TypedDict`."""
    held = snapshot({"HOST": "h", "pool/Size": "1", "DBPORT": "7", "tags/0": "a"})

    assert {"host": "h", "pool": Pool(size=1), "port": 7, "tags": ["a"]} == load(TypedDatabase, held)


@pytest.mark.parametrize(
    "keys",
    [
        {"HOST": "h", "pool/Size": "1", "port": "7"},
        {"0": "h", "1/SIZE": "1", "2": "7"},
        {"named": '["h", {"SIZE": 1}, 7]'},
    ],
)
def test_named_tuples_come_by_name_and_by_index(keys: dict[str, str]) -> None:
    """A `NamedTuple` is a record and a tuple."""
    path = "named" if "named" in keys else ""

    assert NamedDatabase("h", Pool(size=1), 7) == load(NamedDatabase, snapshot(keys), path)


class Box(BaseModel, Generic[T]):
    content: T


@dataclass
class PlainBox(Generic[T]):
    content: T
    more: list[T]


def test_generic_records_know_their_arguments() -> None:
    """The argument of a generic type is planned for like a type that is written out."""
    assert Box(content=Pool(size=1)) == load(Box[Pool], snapshot({"content/SIZE": "1"}))
    assert PlainBox(Pool(size=1), [Pool(size=2)]) == load(
        PlainBox[Pool], snapshot({"content/SIZE": "1", "more/0/SIZE": "2"})
    )


class Node(BaseModel):
    name: str
    children: list[Node] = []
    by_name: dict[str, Node] = {}


def test_types_may_refer_to_themselves() -> None:
    """A recursive model goes as deep as its keys."""
    held = snapshot({"NAME": "a", "children/0/NAME": "b", "children/0/by_name/Left/NAME": "c"})

    loaded = load(Node, held)

    assert loaded == Node(name="a", children=[Node(name="b", by_name={"Left": Node(name="c")})])


Bag = TypeAliasType("Bag", "dict[str, Bag] | list[Bag] | int")
Port = NewType("Port", int)


class Wrapped(BaseModel):
    bag: Bag = 0
    port: Port = Port(1)
    pools: RootModel[dict[str, Pool]] = RootModel({})


def test_aliases_of_types_are_seen_through() -> None:
    """``TypeAliasType`` (recursive too), ``NewType`` and ``RootModel`` stand for what is behind them."""
    held = snapshot({"bag/Some/0": "1", "bag/Some/1": "2", "port": "7", "pools/Main/SIZE": "3"})

    loaded = load(Wrapped, held)

    assert {"Some": [1, 2]} == loaded.bag
    assert loaded.port == 7
    assert {"Main": Pool(size=3)} == loaded.pools.root


@pytest.mark.skipif(sys.version_info < (3, 12), reason="it is the syntax of 3.12")
def test_the_type_statement_is_seen_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Aliases, also generic and recursive ones, and generic models may be written in the newer way."""
    newer: Any = ModuleType("newer")
    monkeypatch.setitem(sys.modules, "newer", newer)
    exec(
        "from pydantic import BaseModel\n"
        "class Pool(BaseModel):\n"
        "    size: int\n"
        "type Bag = dict[str, Bag] | list[Bag] | int\n"
        "type Some[T] = list[T] | dict[str, T]\n"
        "class Model[T](BaseModel):\n"
        "    bag: Bag = 0\n"
        "    some: Some[Pool] = []\n"
        "    one: T | None = None\n",
        vars(newer),
    )

    loaded = load(newer.Model[newer.Pool], snapshot({"bag/A/0": "1", "some/0/SIZE": "2", "one/SIZE": "3"}))

    assert ({"A": [1]}, 2, 3) == (loaded.bag, loaded.some[0].size, loaded.one.size)


def to_camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)
    max_connections: int


class CamelDict(TypedDict):
    __pydantic_config__ = ConfigDict(alias_generator=AliasGenerator(validation_alias=to_camel))  # type: ignore[misc]  # pydantic's way
    max_connections: int


@pytest.mark.parametrize("kind", [Camel, CamelDict])
@pytest.mark.parametrize("key", ["maxConnections", "maxconnections", "MAXCONNECTIONS"])
def test_generated_aliases_are_names(kind: Any, key: str) -> None:
    """An alias that a generator made is found like one that is written down."""
    loaded = load(kind, snapshot({key: "7"}))

    assert (loaded["max_connections"] if isinstance(loaded, dict) else loaded.max_connections) == 7


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    known: int = 0


def test_extra_keys_are_the_models_business() -> None:
    """What no field takes is passed on as it is spelled, and the model's ``extra`` decides."""
    loaded = load(Open, snapshot({"KNOWN": "1", "Un-Known": "x", "branch/Key": "y"}))

    assert {"Un-Known": "x", "branch": {"Key": "y"}} == loaded.model_extra
    assert loaded.known == 1


class OldSettings(BaseSettings):
    known: int = 0
    aliased: int = Field(default=0, alias="Other")


def test_settings_classes_take_what_their_fields_take() -> None:
    """A prefix may hold keys of others, although a settings class forbids extra arguments by default."""
    loaded = load(OldSettings, snapshot({"KNOWN": "1", "other": "2", "unknown": "x"}))

    assert (1, 2) == (loaded.known, loaded.aliased)


class Early(BaseModel):
    late: Late
    many: list[Late] = []


@pydantic.dataclasses.dataclass
class EarlyData:
    late: Late


class Late(BaseModel):
    Size: int


@pytest.mark.parametrize("kind", [Early, EarlyData])
def test_names_may_be_defined_later(kind: Any) -> None:
    """A record that could not be read when it was made is read when it is loaded."""
    assert Late(Size=1) == load(kind, snapshot({"late/SIZE": "1"})).late


@dataclass
class WithSpecials:
    """What is no field to pydantic is none to us."""

    known: ClassVar[int] = 5
    given: InitVar[int]
    size: int = field(init=False, default=7)

    def __post_init__(self, given: int) -> None:
        self.size += given


def test_dataclasses_may_have_what_is_no_field() -> None:
    """An ``InitVar`` is taken, a ``ClassVar`` and a field without init are not."""
    assert load(WithSpecials, snapshot({"GIVEN": "1", "known": "9"})).size == 8


def test_a_dataclass_may_name_what_only_its_function_knows() -> None:
    """Such a field is left to pydantic; the others are folded and shaped as ever."""

    class Hidden(BaseModel):
        size: int

    @dataclass
    class Local:
        Name: str
        tags: list[int]
        hidden: Hidden | None = None

    class Outer(BaseModel):
        local: Local

    loaded = load(Outer, snapshot({"local/NAME": "x", "local/tags/0": "1", "local/hidden/size": "2"}))

    assert Outer(local=Local("x", [1], Hidden(size=2))) == loaded


class Qualified(TypedDict, total=False):
    one: Required[int]
    two: ReadOnly[list[int]]


@pytest.mark.skipif(tuple(map(int, VERSION.split(".")[:2])) < (2, 9), reason="pydantic knows no ReadOnly yet")
@pytest.mark.filterwarnings("ignore:Item 'two' on TypedDict class:UserWarning")
def test_qualifiers_of_typed_dicts_are_seen_through() -> None:
    """``Required``, ``NotRequired`` and ``ReadOnly`` say nothing about the value."""
    loaded: Any = load(Qualified, snapshot({"ONE": "1", "Two/0": "2"}))

    assert {"one": 1, "two": [2]} == loaded


Bound = TypeVar("Bound", bound=Pool)


def test_a_type_parameter_without_an_argument_is_its_bound() -> None:
    """A generic type that is not applied is as good as its bounds; without any, it says nothing."""

    class Loose(BaseModel, Generic[Bound, T]):
        bound: Bound
        free: T

    loaded = load(Loose, snapshot({"bound/SIZE": "1", "free/X": "2"}))

    assert (1, {"X": "2"}) == (loaded.bound.size, loaded.free)


def test_metadata_need_not_be_hashable() -> None:
    """A type that can't be remembered can be loaded all the same."""
    assert {"a": 1} == load(Annotated[dict[str, int], []], snapshot({"a": "1"}))

"""Etcd among the other sources of pydantic-settings: who wins, how branches merge, and when etcd is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from etcd_settings.errors import ClosedError, ConfigurationError, ConflictError
from etcd_settings.integrations.pydantic_settings import (
    EtcdBaseSettings,
    EtcdSettingsConfigDict,
    EtcdSettingsSource,
)
from etcd_settings.snapshot import Snapshot
from etcd_settings.source import Source
from tests.integrations.holding import held


class Pool(BaseModel):
    size: int = 1
    overflow: int = 1


class Database(BaseModel):
    host: str = "default"
    port: int = 1
    pool: Pool = Pool()


def test_the_two_ways_to_declare_it_give_the_same() -> None:
    """``EtcdSettingsSource`` among the customised sources, and ``EtcdBaseSettings``, read the same settings."""
    source = held({"debug": "true", "database/host": "db"})

    class ByHand(BaseSettings):
        debug: bool = False
        database: Database

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, EtcdSettingsSource(settings_cls, source)

    class InOneLine(EtcdBaseSettings):
        model_config = EtcdSettingsConfigDict(etcd_url=source)
        debug: bool = False
        database: Database

    expected = {"debug": True, "database": {"host": "db", "port": 1, "pool": {"size": 1, "overflow": 1}}}
    assert expected == ByHand.model_validate({}).model_dump()
    assert expected == InOneLine.model_validate({}).model_dump()


class Layered(EtcdBaseSettings):
    model_config = EtcdSettingsConfigDict(env_prefix="APP_", env_nested_delimiter="__")
    a: str = "default"
    b: str = "default"
    c: str = "default"
    d: str = "default"
    e: str = "default"
    f: str = "default"


def test_each_source_yields_to_those_above_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Init arguments win over the environment, that over ``.env``, secret files, etcd and defaults, in this order."""
    (tmp_path / ".env").write_text("APP_A=dotenv\nAPP_B=dotenv\nAPP_C=dotenv\n")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in "abcd":
        (secrets / f"app_{name}").write_text("file")
    monkeypatch.setenv("APP_A", "environment")
    monkeypatch.setenv("APP_B", "environment")
    source = held(dict.fromkeys("abcde", "etcd"))

    settings = Layered(_etcd_source=source, _env_file=tmp_path / ".env", _secrets_dir=secrets, a="init")  # type: ignore[call-arg]  # pydantic-settings hides its own arguments from type checkers

    assert {
        "a": "init",
        "b": "environment",
        "c": "dotenv",
        "d": "file",
        "e": "etcd",
        "f": "default",
    } == settings.model_dump()


class Deep(EtcdBaseSettings):
    model_config = EtcdSettingsConfigDict(env_prefix="APP_", env_nested_delimiter="__")
    database: Database = Database()


def test_branches_merge_with_the_sources_above(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment variable or an init argument for one nested field leaves its siblings to etcd."""
    monkeypatch.setenv("APP_DATABASE__POOL__SIZE", "20")
    source = held(
        {"database/host": "db", "database/port": "7", "database/pool/size": "8", "database/pool/overflow": "9"}
    )

    settings = Deep(_etcd_source=source, database={"port": 30})  # type: ignore[arg-type]  # a dict is how one merges

    assert Database(host="db", port=30, pool=Pool(size=20, overflow=9)) == settings.database


def test_a_model_given_to_init_replaces_the_branch() -> None:
    """A dict given to init merges, a model is meant whole: as pydantic-settings has it."""
    source = held({"database/host": "db", "database/port": "7"})

    assert Database(port=30) == Deep(_etcd_source=source, database=Database(port=30)).database


def test_branches_merge_with_the_sources_below() -> None:
    """Etcd leaves to a source below it what it does not hold, field by field."""
    source = held({"database/port": "7"})

    class Below(PydanticBaseSettingsSource):
        def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
            raise NotImplementedError

        def __call__(self) -> dict[str, Any]:
            return {"database": {"host": "below", "port": 1, "pool": {"size": 9}}}

    class Settings(Deep):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return EtcdSettingsSource(settings_cls, source), Below(settings_cls)

    assert Database(host="below", port=7, pool=Pool(size=9)) == Settings().database


class Aliased(BaseModel):
    host: str = Field(default="default", validation_alias=AliasChoices("host", "hostname"))
    first: str = Field(default="default", validation_alias=AliasChoices("first", AliasPath("names", 0)))


class ManyNames(EtcdBaseSettings):
    model_config = EtcdSettingsConfigDict(env_nested_delimiter="__", populate_by_name=True)
    host: str = Field(default="default", validation_alias=AliasChoices("HOST", "HOSTNAME"))
    port: int = Field(default=1, validation_alias="PORT_NUMBER")
    first: str = Field(default="default", validation_alias=AliasChoices("FIRST", AliasPath("NAMES", 0)))
    nested: Aliased = Aliased()


@pytest.mark.parametrize(
    ("variables", "field", "expected"),
    [
        ({"HOSTNAME": "environment"}, "host", "environment"),
        ({"port": "2"}, "port", 2),
        ({"NAMES": '["environment"]'}, "first", "environment"),
        ({"NESTED__hostname": "environment"}, "nested", Aliased(host="environment", first="etcd")),
        ({"NESTED__names": '["environment"]'}, "nested", Aliased(host="etcd", first="environment")),
    ],
)
def test_the_environment_wins_whichever_alias_it_uses(
    monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str], field: str, expected: object
) -> None:
    """A value from above wins also when it comes by a later alias than etcd's, at any depth."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if next(iter(variables)) == "NESTED__names" and ManyNames(_etcd_source=held({})).nested.first != "environment":
        pytest.skip("this pydantic-settings reads no alias path in a nested model from the environment (its issue 670)")
    source = held({"host": "etcd", "port_number": "9", "first": "etcd", "nested/host": "etcd", "nested/first": "etcd"})

    assert expected == getattr(ManyNames(_etcd_source=source), field)


@pytest.mark.parametrize("name", ["HOST", "HOSTNAME", "host"])
def test_init_wins_whichever_alias_it_uses(name: str) -> None:
    """So does an init argument."""
    source = held({"hostname": "etcd"})

    arguments: dict[str, Any] = {name: "init"}

    assert "init" == ManyNames(_etcd_source=source, **arguments).host


def test_an_environment_prefix_is_not_a_prefix_of_keys() -> None:
    """Nothing named ``env_*`` applies to etcd: with ``env_prefix="APP_"`` the key is still called ``a``."""
    source = held({"a": "etcd", "APP_b": "wrong"})

    settings = Layered(_etcd_source=source)

    assert ("etcd", "default") == (settings.a, settings.b)


@pytest.mark.parametrize(
    "config",
    [
        EtcdSettingsConfigDict(env_ignore_empty=True),
        EtcdSettingsConfigDict(env_parse_none_str="None"),
        EtcdSettingsConfigDict(env_nested_delimiter="/", env_nested_max_split=1),
        EtcdSettingsConfigDict(env_parse_enums=True),
    ],
)
def test_no_env_option_changes_what_etcd_means(config: EtcdSettingsConfigDict) -> None:
    """An empty text stays one, ``None`` stays a text, and keys go as deep as they go."""
    source = held({"empty": "", "none": "None", "database/pool/size": "3"})

    class Settings(EtcdBaseSettings):
        model_config = config
        empty: str = "default"
        none: str = "default"
        database: Database = Database()

    settings = Settings(_etcd_source=source)

    assert ("", "None", 3) == (settings.empty, settings.none, settings.database.pool.size)


def test_several_sources_in_one_class_merge() -> None:
    """Each etcd source of a class has its place in the order, and none hides what another gave."""
    own, common = held({"database/host": "own"}), held({"database/host": "common", "database/port": "7"})
    seen: dict[str, dict[str, Any]] = {}

    class Spy(EtcdSettingsSource):
        def __call__(self) -> dict[str, Any]:
            seen.update(self.settings_sources_data)
            return super().__call__()

    class Settings(Deep):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (
                EtcdSettingsSource(settings_cls, own),
                EtcdSettingsSource(settings_cls, common),
                Spy(settings_cls, common),
            )

    assert Database(host="own", port=7) == Settings().database
    assert {
        "EtcdSettingsSource": {"database": {"host": "own"}},
        "EtcdSettingsSource[2]": {"database": {"host": "common", "port": "7"}},
    } == seen


def test_one_instance_may_read_elsewhere() -> None:
    """``_etcd_source`` replaces the source for one instance, and for no other."""
    usual, other = held({"a": "usual"}), held({"a": "other"})

    class Settings(Layered):
        model_config = EtcdSettingsConfigDict(etcd_url=usual)

    assert ["usual", "other", "usual"] == [Settings().a, Settings(_etcd_source=other).a, Settings().a]


def test_a_url_means_the_shared_source() -> None:
    """Wherever a URL is taken it is ``Source.shared(url)``, so that its cache and its watchers are the same."""
    source = held({"a": "etcd"})
    url = f"memory://{source.options.where.name}/config/app"  # type: ignore[union-attr]  # held makes memory sources

    class Settings(Layered):
        model_config = EtcdSettingsConfigDict(etcd_url=url)

    assert EtcdSettingsSource(Settings).source is source
    assert EtcdSettingsSource(Layered, url).source is source


def test_options_of_the_class_are_options_of_the_source() -> None:
    """``etcd_layers`` and ``etcd_ttl`` say what ``layers`` and ``ttl`` of a source say."""

    class Settings(Layered):
        model_config = EtcdSettingsConfigDict(etcd_url="memory://options/", etcd_layers=["a", "b"], etcd_ttl=5)

    source = EtcdSettingsSource(Settings).source

    assert Source.shared("memory://options/", layers=("a/", "b/"), ttl=5.0) is source


def test_the_environment_says_where_etcd_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ``etcd_url`` the URL is ``$ETCD_SETTINGS_URL``."""
    source = held({"a": "etcd"})
    monkeypatch.setenv("ETCD_SETTINGS_URL", f"memory://{source.options.where.name}/config/app")  # type: ignore[union-attr]  # held makes memory sources

    assert "etcd" == Layered().a


def test_without_any_url_it_says_so() -> None:
    """A class that nobody told where etcd is raises, and names the variable."""
    with pytest.raises(ConfigurationError, match="ETCD_SETTINGS_URL"):
        Layered()


class Counting:
    """A store that counts how often it is read."""

    endpoint = "here"

    def __init__(self) -> None:
        self.reads = 0

    def read(self, layers: Mapping[str, str], *, timeout: float) -> Snapshot:
        self.reads += 1
        return Snapshot({layer: {} for layer in layers}, 1)

    def watch(self, *_: object, **__: object) -> NoReturn:
        raise AssertionError("nobody watches here")

    def close(self) -> None:
        """Nothing to close."""


def test_a_second_instance_within_the_ttl_asks_nobody() -> None:
    """Pydantic-settings makes its sources anew for every instance; the cache is not theirs."""
    store = Counting()
    source = Source(store=store)

    for _ in range(3):
        Layered(_etcd_source=source)
        Deep(_etcd_source=source)

    assert store.reads == 1


def test_making_sources_asks_nobody() -> None:
    """Etcd is read when pydantic-settings calls the source, not when a class is declared or a source is made."""
    store = Counting()

    EtcdSettingsSource(Layered, Source(store=store))

    assert store.reads == 0


def test_settings_can_be_made_inside_a_running_loop() -> None:
    """A synchronous ``Settings()`` works in a coroutine."""
    source = held({"a": "etcd"})

    async def main() -> str:
        return Layered(_etcd_source=source).a

    assert "etcd" == asyncio.run(main())


def test_what_goes_wrong_at_the_source_is_told_as_it_is() -> None:
    """Neither pydantic nor pydantic-settings wraps our errors."""
    source = held({"a": "etcd"})
    source.close()

    with pytest.raises(ClosedError):
        Layered(_etcd_source=source)


def test_a_path_reads_a_branch() -> None:
    """``path`` and ``etcd_path`` let many classes share one bulk read."""
    source = held({"services/orders/host": "orders", "services/billing/host": "billing"})

    class Orders(EtcdBaseSettings):
        model_config = EtcdSettingsConfigDict(etcd_url=source, etcd_path="services/orders")
        host: str = "default"

    assert "orders" == Orders().host
    assert {"host": "billing"} == EtcdSettingsSource(Orders, path="services/billing")()


def test_a_path_to_a_single_value_is_an_error_that_names_it() -> None:
    """Settings are a branch; a text at the path is a mistake that defaults must not hide."""
    source = held({"services/orders": "[1]"})

    with pytest.raises(ConflictError, match="'/config/app/services/orders'"):
        EtcdSettingsSource(Layered, source, path="services/orders")()


def test_higher_layers_win() -> None:
    """Layers of a source are one source among the others."""
    source = held(
        {"common/a": "common", "common/b": "common", "production/B": "production"}, layers=("common/", "production/")
    )

    settings = Layered(_etcd_source=source)

    assert ("common", "production") == (settings.a, settings.b)


@dataclass
class Mount:
    path: str
    options: Aliased


class Partial(EtcdBaseSettings):
    model_config = EtcdSettingsConfigDict(nested_model_default_partial_update=True, env_nested_delimiter="__")
    plain: Database = Database(host="given", port=5, pool=Pool(size=6))
    made: Database = Field(default_factory=lambda: Database(host="made", port=5, pool=Pool(size=6)))
    mount: Mount = Field(default_factory=lambda: Mount("/mnt", Aliased(host="made")))


@pytest.mark.parametrize("field", ["plain", "made"])
def test_a_default_can_be_updated_in_part(field: str) -> None:
    """With ``nested_model_default_partial_update`` what etcd lacks is the default's, one from a factory included."""
    source = held({f"{field}/pool/overflow": "9"})

    settings = getattr(Partial(_etcd_source=source), field)

    assert (5, Pool(size=6, overflow=9)) == (settings.port, settings.pool)


def test_a_partial_update_knows_dataclasses_and_aliases() -> None:
    """What a factory made is laid below etcd's values under the names by which they are handed over."""
    source = held({"mount/options/first": "etcd"})

    assert Mount("/mnt", Aliased(host="made", first="etcd")) == Partial(_etcd_source=source).mount


class Other(BaseModel):
    kind: Literal["other"] = "other"
    host: str = "other"


class This(BaseModel):
    kind: Literal["this"] = "this"
    host: str = "this"
    port: int = 1


class Either(EtcdBaseSettings):
    model_config = EtcdSettingsConfigDict(nested_model_default_partial_update=True)
    member: Annotated[This | Other, Field(discriminator="kind")] = Field(default_factory=lambda: This(port=9))
    labels: dict[str, str] = Field(default_factory=lambda: {"default": "label"})


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"member/kind": "other"}, Other()),
        ({"member/kind": "this"}, This(port=9)),
        ({"member/host": "etcd"}, This(host="etcd", port=9)),
    ],
)
def test_a_default_is_not_mixed_into_another_member_of_a_union(keys: Mapping[str, str], expected: BaseModel) -> None:
    """What the tag says is another type takes nothing from the default."""
    assert expected == Either(_etcd_source=held(keys)).member


def test_a_default_that_is_a_dict_is_replaced() -> None:
    """Only models and dataclasses are updated in part, as with ``default=``."""
    assert {"etcd": "label"} == Either(_etcd_source=held({"labels/etcd": "label"})).labels


def test_a_factory_runs_only_for_branches_that_etcd_holds() -> None:
    """A default is left alone where etcd says nothing."""
    assert Database(host="made", port=5, pool=Pool(size=6)) == Partial(_etcd_source=held({})).made


def test_one_field_can_be_asked_for() -> None:
    """``get_field_value`` is what pydantic-settings' interface promises: value, key, and nothing left to decode."""
    source = EtcdSettingsSource(ManyNames, held({"hostname": "etcd"}))

    assert ("etcd", "HOST", False) == source.get_field_value(ManyNames.model_fields["host"], "host")


def test_secrets_are_handed_over_wrapped() -> None:
    """What a source gives can be looked at: a secret field's value is already a secret there."""

    class Settings(EtcdBaseSettings):
        password: SecretStr

    assert {"password": SecretStr("hunter2")} == EtcdSettingsSource(Settings, held({"password": "hunter2"}))()

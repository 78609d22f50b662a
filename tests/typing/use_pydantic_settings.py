"""What a user of pydantic-settings writes. Type checkers read it, and a test runs it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import assert_type

from pydantic import BaseModel, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from typing_extensions import TypedDict

from etcd_settings.integrations.pydantic_settings import EtcdBaseSettings, EtcdSettingsConfigDict, EtcdSettingsSource
from etcd_settings.source import Source


class Database(BaseModel):
    host: str = "localhost"
    port: int = 5432
    password: SecretStr = SecretStr("")


class Settings(EtcdBaseSettings):
    model_config = EtcdSettingsConfigDict(
        etcd_url="memory://typing/config/app/",
        etcd_path="",
        etcd_layers=["common/", "production/"],
        etcd_ttl=5,
        etcd_unknown="warn",
        env_prefix="APP_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )
    debug: bool = False
    database: Database = Database()
    replicas: dict[str, Database] = {}  # noqa: RUF012  # pydantic copies defaults


class Required(EtcdBaseSettings):
    model_config = EtcdSettingsConfigDict(etcd_url="memory://typing/config/app/")
    database: Database


class ByHand(BaseSettings):
    debug: bool = False

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        etcd = EtcdSettingsSource(
            settings_cls, "memory://typing/config/app/", path="common", case_sensitive=True, unknown="ignore"
        )
        return init_settings, env_settings, etcd


@dataclass
class Point:
    x: int = 0


class Options(TypedDict, total=False):
    x: int


def declare() -> None:
    source = Source("memory://typing/config/app/")

    assert_type(Settings().database.host, str)
    assert_type(Settings(debug=True), Settings)
    assert_type(Settings(_etcd_source=source).replicas, dict[str, Database])
    assert_type(Settings(_etcd_source="memory://typing/config/other/", debug=True).debug, bool)
    assert_type(Required.model_validate({"database": {"host": "db"}}).database, Database)
    assert_type(ByHand().debug, bool)


def load() -> None:
    source = Source.shared("memory://typing/config/app/")

    assert_type(source.load(Database), Database)
    assert_type(source.load(Point, "points/a"), Point)
    assert_type(source.load(Options), Options)
    assert_type(source.load(list[Point], "points"), list[Point])
    assert_type(source.load(dict[str, Database], "databases"), dict[str, Database])
    assert_type(asyncio.run(source.load_async(Database)), Database)


def mistakes() -> None:
    """Each ignored error must be one: an ignore that is not needed is an error itself."""
    EtcdSettingsSource(Settings, unknown="wran")  # type: ignore[arg-type]
    EtcdSettingsSource(Settings, 5)  # type: ignore[arg-type]
    Settings(_etcd_source=5)  # type: ignore[arg-type]
    Settings(debugg=True)  # type: ignore[call-arg]
    EtcdSettingsConfigDict(etcd_ulr="memory://")  # type: ignore[typeddict-unknown-key]
    print(Settings().database.hots)  # type: ignore[attr-defined]  # noqa: T201


if __name__ == "__main__":
    declare()
    load()

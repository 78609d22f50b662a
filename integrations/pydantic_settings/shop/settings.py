"""What the shop can be told, and where it is told it."""

from __future__ import annotations

import os
from functools import cache

from pydantic import BaseModel, Field, SecretStr

from etcd_settings.integrations.pydantic_settings import EtcdBaseSettings, EtcdSettingsConfigDict


class Database(BaseModel):
    host: str
    port: int = 5432
    password: SecretStr
    pool_size: int = Field(default=5, gt=0)


class Settings(EtcdBaseSettings):
    """The environment wins over etcd, etcd over what stands here."""

    model_config = EtcdSettingsConfigDict(
        etcd_url=os.environ.get("SHOP_ETCD_URL", "etcd://localhost/config/shop/"),
        env_nested_delimiter="__",
    )

    debug: bool = True
    allowed_hosts: list[str] = ["localhost"]
    greetings: dict[str, str] = {}
    database: Database


@cache
def get_settings() -> Settings:
    """Give the settings that everybody shares."""
    return Settings()  # type: ignore[call-arg]  # what is required comes from etcd

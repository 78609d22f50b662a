"""What the catalog can be told, and where it is told it."""

from __future__ import annotations

import os
from decimal import Decimal

from pydantic import SecretStr

from etcd_settings import Live
from etcd_settings.integrations.pydantic_settings import EtcdBaseSettings, EtcdSettingsConfigDict


class Settings(EtcdBaseSettings):
    """The environment wins over etcd, etcd over what stands here."""

    model_config = EtcdSettingsConfigDict(
        etcd_url=os.environ.get("CATALOG_ETCD_URL", "etcd://localhost/config/catalog/"),
        env_prefix="CATALOG_",
    )

    currency: str = "EUR"
    prices: dict[str, Decimal] = {}
    api_token: SecretStr


live = Live(Settings)


async def get_settings() -> Settings:
    """Give the settings of this moment: one whole object, that a request keeps to its end. Nothing waits here."""
    return live.current

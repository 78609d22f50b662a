"""What the catalog can be told, and where it is told it."""

from __future__ import annotations

import os
from decimal import Decimal

from pydantic import SecretStr

from etcd_settings.integrations.pydantic_settings import EtcdBaseSettings, EtcdSettingsConfigDict


class Settings(EtcdBaseSettings):
    """The environment wins over etcd, etcd over what stands here."""

    model_config = EtcdSettingsConfigDict(
        etcd_url=os.environ.get("CATALOG_ETCD_URL", "etcd://localhost/config/catalog/?ttl=5"),
        env_prefix="CATALOG_",
    )

    currency: str = "EUR"
    prices: dict[str, Decimal] = {}
    api_token: SecretStr


def get_settings() -> Settings:
    """Give the settings as they are now: at most as old as the URL's ``ttl``."""
    return Settings()  # type: ignore[call-arg]  # what is required comes from etcd

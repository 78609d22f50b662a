"""What the newsletter can be told, and where it is told it."""

from __future__ import annotations

import os
from pathlib import Path

from decouple import Config, Csv, RepositoryEmpty, RepositoryEnv

from etcd_settings.integrations.decouple import EtcdRepository

ENV_FILE = Path(__file__).parents[1] / ".env"

# The environment wins over etcd, etcd over the file, and that over the defaults below.
config = Config(
    EtcdRepository(
        os.environ.get("NEWSLETTER_ETCD_URL", "etcd://localhost/config/newsletter/"),
        fallback=RepositoryEnv(str(ENV_FILE)) if ENV_FILE.exists() else RepositoryEmpty(),
    )
)

DEBUG: bool = config("DEBUG", default=False, cast=bool)
SENDER: str = config("SENDER")
RECIPIENTS: list[str] = config("RECIPIENTS", default="", cast=Csv())

SMTP_HOST: str = config("SMTP_HOST")
SMTP_PORT: int = config("SMTP_PORT", default=587, cast=int)
SMTP_PASSWORD: str = config("SMTP_PASSWORD")
SMTP_TIMEOUT: float = config("SMTP_TIMEOUT", default=10, cast=float)

"""An application in memory: settings that come from a source, and a short way to write them."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, SecretStr

from etcd_settings import Source
from etcd_settings.stores.memory import MemoryStore


class Database(BaseModel):
    host: str = "localhost"
    port: int = 5432
    password: SecretStr = SecretStr("")


class Settings(BaseModel):
    debug: bool = False
    database: Database = Database()
    hosts: list[str] = []
    prices: dict[str, float] = {}


@dataclass
class App:
    """One application's settings, below a prefix of its own."""

    source: Source
    store: MemoryStore

    def load(self) -> Settings:
        return self.source.load(Settings)

    def put(self, path: str, value: str) -> int:
        return self.store.put(f"/config/app/{path}", value)

    def delete(self, path: str) -> int:
        self.store.delete(f"/config/app/{path}")
        return self.store.revision

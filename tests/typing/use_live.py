"""What a user of `Live` writes. Type checkers read it, and a test runs it."""

from __future__ import annotations

from typing import assert_type

from pydantic import BaseModel

from etcd_settings import Change, Live, Source
from etcd_settings.integrations.pydantic_settings import EtcdBaseSettings, EtcdSettingsConfigDict
from etcd_settings.live import Subscription


class Required(EtcdBaseSettings):
    model_config = EtcdSettingsConfigDict(etcd_url="memory://typing-live/config/app/")
    name: str


class Flags(BaseModel):
    beta: bool = False


def by_class() -> None:
    """A class whose fields are required is a factory all the same."""
    live = Live(Required)
    assert_type(live, Live[Required])

    @live.on_change("name")
    def renamed(change: Change[Required]) -> int:
        return len(change.new.name)

    assert_type(renamed, Subscription[[Change[Required]], int])
    renamed.cancel()


def by_function(source: Source) -> None:
    """The settings have the type that the function gives; the proxy has it too."""
    with Live(lambda: source.load(Flags)) as live:
        assert_type(live.current, Flags)
        assert_type(live.proxy, Flags)
        assert_type(live.current.beta, bool)
        live.on_change(lambda change: change.old.beta)


def main() -> None:
    by_class()
    with Source("memory://typing-live/config/app/") as source:
        by_function(source)


if __name__ == "__main__":
    main()

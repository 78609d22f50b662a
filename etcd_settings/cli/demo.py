"""
Show in a few seconds what the library is for, on a real etcd that ends with the demonstration.

It is a tour, not a test: each step does for real what a service does, and prints what it saw.
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from etcd_settings.cli.verbs import Asked, verb
from etcd_settings.etcd import Client, Put
from etcd_settings.live import Live
from etcd_settings.masking import MASK
from etcd_settings.source import Source
from etcd_settings.testing import EtcdServer
from etcd_settings.tree import Origin

__all__ = ["command"]

PREFIX = "/config/app/"

_CONFIGURATION = {
    "common/log_level": "info",
    "common/beta": "false",
    "common/db.json": '{"host": "pg1", "pool": {"size": 5}}',
    "common/db/password": "s3cr3t-of-the-demo",
    "orders/db/pool/size": "20",
    "orders/hosts/0": "app1",
    "orders/hosts/1": "app2",
    "orders/beta": "true",
}
_SECRETS = {"common/db/password"}
_SHOWN = ("log_level", "beta", "hosts/0", "db/host", "db/port", "db/password", "db/pool/size")


@verb(examples="etcd-settings demo")
def command(_: Asked) -> None:
    """
    See typed settings come out of a real etcd, in a few seconds.

    Starts an etcd of its own on this machine, and stops it at the end. Nothing else is read or written.
    """
    console = Console(highlight=False)
    console.print(Panel.fit("[bold]etcd-settings[/]: typed settings from a real etcd", border_style="cyan"))
    with console.status("Starting etcd …"):
        server = EtcdServer()
        server.start()
    try:
        _tour(console, server)
    finally:
        server.close()
    console.print("\netcd is stopped, and its data are gone. Next: docs/tutorial/first-settings.md", style="dim")


def _tour(console: Console, server: EtcdServer) -> None:
    settings_class = _settings_class()
    with Client(server.url) as client, Source(server.url, layers=["common/", "orders/"]) as source:
        _step(console, 1, f"A real etcd runs at [cyan]{server.url}[/]\n  and holds a configuration in two layers:")
        client.txn(success=[Put(PREFIX + path, value) for path, value in _CONFIGURATION.items()])
        _show_keys(console)

        _step(console, 2, "One read makes a typed model, and each value tells where it came from:")
        settings = source.load(settings_class)
        _show_settings(console, source, settings)

        with _quiet(), Live(lambda: source.load(settings_class)) as live:
            _follow(console, client, live)


def _follow(console: Console, client: Client, live: Live[Any]) -> None:
    _step(console, 3, "Somebody raises the pool's size, and the running program has it:")
    before = live.current
    revision = client.put(PREFIX + "orders/db/pool/size", "50")
    live.wait(revision)
    sizes = f"[red]{before.db.pool.size}[/] → [green]{live.current.db.pool.size}[/]"
    console.print(f"  db.pool.size: {sizes} at revision {revision}")

    _step(console, 4, "Then two values are mistyped at once. The update is refused, and each problem names its key:")
    mistyped = [Put(PREFIX + "orders/db/pool/size", "fifty"), Put(PREFIX + "orders/beta", "yess")]
    live.wait(client.txn(success=mistyped).revision)
    if live.rejection is not None:
        console.print(Padding(Text(str(live.rejection.error), style="red"), (0, 0, 0, 2), expand=False))
    console.print(f"  The settings in use stay as they were: db.pool.size is {live.current.db.pool.size}.")

    _step(console, 5, "Both are mended, and the next good update is taken by itself:")
    mended = [Put(PREFIX + "orders/db/pool/size", "60"), Put(PREFIX + "orders/beta", "false")]
    live.wait(client.txn(success=mended).revision)
    console.print(f"  db.pool.size is [green]{live.current.db.pool.size}[/], beta is [green]{live.current.beta}[/].")


@contextmanager
def _quiet() -> Generator[None]:
    """Keep the log, which tells of what is refused too, out of the tour."""
    log = logging.getLogger("etcd_settings")
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = False


def _settings_class() -> type[Any]:
    from pydantic import BaseModel, Field, SecretStr

    class Pool(BaseModel):
        size: int = Field(gt=0)

    class Database(BaseModel):
        host: str
        port: int = 5432
        password: SecretStr
        pool: Pool

    class Settings(BaseModel):
        log_level: str = "warning"
        beta: bool = False
        hosts: list[str]
        db: Database

    return Settings


def _step(console: Console, number: int, text: str) -> None:
    console.print(f"\n[bold cyan]{number}[/] {text}")


def _show_keys(console: Console) -> None:
    table = _table(f"key below {PREFIX}", "value")
    for path, value in _CONFIGURATION.items():
        table.add_row(path, MASK if path in _SECRETS else value)
    console.print(table)


def _show_settings(console: Console, source: Source, settings: Any) -> None:
    table = _table("setting", "value", "from", "instead of")
    for path in _SHOWN:
        explanation = source.explain(path)
        field = path.replace("/", ".").removesuffix(".0")
        winner = explanation.winner
        table.add_row(
            field,
            _shown(operator.attrgetter(field)(settings)),
            "the default" if winner is None else _place(winner),
            ", ".join(_place(origin) for origin in explanation.shadowed),
        )
    console.print(table)


def _shown(value: object) -> str:
    return MASK if type(value).__name__ == "SecretStr" else repr(value)


def _place(origin: Origin) -> str:
    return origin.key.removeprefix(PREFIX) + (f" ({origin.inside})" if origin.inside else "")


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table

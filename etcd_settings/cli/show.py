"""Show the settings as the tree that they make, leaf by leaf."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from etcd_settings.cli.output import console, on_terminal, plain, spelled, write, write_json
from etcd_settings.cli.reading import nothing_at, read, value_at
from etcd_settings.cli.verbs import Asked, verb

__all__ = ["command", "write_value"]

_MOST_ROWS = 1000
"""A longer table takes seconds to draw, and nobody reads it."""


@verb(
    "where",
    "json",
    "secrets",
    examples="""
    etcd-settings show --url etcd://localhost:2379/config/app/
    etcd-settings show database
    etcd-settings show --json | jq .database
    """,
)
@click.argument("path", default="")
def command(asked: Asked, path: str) -> None:
    """
    Show all settings, or those below PATH.

    Layers are merged and documents opened, as a program sees them. With --json: the nested tree.
    """
    mask = asked.mask()
    place, snapshot = read(asked)
    found, value = value_at(snapshot, path)
    if not found and path.strip("/"):
        raise nothing_at(snapshot, path, place)
    write_value(path, mask.value(value, path), as_json=asked.as_json)
    if not found:
        click.echo(f"Nothing is under {place.title} at revision {snapshot.revision}.", err=True)


def write_value(path: str, value: Any, *, as_json: bool) -> None:
    """Write what stands at *path*: a line for each leaf, on a terminal a table; or JSON."""
    if as_json:
        write_json(value)
        return
    rows = [(plain(name), spelled(leaf)) for name, leaf in _leaves(value, path.strip("/"))]
    if on_terminal() and 0 < len(rows) <= _MOST_ROWS:
        _draw(rows)
    elif rows:
        write("\n".join(f"{name} = {leaf}" for name, leaf in rows))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Give path and value of each leaf, in order; an empty branch is one, unless it is all there is."""
    if not isinstance(value, dict) or (path and not value):
        yield path, value
        return
    for name in sorted(value):
        yield from _leaves(value[name], f"{path}/{name}" if path else name)


def _draw(rows: list[tuple[str, str]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("setting", overflow="fold")
    table.add_column("value", overflow="fold")
    for path, value in rows:
        table.add_row(Text(path, "cyan"), Text(value))
    console().print(table)

"""Print one setting."""

from __future__ import annotations

import sys

import click

from etcd_settings.cli.output import on_terminal, spelled, write
from etcd_settings.cli.reading import nothing_at, read, value_at
from etcd_settings.cli.show import write_value
from etcd_settings.cli.verbs import Asked, verb

__all__ = ["command"]


@verb(
    "where",
    "json",
    "secrets",
    examples="""
    etcd-settings get database/host
    etcd-settings get database/password --reveal
    host=$(etcd-settings get database/host)
    """,
)
@click.argument("path")
def command(asked: Asked, path: str) -> None:
    """
    Print the value at PATH; a branch as `show` does.

    Into a pipe a text goes as it is. With --json: the value, a text or whatever the branch or document holds.
    """
    mask = asked.mask()
    place, snapshot = read(asked)
    found, value = value_at(snapshot, path)
    if not found:
        raise nothing_at(snapshot, path, place)
    shown = mask.value(value, path)
    if asked.as_json or isinstance(shown, dict):
        write_value(path, shown, as_json=asked.as_json)
    elif isinstance(shown, bytes) and not on_terminal():
        sys.stdout.buffer.write(shown)
    else:
        write(shown if isinstance(shown, str) and not on_terminal() else spelled(shown))

"""Tell what a setting was before."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from etcd_settings.cli.events import Event, deleted, written
from etcd_settings.cli.exits import Code, Stop
from etcd_settings.cli.output import write_json
from etcd_settings.cli.places import open_client
from etcd_settings.cli.verbs import Asked, Mask, verb

if TYPE_CHECKING:
    from etcd_settings import etcd

__all__ = ["command"]


@verb(
    "where",
    "json",
    "secrets",
    examples="""
    etcd-settings history database/host
    etcd-settings history database.json --reveal
    etcd-settings history database/host --json | jq '.[-1]'
    """,
)
@click.argument("path")
def command(asked: Asked, path: str) -> None:
    """
    Tell what the key at PATH was before, oldest first, deletions included.

    PATH names a key as etcd has it, so a document by its whole name. How far back it reaches is up to etcd: where
    compaction ends it, a line on stderr says so. For a key that does not exist now, it takes two seconds to be sure
    that etcd has told everything.

    With --json: a list of {"revision", "kind", "layer", "path", "value"}; kind is "create", "put" or "delete", and
    value is null for a deletion.
    """
    path = path.strip("/")
    if not path:
        raise click.UsageError("PATH is empty. Name one key, such as database/host.")
    mask, place = asked.mask(), asked.place()
    with open_client(place) as client:
        from etcd_settings.etcd.history import history  # 45 ms of HTTP/2 and protobuf

        told = {layer: history(client, place.prefix + layer + path) for layer in place.layers}
    events = [_told(layer, path, event, mask) for layer, each in told.items() for event in each.events]
    compacted = max((each.compacted or 0 for each in told.values()), default=0)
    gone = f"Etcd has compacted its history: what was before revision {compacted} is gone, but for the value of then."
    if not events:
        end = f" {gone}" if compacted else ""
        raise Stop(Code.NO, f"Etcd knows of no key {path!r} under {place.title}.{end}")
    events.sort(key=lambda event: event.revision)
    if asked.as_json:
        write_json([asdict(event) for event in events])
    for event in () if asked.as_json else events:
        event.write()
    if compacted:
        click.echo(gone, err=True)


def _told(layer: str, path: str, event: etcd.Event, mask: Mask) -> Event:
    if event.kind == "delete":
        return deleted(event.entry.mod_revision, layer, path)
    return written(event.entry, layer, path, mask, created=event.entry.version == 1)

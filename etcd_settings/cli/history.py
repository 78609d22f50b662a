"""Tell what a setting was before."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from etcd_settings.cli.exits import Code, Stop
from etcd_settings.cli.output import SIGNS, console, on_terminal, plain, spelled, write, write_json
from etcd_settings.cli.places import open_client
from etcd_settings.cli.verbs import Asked, Mask, verb

if TYPE_CHECKING:
    from etcd_settings.etcd import Event

__all__ = ["command"]


@dataclass(frozen=True, slots=True)
class _Record:
    """One write or deletion, as ``--json`` shows it."""

    revision: int
    kind: str
    layer: str
    path: str
    value: str | bytes | None


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
    records = [_record(layer, path, event, mask) for layer, each in told.items() for event in each.events]
    compacted = max((each.compacted or 0 for each in told.values()), default=0)
    gone = f"Etcd has compacted its history: what was before revision {compacted} is gone, but for the value of then."
    if not records:
        end = f" {gone}" if compacted else ""
        raise Stop(Code.NO, f"Etcd knows of no key {path!r} under {place.title}.{end}")
    records.sort(key=lambda record: record.revision)
    if asked.as_json:
        write_json([asdict(record) for record in records])
    for record in () if asked.as_json else records:
        _write(record)
    if compacted:
        click.echo(gone, err=True)


def _record(layer: str, path: str, event: Event, mask: Mask) -> _Record:
    if event.kind == "delete":
        return _Record(event.entry.mod_revision, "delete", layer, path, None)
    kind = "create" if event.entry.version == 1 else "put"
    return _Record(event.entry.mod_revision, kind, layer, path, mask.text(path, event.entry))


def _write(record: _Record) -> None:
    sign, colour = SIGNS[record.kind]
    value = "" if record.kind == "delete" else f" = {spelled(record.value)}"
    line = f"{record.revision} {sign} {plain(record.layer + record.path)}{value}"
    if on_terminal():
        console().print(line, style=colour)
    else:
        write(line)

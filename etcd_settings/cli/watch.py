"""Print changes as they come."""

from __future__ import annotations

from collections.abc import Iterator

import click

from etcd_settings.cli.events import Event, deleted, written
from etcd_settings.cli.places import open_source
from etcd_settings.cli.reading import reading
from etcd_settings.cli.verbs import Asked, Mask, verb
from etcd_settings.snapshot import Snapshot

__all__ = ["command"]


@verb(
    "where",
    "json",
    "secrets",
    examples="""
    etcd-settings watch
    etcd-settings watch database
    etcd-settings watch --json | jq --unbuffered .path
    """,
)
@click.argument("path", default="")
def command(asked: Asked, path: str) -> None:
    """
    Print changes as they come, of all settings or of those below PATH, until Ctrl-C.

    It goes on through outages and misses nothing; where a compaction took what happened meanwhile, it tells the
    difference.

    With --json: one object a line, {"revision", "kind", "layer", "path", "value"}; kind is "create", "put" or "delete",
    and value is null for a deletion.
    """
    mask, place = asked.mask(), asked.place()
    with open_source(place) as source:
        with reading(place):
            source.snapshot()  # which raises, where a watch would wait for the outage to end
        with source.watch() as snapshots:
            before = next(snapshots)
            click.echo(f"Watching {place.title} from revision {before.revision} on. Ctrl-C ends it.", err=True)
            for snapshot in snapshots:
                for event in _events(before, snapshot, mask, path.strip("/")):
                    event.write_json() if asked.as_json else event.write()
                before = snapshot


def _events(before: Snapshot, after: Snapshot, mask: Mask, below: str) -> Iterator[Event]:
    paths = [path for path in after.changed_since(before) if _is_below(path, below)]
    for path in sorted(paths):
        for layer, entries in after.layers.items():
            old, new = before.layers[layer].get(path), entries.get(path)
            if new is None and old is not None:
                yield deleted(after.revision, layer, path)
            elif new is not None and new != old:
                yield written(new, layer, path, mask, created=old is None)


def _is_below(path: str, below: str) -> bool:
    """Tell whether it is the place itself, something below it, or the document that is mounted there."""
    return not below or path == below or path.startswith((f"{below}/", f"{below}."))

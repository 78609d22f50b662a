"""Tell where a setting comes from."""

from __future__ import annotations

from dataclasses import asdict

import click

from etcd_settings.cli.exits import Code, Stop
from etcd_settings.cli.output import plain, spelled, write, write_json
from etcd_settings.cli.reading import nothing_at, read, value_at
from etcd_settings.cli.verbs import Asked, verb
from etcd_settings.nodes import Origin
from etcd_settings.tree import explain

__all__ = ["command"]


@verb(
    "where",
    "json",
    "secrets",
    examples="""
    etcd-settings explain database/host
    etcd-settings explain database/host --json | jq -r .winner.key
    """,
)
@click.argument("path")
def command(asked: Asked, path: str) -> None:
    """
    Tell which key, layer and revision the value at PATH comes from, and what it shadows.

    With --json: {"path", "value", "winner", "shadowed"}; winner and each of shadowed are {"key", "layer", "revision",
    "inside"}, where inside is the place within a document.
    """
    mask = asked.mask()
    place, snapshot = read(asked)
    found, value = value_at(snapshot, path)
    if not found:
        raise nothing_at(snapshot, path, place)
    why = explain(snapshot, path)
    if why.winner is None:
        raise Stop(Code.NO, f"{path!r} is no single value. See what it holds with `etcd-settings show {path}`.")
    shown = mask.value(value, path)
    if asked.as_json:
        shadowed = [asdict(origin) for origin in why.shadowed]
        write_json({"path": why.path, "value": shown, "winner": asdict(why.winner), "shadowed": shadowed})
        return
    write(f"{plain(why.path)} = {spelled(shown)}")
    write(f"  from {_line(why.winner)}")
    for origin in why.shadowed:
        write(f"  instead of {_line(origin)}")


def _line(origin: Origin) -> str:
    inside = f" at {origin.inside}" if origin.inside else ""
    layer = f" (layer {origin.layer})" if origin.layer else ""
    return plain(f"{origin.key}{inside}{layer}, revision {origin.revision}")

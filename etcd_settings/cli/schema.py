"""Print the JSON Schema of a settings class."""

from __future__ import annotations

from typing import Any

import click

from etcd_settings.cli.exits import Code, Stop
from etcd_settings.cli.output import write_json
from etcd_settings.cli.targets import import_type
from etcd_settings.cli.verbs import Asked, verb
from etcd_settings.masking import is_secret_name, masked

__all__ = ["command"]


@verb("json", examples="etcd-settings schema shop.settings:Settings > settings.schema.json")
@click.argument("target", metavar="MODULE:CLASS")
def command(_: Asked, target: str) -> None:  # --json is what it does anyway
    """
    Print the JSON Schema of a settings class, for editors and other checkers.

    It is JSON with and without --json. Defaults and examples of secrets are left out.
    """
    from pydantic import TypeAdapter

    kind = import_type(target)
    try:
        schema = TypeAdapter(kind).json_schema()
    except Exception as e:  # a class may have types that JSON does not
        raise Stop(Code.UNUSABLE, f"{target!r} has no JSON Schema: pydantic raised {type(e).__name__}.") from e
    write_json(_without_secrets(schema))


def _without_secrets(schema: Any) -> Any:
    match schema:
        case list():
            return [_without_secrets(item) for item in schema]
        case dict():
            kept = {name: _without_secrets(child) for name, child in schema.items()}
            if isinstance(kept.get("properties"), dict):
                kept["properties"] = {name: _property(name, child) for name, child in kept["properties"].items()}
            return kept
    return schema


def _property(name: str, schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    shown = {word: schema[word] for word in schema if word not in ("default", "examples")}
    if is_secret_name(name):
        return shown
    return shown | {word: masked(schema[word]) for word in ("default", "examples") if word in schema}

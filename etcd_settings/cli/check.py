"""Check whether a settings class accepts what etcd holds."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import Any

import click

from etcd_settings.cli.exits import Code, Stop
from etcd_settings.cli.output import plain, read_or_not, write, write_json
from etcd_settings.cli.places import open_source
from etcd_settings.cli.reading import reading
from etcd_settings.cli.targets import import_type
from etcd_settings.cli.verbs import Asked, verb
from etcd_settings.errors import (
    ConfigurationError,
    ConflictError,
    DecodeError,
    EtcdSettingsError,
    InvalidSettingsError,
    RejectedUpdateError,
)
from etcd_settings.options import Options
from etcd_settings.snapshot import Snapshot
from etcd_settings.source import Source
from etcd_settings.stores.memory import MemoryStore

__all__ = ["command", "judge", "judge_outcome", "write_problems"]


@verb(
    "where",
    "json",
    examples="""
    etcd-settings check shop.settings:Settings
    etcd-settings check shop.settings:Settings --json
    """,
)
@click.argument("target", metavar="MODULE:CLASS")
def command(asked: Asked, target: str) -> None:
    """
    Check whether a settings class accepts what etcd holds; every problem is told with its key.

    The class may be anything that pydantic takes. One that reads etcd by itself (EtcdBaseSettings) is built as a
    program builds it: its layers and its other sources, such as environment variables, count, and its own URL does
    where nobody names another.

    With --json: {"valid", "revision", "problems"}; each problem is {"path", "type", "message", "keys"}.
    """
    kind = import_type(target)
    config: dict[str, Any] = getattr(kind, "model_config", {})
    own_url = config.get("etcd_url")
    if asked.url is None and not os.environ.get("ETCD_SETTINGS_URL") and isinstance(own_url, str):
        asked = replace(asked, url=own_url)
    place = _layered(asked.place(), kind)
    with reading(place), open_source(place) as source:
        revision = source.snapshot().revision
        problems = judge(kind, source)
    with read_or_not():
        if asked.as_json:
            write_json({"valid": not problems, "revision": revision, "problems": problems})
        else:
            write_problems(problems, f"{place.title} at revision {revision}", target)
    if problems:
        raise Stop(Code.NO)


def judge(kind: Any, source: Source) -> list[dict[str, Any]]:
    """
    Say what is wrong with what *source* holds for a type; nothing if it is accepted.

    Raises:
        ConfigurationError: The type itself is configured wrongly.
    """
    error = _refusal(kind, source)
    if error is None:
        return []
    if isinstance(error, ConfigurationError):
        raise error
    if isinstance(error, InvalidSettingsError):
        return [
            _problem(".".join(map(str, one["loc"])), one["type"], one["msg"], one.get("keys", ()))
            for one in error.errors
        ]
    return [_problem("", type(one).__name__, _message(one), _keys(one)) for one in error.problems]


def judge_outcome(kind: Any, place: Options, outcome: Snapshot) -> list[dict[str, Any]]:
    """Do as `judge` for a snapshot that etcd does not hold yet."""
    store, place = MemoryStore(), _layered(place, kind)
    for entries in outcome.layers.values():
        for entry in entries.values():
            store.put(entry.key, entry.value)
    with Source(store=store, prefix=place.prefix, layers=place.layers) as source:
        return judge(kind, source)


def _layered(place: Options, kind: Any) -> Options:
    """Give *place* with the layers that the class names, where nobody else names any."""
    config: dict[str, Any] = getattr(kind, "model_config", {})
    if place.layers == ("",) and "etcd_layers" in config:
        return replace(place, layers=tuple(config["etcd_layers"]))
    return place


def _refusal(kind: Any, source: Source) -> EtcdSettingsError | None:
    from etcd_settings.live.rejections import why

    snapshot = source.snapshot()
    try:
        if _reads_etcd(kind):
            kind(_etcd_source=source)
        else:
            source.load(kind)
    except Exception as e:  # noqa: BLE001  # validators may raise anything; `why` makes it fit to be shown
        return why(e, snapshot.revision, [snapshot], [kind])
    return None


def _reads_etcd(kind: Any) -> bool:
    module: Any = sys.modules.get("etcd_settings.integrations.pydantic_settings")  # else nobody can have made one
    return module is not None and isinstance(kind, type) and issubclass(kind, module.EtcdBaseSettings)


def _keys(error: EtcdSettingsError) -> list[str]:
    match error:
        case ConflictError():
            return [*error.keys]
        case DecodeError():
            return [error.key]
    return []


def _message(error: EtcdSettingsError) -> str:
    """Say what is wrong. A `RejectedUpdateError` speaks of a Live, and there is none here."""
    return error.reason.replace("the factory", "the class", 1) if isinstance(error, RejectedUpdateError) else str(error)


def _problem(path: str, kind: str, message: str, keys: Any) -> dict[str, Any]:
    return {"path": path, "type": kind, "message": message, "keys": [*keys]}


def write_problems(problems: list[dict[str, Any]], where: str, target: str) -> None:
    """Say for people what `judge` found."""
    if not problems:
        write(f"{target} accepts {where}.")
        return
    write(f"{target} refuses {where}:")
    for problem in problems:
        keys = f" (from {', '.join(problem['keys'])})" if problem["keys"] else ""
        write(plain(f"- {problem['path'] or 'all of it'}: {problem['message']}{keys}"))

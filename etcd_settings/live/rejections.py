"""
Say why a candidate was refused, without a value.

What a factory raises may hold anything: pydantic's errors hold every input, and anybody's message may quote one. What
is kept, logged and told is an error of ours, without traceback, cause and context.
"""

from __future__ import annotations

import ast
import copy
import json
import sys
import typing
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from etcd_settings.errors import EtcdSettingsError, InvalidSettingsError, RejectedUpdateError
from etcd_settings.masking import unquoted
from etcd_settings.snapshot import Snapshot

__all__ = ["Rejection", "invalid", "why"]


@dataclass(frozen=True, slots=True)
class Rejection:
    """
    An update that was refused.

    Args:
        revision: The revision of the source that changed.

        error: Why, without a value: an `InvalidSettingsError` if the settings do not validate, another error of this
            library if the keys contradict each other, else a `RejectedUpdateError`.
    """

    revision: int
    error: EtcdSettingsError

    def __str__(self) -> str:
        """Say it in one line, fit for a log."""
        if isinstance(self.error, RejectedUpdateError):
            return " ".join(str(self.error).split())
        first, *others = (line.removeprefix("- ") for line in str(self.error).splitlines())
        return str(RejectedUpdateError(self.revision, " ".join([first, "; ".join(others)]).strip().rstrip(".")))


def why(error: BaseException, revision: int, snapshots: Iterable[Snapshot], hints: Iterable[Any]) -> EtcdSettingsError:
    """
    Make an error that may be shown of what a factory raised.

    Args:
        error: What it raised.

        revision: The revision that it was building.

        snapshots: What it built of, of which nothing may be quoted.

        hints: Types and functions that tell which fields are secret, if they are known.
    """
    if isinstance(error, EtcdSettingsError):
        return copy.copy(error)
    found = invalid(error, hints, snapshots)
    if found is not None:
        return found
    try:
        said = unquoted(str(error), {text for snapshot in snapshots for text in _texts(snapshot)})
    except Exception:  # noqa: BLE001  # somebody's __str__
        said = "it cannot be told why"
    return RejectedUpdateError(revision, f"the factory raised {type(error).__name__}: {said}")


def invalid(error: Any, hints: Iterable[Any], snapshots: Iterable[Snapshot]) -> InvalidSettingsError | None:
    """
    Make our error of pydantic's; None if it is not pydantic's.

    Messages that are not pydantic's own may quote other settings than the one that they are about, so that nothing of
    *snapshots* is shown in them.
    """
    core: Any = sys.modules.get("pydantic_core")
    if core is None or not isinstance(error, core.ValidationError):
        return None
    from etcd_settings.fitting.loading import target_for
    from etcd_settings.fitting.plans import Anything
    from etcd_settings.fitting.scrubbing import findings

    plans = [target_for(kind).plan for kind in _models([*hints], error.title)] or [Anything()]
    keys = _noted(getattr(error, "__notes__", ()))
    secrets = {text for snapshot in snapshots for text in _texts(snapshot)}
    readings: Any = zip(*(findings(error, plan, secrets=secrets) for plan in plans), strict=True)
    errors: list[Mapping[str, Any]] = []
    for same in readings:
        found = min(same, key=_shown)  # where one plan says that a place is secret, it is
        place = ".".join(map(str, found.loc))
        errors.append({"loc": found.loc, "type": found.kind, "msg": found.message, "keys": keys.get(place, ())})
    return InvalidSettingsError(error.title, errors)


def _shown(found: Any) -> bool:
    from etcd_settings.fitting.scrubbing import WITHHELD

    return bool(found.message != WITHHELD)


def _models(hints: list[Any], title: str) -> list[Any]:
    """Find the models that an error may be about: an error knows no more of its model than the name."""
    pydantic: Any = sys.modules["pydantic"]
    found: list[Any] = []
    for hint in hints:
        kind = hint
        if not isinstance(hint, type):
            with suppress(Exception):  # annotations may be anything, or name what is not there
                kind = typing.get_type_hints(hint).get("return")
        if isinstance(kind, type) and kind.__name__ == title:
            found.append(kind)
    return found or [kind for kind in _below(pydantic.BaseModel) if kind.__name__ == title]


def _below(kind: type[Any]) -> Iterator[type[Any]]:
    for child in kind.__subclasses__():
        yield child
        yield from _below(child)


def _noted(notes: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Read the notes by which `EtcdBaseSettings` tells the keys that an error is about."""
    found: dict[str, tuple[str, ...]] = {}
    for note in notes:
        place, told, keys = note.partition(" comes from etcd: ")
        if told:
            with suppress(ValueError, SyntaxError):  # somebody else's note
                found[place] = tuple(map(str, ast.literal_eval(f"[{keys}]")))
    return found


def _texts(snapshot: Snapshot) -> Iterator[str]:
    """Give every text in a snapshot, and those in its documents."""
    for layer in snapshot.layers.values():
        for entry in layer.values():
            text = entry.value.decode("utf-8", "replace")
            yield text
            with suppress(ValueError, RecursionError):
                yield from _leaves(json.loads(text))


def _leaves(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for child in value.values():
                yield from _leaves(child)
        case list():
            for child in value:
                yield from _leaves(child)
        case bool() | None:
            return
        case _:
            yield str(value)

"""
Say what differs between two states of the settings.

Pydantic models, dataclasses and mappings are gone through, field by field; everything else, lists included, is one
value that equals another or does not.

It knows values. It knows nothing of etcd, and does not import pydantic: where that is not loaded there are no models.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Generic, TypeVar

__all__ = ["Change", "changed_paths", "settings_classes"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """
    What one accepted reload did to the settings.

    Args:
        old: The settings before.

        new: The settings from now on.

        paths: The field paths whose values differ, such as ``database.host``; ``""`` where the settings as a whole are
            one value.

        revision: The revision of the source that changed.
    """

    old: T = field(repr=False)
    new: T = field(repr=False)
    paths: frozenset[str]
    revision: int

    def touches(self, path: str) -> bool:
        """Tell whether *path* changed, or something below it, or something above it as a whole."""
        return any(_is_within(changed, path) or _is_within(path, changed) for changed in self.paths)


def changed_paths(old: object, new: object) -> frozenset[str]:
    """Give the field paths whose values differ; ``""`` alone if they cannot be gone through."""
    try:
        return frozenset(_differing(old, new, ""))
    except Exception:  # noqa: BLE001  # somebody's mapping: what cannot be compared is not the same
        return frozenset({""})


def settings_classes(settings: object) -> set[Any]:
    """Find the classes of pydantic-settings that *settings* is of, or holds in its fields."""
    module: Any = sys.modules.get("pydantic_settings")
    if module is None:
        return set()
    children = _children(settings) or {}
    return {type(one) for one in (settings, *children.values()) if isinstance(one, module.BaseSettings)}


def _is_within(path: str, other: str) -> bool:
    return not other or path == other or path.startswith(f"{other}.")


def _differing(old: object, new: object, path: str) -> Iterator[str]:
    if old is new:
        return
    olds, news = _children(old), _children(new)
    if olds is None or news is None or not _are_alike(old, new):
        if not _equal(old, new):
            yield path
        return
    for name in {**olds, **news}:
        below = f"{path}.{name}" if path else str(name)
        if name in olds and name in news:
            yield from _differing(olds[name], news[name], below)
        else:
            yield below


def _children(value: Any) -> Mapping[Any, Any] | None:
    """Give what a value holds by name; None if it is one value."""
    if isinstance(value, Mapping):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name, None) for one in fields(value) if one.compare}
    pydantic: Any = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(value, pydantic.BaseModel):
        model: Any = value
        if isinstance(model, pydantic.RootModel):
            return _children(model.root)
        # Not all of __dict__: a cached_property is in there too, once somebody has asked for it.
        names = type(model).model_fields.keys() & model.__dict__.keys()
        return {**{name: model.__dict__[name] for name in names}, **(model.__pydantic_extra__ or {})}
    return None


def _are_alike(old: object, new: object) -> bool:
    """Whether their fields mean the same; mappings of any kind do, two members of a union do not."""
    return type(old) is type(new) or (isinstance(old, Mapping) and isinstance(new, Mapping))


def _equal(old: Any, new: Any) -> bool:
    try:
        # Not equal to itself is NaN, which did not change if it is NaN still.
        return bool(old == new) or bool(old != old and new != new)
    except Exception:  # noqa: BLE001  # somebody's __eq__, or an array, whose truth is not defined
        return False

"""
Have ``django.conf.settings`` show values that change.

Two things stand in the way. ``settings`` keeps what it was asked for once, so it gets a descriptor for each live name,
which wins over what is kept. And ``override_settings`` lays holders over the settings at the bottom; so the values
are shown by those, at the bottom, and every holder above goes on to win for as long as it lies there.

It knows how Django's settings are stacked. It knows nothing of etcd.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.conf import LazySettings, UserSettingsHolder, settings

__all__ = ["bottom", "show"]

Values = Callable[[], Mapping[str, Any] | None]
"""Gives the live values; None as long as nothing is followed."""


class _NotKept:
    """On ``LazySettings``: ask anew each time, whatever was kept."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, lazy: LazySettings | None, _: object = None) -> Any:
        return self if lazy is None else LazySettings.__getattr__(lazy, self._name)

    def __set__(self, lazy: LazySettings, value: object) -> None:
        raise AssertionError("LazySettings passes on what is set")  # having this at all is what wins over what is kept


class _Followed:
    """On the class of the settings at the bottom: what is live, unless somebody assigned something."""

    def __init__(self, name: str, values: Values) -> None:
        self._name, self._values, self._assigned = name, values, False

    def __get__(self, base: object | None, _: object = None) -> Any:
        if base is None:
            return self
        values = None if self._assigned else self._values()
        try:
            return (vars(base) if values is None else values)[self._name]
        except KeyError:
            pass
        raise AttributeError(f"There is no setting {self._name}.")

    def __set__(self, base: object, value: object) -> None:
        vars(base)[self._name], self._assigned = value, True

    def __delete__(self, base: object) -> None:
        vars(base).pop(self._name, None)
        self._assigned = True


def bottom() -> Any:
    """Give the settings below everything that overrides them for a time."""
    base: Any = settings._wrapped  # noqa: SLF001  # Django has no other way, and its own tests use this one
    while isinstance(base, UserSettingsHolder) and hasattr(base.default_settings, "SETTINGS_MODULE"):
        base = base.default_settings
    return base


def show(names: Iterable[str], values: Values) -> None:
    """Have these names show what *values* gives. Doing so twice is harmless."""
    base = bottom()
    kind = type(base)
    if "_followed" not in vars(kind):
        kind = type(kind.__name__, (kind,), {"_followed": True, "__module__": kind.__module__})
        base.__class__ = kind
    for name in names:
        if name not in vars(kind):
            setattr(kind, name, _Followed(name, values))
        if name not in vars(LazySettings):
            setattr(LazySettings, name, _NotKept(name))

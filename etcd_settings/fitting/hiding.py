"""
Tell which places in a tree a type holds secret, whatever spelling the names have there.

It is what `etcd_settings.masking` wants to know of types, to mask more than names tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from etcd_settings.fitting.loading import target_for
from etcd_settings.fitting.plans import Plan
from etcd_settings.fitting.records import config_of
from etcd_settings.masking import Hidden, is_secret_name

__all__ = ["hidden_in"]


def hidden_in(kind: Any) -> Hidden:
    """
    Tell what is secret in a tree that is loaded into a type.

    Args:
        kind: Anything that pydantic's `TypeAdapter` takes. If it is a settings class that reads a branch
            (``etcd_path``), the tree is the one that holds the branch.
    """
    way = [name for name in config_of(kind).get("etcd_path", "").split("/") if name]
    hidden: Hidden = _Places((target_for(kind).plan,))
    for name in reversed(way):
        hidden = _Above(name, hidden)
    return hidden


@dataclass(frozen=True)
class _Above:
    """A place on the way to the branch that the type is about."""

    name: str
    inner: Hidden
    secret: bool = False

    def below(self, name: str) -> Hidden | None:
        return self.inner if name == self.name else None


@dataclass(frozen=True)
class _Places:
    """What one place in a tree may be: several plans of a union, one as a rule."""

    plans: Sequence[Plan]
    named: bool = False

    @property
    def secret(self) -> bool:
        return self.named or any(plan.secret for plan in self.plans)

    def below(self, name: str) -> Hidden | None:
        slots = [slot for plan in self.plans for table in plan.tables() if (slot := table.slot(name)) is not None]
        named = any(is_secret_name(other) for slot in slots for other in (slot.key, *slot.fields))
        plans = [slot.plan for slot in slots]
        if not plans:
            plans = [plan for part in _parts(name) for known in self.plans if (plan := known.below(part)) is not None]
        return _Places(plans, named) if plans else None


def _parts(name: str) -> Iterable[str | int]:
    """Give what a name may be in a location: a key, or the index of an item."""
    return (name, int(name)) if name.isascii() and name.isdigit() else (name,)

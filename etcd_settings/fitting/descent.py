"""
Go down a tree beside the type that it is loaded into, whatever spelling the names have there.

It is what `etcd_settings.masking` wants to know of types, to mask more than names tell, and how a file of settings gets
numbers where etcd has texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from etcd_settings.fitting.loading import target_for
from etcd_settings.fitting.plans import Plan
from etcd_settings.fitting.records import config_of
from etcd_settings.masking import is_secret_name
from etcd_settings.nodes import Tree
from etcd_settings.spelling import unspell

__all__ = ["Spot", "nulls_as_text", "spot_for", "typed"]


def spot_for(kind: Any) -> Spot:
    """
    Give the top of a tree that is loaded into a type.

    Args:
        kind: Anything that pydantic's `TypeAdapter` takes. If it is a settings class that reads a branch
            (``etcd_path``), the tree is the one that holds the branch.
    """
    way = [name for name in config_of(kind).get("etcd_path", "").split("/") if name]
    spot: Spot = _Inside((target_for(kind).plan,))
    for name in reversed(way):
        spot = _Above(name, spot)
    return spot


def typed(tree: Tree, kind: Any) -> Tree:
    """Give *tree* with numbers, booleans, null and lists where a type has no use for the texts that spell them."""
    found: Tree = _typed(tree, spot_for(kind))
    return found


def nulls_as_text(tree: Mapping[str, Any], kind: Any) -> list[str]:
    """Give the paths at which *tree* holds null, and a type would take the text that etcd holds for it as a text."""
    return [*_nulls_as_text(tree, spot_for(kind), "")]


def _nulls_as_text(value: Any, spot: Spot | None, path: str) -> Iterator[str]:
    if spot is None:
        return
    if value is None and spot.keeps("null"):
        yield path
    elif isinstance(value, Mapping):
        for name, child in value.items():
            yield from _nulls_as_text(child, spot.below(name), f"{path}/{name}" if path else name)


def _typed(value: Any, spot: Spot | None) -> Any:
    if isinstance(value, dict):
        return {name: _typed(child, spot and spot.below(name)) for name, child in value.items()}
    return value if spot is None or not isinstance(value, str) or spot.keeps(value) else unspell(value)


@dataclass(frozen=True)
class _Above:
    """A place on the way to the branch that the type is about."""

    name: str
    inner: Spot
    secret: bool = False

    def below(self, name: str) -> Spot | None:
        return self.inner if name == self.name else None

    def keeps(self, text: str) -> bool:  # noqa: ARG002  # the type says nothing of what is here
        return True


@dataclass(frozen=True)
class _Inside:
    """What one place in a tree may be: several plans of a union, one as a rule."""

    plans: Sequence[Plan]
    named: bool = False

    @property
    def secret(self) -> bool:
        return self.named or any(plan.secret for plan in self.plans)

    def below(self, name: str) -> Spot | None:
        slots = [slot for plan in self.plans for table in plan.tables() if (slot := table.slot(name)) is not None]
        named = any(is_secret_name(other) for slot in slots for other in (slot.key, *slot.fields))
        plans = [slot.plan for slot in slots]
        if not plans:
            plans = [plan for part in _parts(name) for known in self.plans if (plan := known.below(part)) is not None]
        return _Inside(plans, named) if plans else None

    def keeps(self, text: str) -> bool:
        return any(plan.keeps(text) for plan in self.plans)


Spot: TypeAlias = _Above | _Inside
"""A place in a tree, and what the type says of it: whether it is secret, whether a text there stays one."""


def _parts(name: str) -> Iterable[str | int]:
    """Give what a name may be in a location: a key, or the index of an item."""
    return (name, int(name)) if name.isascii() and name.isdigit() else (name,)

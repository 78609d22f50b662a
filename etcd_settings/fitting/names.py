"""
Know by which names a record takes its fields.

A *record* is a model, a dataclass or a `TypedDict`. Each of its fields goes by one or several names: its own, an
alias, the choices of an `AliasChoices`, the head of an `AliasPath`. People spell them in etcd as they like,
``Max-Connections`` for ``max_connections``; a `Table` finds the field for a spelling with at most two look-ups, and
says under which key the value is handed over. That key is always the field's preferred one, as pydantic-settings has
it, so that values from several layers and several sources meet under one name.

Invariant: a table never changes once it is built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import AliasChoices, AliasPath

from etcd_settings.fitting.places import Run
from etcd_settings.nodes import Tree

if TYPE_CHECKING:
    from etcd_settings.fitting.plans import Plan

__all__ = ["FieldSpec", "Folded", "PathInside", "Served", "Slot", "Table", "aliases"]

PathInside: TypeAlias = tuple[str | int, ...]
"""The rest of an `AliasPath`, behind its head."""


@dataclass(frozen=True, eq=False)
class FieldSpec:
    """
    One field of a record, whatever kind of record it is.

    Args:
        name: The field's own name.

        annotation: Its type.

        metadata: What stands beside the type in ``Annotated``.

        choices: The ways by which a value may come, best first: the name to look up, and then the path within.
    """

    name: str
    annotation: Any
    metadata: Sequence[Any]
    choices: Sequence[tuple[str, PathInside]]

    @cached_property
    def preferred(self) -> str:
        """The key under which a whole value is handed over, whichever name it came by."""
        return next((head for head, inside in self.choices if not inside), self.choices[0][0])

    def key(self, choice: tuple[str, PathInside]) -> str:
        """Give the key under which a value that came by *choice* is handed over."""
        head, inside = choice
        return head if inside else self.preferred


Served: TypeAlias = tuple[tuple[FieldSpec, PathInside], ...]
"""Fields that one value fills, each with the path to its part of it."""


@dataclass(frozen=True, eq=False)
class Slot:
    """
    Where the value of one name goes.

    Args:
        key: The key under which it is handed over.

        make: Makes the plan for its value.

        fields: The names of the fields that it fills; none for a name that no field takes.

        rank: Its place among the names of its field; the lowest wins within a layer.

        rivals: The other keys by which the same field, and no other, could be filled.
    """

    key: str
    make: Callable[[], Plan]
    fields: tuple[str, ...] = ()
    rank: int = 0
    rivals: tuple[str, ...] = ()

    @cached_property
    def plan(self) -> Plan:
        """How to fit its value. Made when first needed, so that types may refer to themselves."""
        return self.make()


Folded: TypeAlias = dict[str, tuple[Slot, Any]]
"""Key → its slot and what one layer holds there."""


class Table:
    """
    Find slots by the names that people write.

    Args:
        fields: The record's fields.

        make: Makes the plan for a value that fills these fields; for a name that no field takes, there are none.

        case_sensitive: Whether ``Host`` and ``host`` are two names. Hyphens and underscores are one in any case.

        exact: Whether a name is found as it is spelled alone; for records whose names are keys of a dict.
    """

    def __init__(
        self,
        fields: Iterable[FieldSpec],
        make: Callable[[Served], Plan],
        *,
        case_sensitive: bool = False,
        exact: bool = False,
    ) -> None:
        self.fields, self.make, self.case_sensitive, self.exactly = tuple(fields), make, case_sensitive, exact
        self.exact: dict[str, Slot] = {}
        served = _served(self.fields)
        for spec in self.fields:
            keys = dict.fromkeys(spec.key(choice) for choice in spec.choices)
            own = [key for key in keys if all(other is spec for other, _ in served[key])]
            for rank, choice in enumerate(spec.choices):
                key = spec.key(choice)
                rivals = tuple(other for other in own if other != key)
                filled = tuple(other.name for other, _ in served[key])
                self.exact.setdefault(choice[0], Slot(key, partial(make, tuple(served[key])), filled, rank, rivals))
        self.folded: dict[str, Slot] = {}
        for name, slot in self.exact.items():
            self.folded.setdefault(self.fold(name), slot)

    def fold(self, name: str) -> str:
        """Take away from a name what does not distinguish it."""
        if self.exactly:
            return name
        name = name.replace("-", "_")
        return name if self.case_sensitive else name.lower()

    def slot(self, name: str) -> Slot | None:
        """Find where a value of this name goes; None if no field takes it."""
        return self.exact.get(name) or self.folded.get(self.fold(name))

    def named(self, part: object) -> Slot | None:
        """Find the slot at *part* of a location: a key, or with ``loc_by_alias=False`` the field's own name."""
        if not isinstance(part, str):
            return None
        return self.exact.get(part) or self.exact.get(self._preferred.get(part, part))

    @cached_property
    def _preferred(self) -> Mapping[str, str]:
        return {spec.name: spec.preferred for spec in self.fields}

    def take(self, layers: Sequence[Tree], run: Run) -> dict[str, tuple[Slot, list[Any]]]:
        """
        Sort the children of several layers' branches by slot, lowest layer first.

        Of several names of a field the first choice wins within a layer; whatever each layer calls it, the higher wins.
        """
        places: dict[str, tuple[Slot, list[Any]]] = {}
        for layer in layers:
            for key, (slot, child) in self._take(layer, run).items():
                places.setdefault(key, (slot, []))[1].append(child)
                for rival in slot.rivals:
                    places.pop(rival, None)
        return places

    def _take(self, branch: Tree, run: Run) -> Folded:
        folded: Folded = {}
        spelled: dict[str, str] = {}
        for name, child in branch.items():
            slot = self.slot(name)
            if slot is None:
                folded[name] = Slot(name, partial(self.make, ())), child
                continue
            taken = folded.get(slot.key)
            if taken is None:
                if not slot.rivals or not _outranked(slot, folded):
                    folded[slot.key] = slot, child
                    spelled[slot.key] = name
            elif taken[0].rank == slot.rank:
                run.twice(slot.key, [branch[spelled[slot.key]], child])
            elif slot.rank < taken[0].rank:
                folded[slot.key] = slot, child
                spelled[slot.key] = name
        return folded


def aliases(name: str, alias: Any, config: Mapping[str, Any]) -> list[tuple[str, PathInside]]:
    """
    List the ways by which pydantic lets a value come to a field, best first.

    Args:
        name: The field's own name.

        alias: Its validation alias of any kind, or None.

        config: The configuration of the record that owns it.
    """
    by_alias = alias is not None and config.get("validate_by_alias") is not False
    choices: list[tuple[str, PathInside]] = []
    if by_alias:
        found: Sequence[Any] = alias.choices if isinstance(alias, AliasChoices) else [alias]
        choices = [_choice(choice) for choice in found]
    if not by_alias or _by_name(config):
        choices.append((name, ()))
    return list(dict.fromkeys(choices))


def _choice(choice: Any) -> tuple[str, PathInside]:
    if isinstance(choice, AliasPath):
        head, *inside = choice.path
        return str(head), tuple(inside)
    return str(choice), ()


def _by_name(config: Mapping[str, Any]) -> bool:
    """Tell whether a field with an alias also goes by its own name, resolved as pydantic does."""
    by_name = config.get("validate_by_name")
    if by_name is None:
        by_name = config.get("populate_by_name")
    return bool(by_name)


def _served(fields: Sequence[FieldSpec]) -> dict[str, list[tuple[FieldSpec, PathInside]]]:
    """Say for every key which fields a value there fills."""
    served: dict[str, list[tuple[FieldSpec, PathInside]]] = {}
    for spec in fields:
        for choice in spec.choices:
            served.setdefault(spec.key(choice), []).append((spec, choice[1]))
    return served


def _outranked(slot: Slot, folded: Folded) -> bool:
    """Tell whether a better choice of the same field is there; a worse one is dropped."""
    for rival in slot.rivals:
        other = folded.get(rival)
        if other is not None:
            if other[0].rank < slot.rank:
                return True
            del folded[rival]
    return False

"""
Fit what etcd holds to types that hold others: lists, dicts, and records with names.

Branches are laid over each other, names folded to the field's key, children by index made into lists, and JSON texts
decoded, all in one walk.

Most places are simple: one layer, the names as the fields have them, texts where texts are wanted. Each plan looks for
that first, because 2,000 keys pass here in the two milliseconds in which they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from etcd_settings.fitting.names import PathInside, Table
from etcd_settings.fitting.places import Nodes, Run, bare, branches, container_in, grouped, merged, trace_items
from etcd_settings.fitting.plans import Anything, Make, Plan
from etcd_settings.nodes import Tree

__all__ = ["Inside", "ListOf", "MapOf", "Record"]

_ANYTHING = Anything()
_INDEXES = [str(number) for number in range(100)]
_TEXTS = {str}


class ListOf(Plan):
    """
    A list, tuple, set …: from JSON text, from a document, or from children named ``0`` … ``n-1``.

    Args:
        item: Makes the plan of every item, or of those behind the last of *first*.

        first: Make the plans of the first items, for tuples whose items differ.

        decode: Whether a text is read as JSON.

        build: Makes the collection of its items, where a strict model would refuse a list.
    """

    def __init__(
        self,
        item: Make,
        first: Sequence[Make] = (),
        *,
        decode: bool = True,
        build: Callable[[list[Any]], Any] | None = None,
    ) -> None:
        self._item, self._first, self.decode, self.build = item, first, decode, build

    @cached_property
    def rest(self) -> Plan:
        return self._item()

    @cached_property
    def first(self) -> Sequence[Plan]:
        return [make() for make in self._first]

    def fit(self, nodes: Nodes, run: Run) -> Any:
        layers, node = _opened(nodes, run, decode=self.decode)
        items: list[Any] | None
        if layers is None:
            items = trace_items(node) if type(bare(node)) is list else None
        else:
            items = _numbered(layers[0]) if len(layers) == 1 else None
        if items is not None:
            if not (self.rest.plain and not self._first and set(map(type, items)) == _TEXTS):
                items = [self.below(index).fit((item,), run) for index, item in enumerate(items)]
        elif layers is not None:
            places = run.items(grouped(layers))
            if places is None:
                return merged(layers)
            items = [self.below(index).fit(place, run) for index, place in enumerate(places)]
        else:
            return node
        return self.build(items) if self.build and not run.thorough else items

    def absent(self) -> Any:
        return []

    def below(self, part: object) -> Plan:
        return self.first[part] if isinstance(part, int) and part < len(self.first) else self.rest


class MapOf(Plan):
    """A dict: its keys are data, and stay as they are."""

    def __init__(self, value: Make, *, decode: bool = True) -> None:
        self._value, self.decode = value, decode

    @cached_property
    def value(self) -> Plan:
        return self._value()

    def fit(self, nodes: Nodes, run: Run) -> Any:
        layers, node = _opened(nodes, run, decode=self.decode)
        if layers is None:
            return node
        plan, plain = self.value, self.value.plain
        if len(layers) == 1:
            return {
                name: child if plain and type(child) is str else plan.fit((child,), run)
                for name, child in layers[0].items()
            }
        return {name: plan.fit(children, run) for name, children in grouped(layers).items()}

    def absent(self) -> Any:
        return {}

    def below(self, part: object) -> Plan:  # noqa: ARG002 — one type for all
        return self.value


class Record(Plan):
    """A model, dataclass or `TypedDict`: the names of its children are those of its fields, in any spelling."""

    def __init__(self, table: Table, *, decode: bool = True) -> None:
        self.table, self.decode = table, decode

    def fit(self, nodes: Nodes, run: Run) -> Any:
        layers, node = _opened(nodes, run, decode=self.decode)
        if layers is None:
            return node
        values = self._fit_simply(layers[0], run) if len(layers) == 1 and not run.thorough else None
        if values is not None:
            return values
        return {key: slot.plan.fit(place, run) for key, (slot, place) in self.table.take(layers, run).items()}

    def _fit_simply(self, branch: Tree, run: Run) -> Tree | None:
        """Fit a branch if every name in it leads to a field of its own; None if names need to be weighed."""
        values: Tree = {}
        for name, child in branch.items():
            slot = self.table.slot(name)
            if slot is None or slot.rivals or slot.key in values:
                return None
            plan = slot.plan
            values[slot.key] = child if type(child) is str and plan.plain else plan.fit((child,), run)
        return values

    def absent(self) -> Any:
        return {}

    def below(self, part: object) -> Plan | None:
        slot = self.table.named(part)
        return None if slot is None else slot.plan

    def names(self, part: object) -> tuple[str, ...]:
        slot = self.table.named(part)
        return () if slot is None else (slot.key, *slot.fields)

    def tables(self) -> list[Table]:
        return [self.table]


class Inside(Plan):
    """
    The value of which an `AliasPath` takes a part.

    Args:
        parts: The ways to the parts that are wanted, each with the plan for what is there.
    """

    def __init__(self, parts: Sequence[tuple[PathInside, Make]]) -> None:
        self._parts: dict[str | int, list[tuple[PathInside, Make]]] = {}
        for inside, make in parts:
            self._parts.setdefault(inside[0], []).append((inside[1:], make))

    @cached_property
    def parts(self) -> dict[str | int, Plan]:
        return {part: _inside(ways) for part, ways in self._parts.items()}

    def fit(self, nodes: Nodes, run: Run) -> Any:
        node = container_in(nodes[-1]) if type(bare(nodes[-1])) is str else nodes[-1]
        if node is None:
            return nodes[-1]
        if node is not nodes[-1]:
            nodes = (node,)
        if type(bare(node)) is list:
            return self._fit_items([(item,) for item in trace_items(node)], run)
        if type(node) is not dict:
            return node
        children = grouped(branches(nodes))
        by_index = run.items(children) if any(isinstance(part, int) for part in self._parts) else None
        if by_index is not None:
            return self._fit_items(by_index, run)
        return {name: self.parts.get(name, _ANYTHING).fit(place, run) for name, place in children.items()}

    def _fit_items(self, places: Sequence[Nodes], run: Run) -> list[Any]:
        size = len(places)
        plans = (self.parts.get(i) or self.parts.get(i - size) or _ANYTHING for i in range(size))
        return [plan.fit(place, run) for plan, place in zip(plans, places, strict=True)]

    def below(self, part: object) -> Plan | None:
        return self.parts.get(part) if isinstance(part, (str, int)) else None


def _inside(ways: Sequence[tuple[PathInside, Make]]) -> Plan:
    whole = next((make for inside, make in ways if not inside), None)
    return whole() if whole else Inside(ways)


def _opened(nodes: Nodes, run: Run, *, decode: bool) -> tuple[list[Tree] | None, Any]:
    """
    Open a place where a branch or a list is wanted.

    Returns:
        The branches that make it up and None, or else None and the node that is there instead.
    """
    node = nodes[-1]
    if type(node) is dict:
        return [node] if len(nodes) == 1 else branches(nodes), None
    value = bare(node)
    if type(value) is str and decode:
        node = run.decode(node)
        return ([node], None) if type(node) is dict else (None, node)
    if type(value) is bytes:
        run.undecodable(node)
    return None, node


def _numbered(branch: Tree) -> list[Any] | None:
    """Give the children of a branch whose names are ``0`` … ``n-1``; None for any other."""
    size = len(branch)
    names = _INDEXES[:size] if size <= len(_INDEXES) else map(str, range(size))
    try:
        return [branch[name] for name in names] or None
    except KeyError:
        return None

"""
Fit what etcd holds to one type each.

A plan stands for a type. It takes the nodes that the layers hold at a place, lowest first, and gives the value for
pydantic: branches laid over each other, names folded to the field's key, JSON texts decoded where a branch or a list is
wanted, children by index made into lists, secrets wrapped. It validates nothing; whatever it can't fit it hands over as
it is, and pydantic says what is wrong with it.

Invariant: the cost of fitting is that of looking at every node once.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from etcd_settings.fitting.names import PathInside, Table
from etcd_settings.fitting.places import Nodes, Run, bare, branches, container_in, grouped, merged, trace_items
from etcd_settings.nodes import Tree

__all__ = ["MISSING", "Anything", "Hidden", "Inside", "JsonText", "ListOf", "Make", "MapOf", "Plan", "Record", "Text"]

MISSING: Any = object()
"""Nothing is there. None is a value like any other."""

Make = Callable[[], "Plan"]
"""Makes the plan of an inner type when it is first needed: types may refer to themselves."""


class Plan(ABC):
    """
    How to fit nodes to one type.

    Attributes:
        plain: Whether a text is handed over as it is, so that the caller need not ask.

        takes_text: Whether any text at all is a valid value.

        takes_bytes: Whether bytes that are no text are a valid value.

        secret: Whether what it holds must not be shown.

        literals: The only texts that are valid, each with the value that it means; None if that is not known.
    """

    plain: bool = False
    takes_text: bool = False
    takes_bytes: bool = False
    secret: bool = False
    literals: Mapping[str, Any] | None = None

    @abstractmethod
    def fit(self, nodes: Nodes, run: Run) -> Any:
        """Give the value for pydantic; in a thorough run its traced counterpart."""

    def absent(self) -> Any:
        """Give what stands for a place of which etcd holds nothing."""
        return MISSING

    def below(self, part: object) -> Plan | None:  # noqa: ARG002 — most types hold nothing
        """Give the plan for what is at *part* of a value, as pydantic's locations spell it; None if nothing is."""
        return None

    def names(self, part: object) -> tuple[str, ...]:  # noqa: ARG002 — most types have no names
        """Give the names of the fields that are at *part* of a value."""
        return ()

    def tables(self) -> list[Table]:
        """Give the names by which values may come, of every record that this may be."""
        return []


class Anything(Plan):
    """A type that says nothing: the tree as it is."""

    plain = takes_text = takes_bytes = True

    def fit(self, nodes: Nodes, run: Run) -> Any:  # noqa: ARG002 — nothing can go wrong here
        return merged(nodes)

    def below(self, part: object) -> Plan:  # noqa: ARG002 — everything is like it
        return self


_ANYTHING = Anything()


class Text(Plan):
    """
    Stand for a type that is made from one text: `str`, `int`, `bool`, a URL, a date.

    Args:
        takes_text: Whether any text will do.

        takes_bytes: Whether any bytes will do.

        literals: The only texts that will do, each with its value; None if that is not known.

        read: Makes a value of the text, for types that pydantic would not let come from one.
    """

    def __init__(
        self,
        *,
        takes_text: bool = False,
        takes_bytes: bool = False,
        literals: Mapping[str, Any] | None = None,
        read: Callable[[str], Any] | None = None,
    ) -> None:
        self.takes_text, self.takes_bytes, self.literals, self.read = takes_text, takes_bytes, literals, read
        self.plain = read is None

    def fit(self, nodes: Nodes, run: Run) -> Any:
        node = nodes[-1]
        if type(node) is dict:
            return merged(nodes)
        value = bare(node)
        if type(value) is bytes and not self.takes_bytes:
            return run.undecodable(node)
        if self.read is not None and type(value) is str and not run.thorough:
            return self.read(value)
        return node


class JsonText(Plan):
    """``Json[…]``: pydantic reads the text. What etcd holds as a branch or a document becomes a text again."""

    takes_text = True

    def fit(self, nodes: Nodes, run: Run) -> Any:
        value = merged(nodes)
        if run.thorough or isinstance(value, (str, bytes)):
            return value
        return json.dumps(value, default=str)


class Hidden(Plan):
    """A type that hides what it holds: `SecretStr`, `SecretBytes`, ``Secret[…]``."""

    secret = True

    def __init__(self, inner: Plan, wrap: Callable[[Any], Any]) -> None:
        self.inner, self.wrap = inner, wrap
        self.takes_text, self.takes_bytes = inner.takes_text, inner.takes_bytes

    def fit(self, nodes: Nodes, run: Run) -> Any:
        value = self.inner.fit(nodes, run)
        return value if run.thorough else self.wrap(value)


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
        layers, node = opened(nodes, run, decode=self.decode)
        if layers is not None:
            children = grouped(layers)
            places = run.items(children)
            if places is None:
                return merged(layers)
        elif type(bare(node)) is list:
            places = [(item,) for item in trace_items(node)]
        else:
            return node
        items = [self.below(index).fit(place, run) for index, place in enumerate(places)]
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
        layers, node = opened(nodes, run, decode=self.decode)
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
        layers, node = opened(nodes, run, decode=self.decode)
        if layers is None:
            return node
        if len(layers) > 1:
            return {k: slot.plan.fit(place, run) for k, (slot, place) in self.table.take_layers(layers, run).items()}
        values: Tree = {}
        for key, (slot, child) in self.table.take(layers[0], run).items():
            plan = slot.plan
            values[key] = child if plan.plain and type(child) is str else plan.fit((child,), run)
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


def opened(nodes: Nodes, run: Run, *, decode: bool) -> tuple[list[Tree] | None, Any]:
    """
    Open a place where a branch or a list is wanted.

    Returns:
        The branches that make it up and None, or else None and the node that is there instead.
    """
    node = nodes[-1]
    if type(node) is dict:
        return branches(nodes), None
    value = bare(node)
    if type(value) is str and decode:
        node = run.decode(node)
        return ([node], None) if type(node) is dict else (None, node)
    if type(value) is bytes:
        run.undecodable(node)
    return None, node

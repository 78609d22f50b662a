"""
Fit what etcd holds to a union.

Which member a value belongs to is pydantic's to decide. Here we only choose how to read it: as a branch, as a list or
as a text; and for a branch which names it may use, which a `Literal` field often tells (the tag of a discriminated
union). Names and types that the remaining members share are joined.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

from etcd_settings.fitting.containers import ListOf, MapOf, Record
from etcd_settings.fitting.names import Slot, Table
from etcd_settings.fitting.places import Nodes, Run, bare, branches, container_in, grouped, merged
from etcd_settings.fitting.plans import Hidden, Plan
from etcd_settings.nodes import Tree

__all__ = ["Choice", "contradicted"]


class Choice(Plan):
    """
    One of several types.

    Args:
        members: The plans of the members, without that of None.

        nullable: Whether None is a member.

        decode: Whether a text may be read as JSON.

        read: Makes a value of a text, where a member would not let it come from one.
    """

    def __init__(
        self,
        members: Sequence[Plan],
        *,
        nullable: bool = False,
        decode: bool = True,
        read: Callable[[str], Any] | None = None,
    ) -> None:
        self.members, self.nullable, self.decode, self.read = members, nullable, decode, read
        self.records = [member for member in members if isinstance(member, Record)]
        self.maps = [member for member in members if isinstance(member, MapOf)]
        self.lists = [member for member in members if isinstance(member, ListOf)]
        self.others = [m for m in members if not isinstance(m, (Record, MapOf, ListOf))]
        self.hidden = next((member for member in self.others if isinstance(member, Hidden)), None)
        self.secret = self.hidden is not None
        self.takes_text = any(member.takes_text for member in self.others)
        self.takes_bytes = any(member.takes_bytes for member in self.others)
        self.plain = len(self.others) == len(members) and not self.secret and read is None and self.takes_text
        self._joined: dict[tuple[int, ...], Record] = {}

    def fit(self, nodes: Nodes, run: Run) -> Any:
        node = nodes[-1]
        if type(node) is dict:
            return self._branch(nodes, run)
        value = bare(node)
        if type(value) is str:
            return self._text(node, run)
        if type(value) is list and self.lists:
            return self.as_list.fit(nodes, run)
        if type(value) is bytes and not self.takes_bytes:
            return run.undecodable(node)
        return self._hide(nodes, run)

    def below(self, part: object) -> Plan | None:
        """Give what the members have there, joined."""
        found = [plan for member in self.members if (plan := member.below(part)) is not None]
        return _one(found) if found else None

    def names(self, part: object) -> tuple[str, ...]:
        return tuple(name for member in self.members for name in member.names(part))

    def tables(self) -> list[Table]:
        return [member.table for member in self.records]

    def keeps(self, text: str) -> bool:
        return any(member.keeps(text) for member in self.members)

    @cached_property
    def as_list(self) -> ListOf:
        """The members that are lists, as one."""
        if len(self.lists) == 1:
            return self.lists[0]
        return ListOf(lambda: _one([plan.rest for plan in self.lists]), decode=self.decode)

    @cached_property
    def as_map(self) -> MapOf:
        """The members that are dicts, as one."""
        return MapOf(lambda: _one([plan.value for plan in self.maps]), decode=self.decode)

    def _text(self, node: Any, run: Run) -> Any:
        text: str = bare(node)
        if self.decode and (self.records or self.maps or self.lists):
            found = container_in(node)
            if found is not None:
                return self.fit((found,), run)
        if self.nullable and text == "null" and not self.takes_text:
            return node if run.thorough else None
        if self.read is not None and not run.thorough:
            return self.read(text)
        return self._hide((node,), run)

    def _hide(self, nodes: Nodes, run: Run) -> Any:
        """Wrap what may be a secret, unless a member before that one takes any text just as well."""
        taker = next((member for member in self.others if member.takes_text), None)
        return nodes[-1] if self.hidden is None or taker is not self.hidden else self.hidden.fit(nodes, run)

    def _branch(self, nodes: Nodes, run: Run) -> Any:
        layers = branches(nodes)
        if self.lists and self._numbered(layers):
            return self.as_list.fit(nodes, run)
        if self.records:
            record = self._record(layers)
            if not self.maps or all(record.table.slot(name) for layer in layers for name in layer):
                return record.fit(nodes, run)
        if self.maps:
            return self.as_map.fit(nodes, run)
        return self._hide([merged(nodes)], run)

    def _numbered(self, layers: Sequence[Tree]) -> bool:
        names = grouped(layers)
        if not names or not all(name.isascii() and name.isdigit() for name in names):
            return False
        # With a dict among the members a gap is no error: then the numbers are its keys.
        return not self.maps or all(str(index) in names for index in range(len(names)))

    def _record(self, layers: Sequence[Tree]) -> Record:
        if len(self.records) == 1:
            return self.records[0]
        fitting = tuple(i for i, member in enumerate(self.records) if not contradicted(member.table, layers))
        chosen = fitting or tuple(range(len(self.records)))
        if chosen not in self._joined:
            self._joined[chosen] = _join([self.records[i] for i in chosen])
        return self._joined[chosen]


def contradicted(table: Table, layers: Sequence[Tree]) -> bool:
    """Tell whether a field that allows a few texts only has another one, so that this member can't be meant."""
    seen: set[str] = set()
    for layer in reversed(layers):
        for name, child in layer.items():
            slot = table.slot(name)
            if slot is None or slot.key in seen:
                continue
            seen.add(slot.key)
            value, literals = bare(child), slot.plan.literals
            if literals is not None and isinstance(value, (str, int)) and str(value) not in literals:
                return True
    return False


def _join(records: Sequence[Record]) -> Record:
    """Make one record of several: every name leads to what it leads to in any of them."""
    if len(records) == 1:
        return records[0]
    first, *others = [record.table for record in records]
    table = Table((), first.make, case_sensitive=first.case_sensitive)
    for name in dict.fromkeys(name for one in (first, *others) for name in one.exact):
        slots = [slot for one in (first, *others) if (slot := one.slot(name)) is not None]
        own = next(one.exact[name] for one in (first, *others) if name in one.exact)
        fields = tuple(field for slot in slots for field in slot.fields)
        table.exact[name] = Slot(own.key, partial(_one_of, slots), fields, own.rank, own.rivals)
        table.folded.setdefault(table.fold(name), table.exact[name])
    return Record(table, decode=records[0].decode)


def _one_of(slots: Sequence[Slot]) -> Plan:
    return _one([slot.plan for slot in slots])


def _one(plans: Sequence[Plan]) -> Plan:
    """Make one plan of several."""
    distinct = list(dict.fromkeys(plans))
    if len(distinct) == 1:
        return distinct[0]
    members = [m for plan in distinct for m in (plan.members if isinstance(plan, Choice) else [plan])]
    nullable = any(isinstance(plan, Choice) and plan.nullable for plan in distinct)
    return Choice(members, nullable=nullable)

"""
Read a type, and plan how to fit trees to it.

Types are read as pydantic reads them: annotations with their metadata, collections, unions, aliases of types, and
records (see `records`). What wants a branch or a list (pydantic-settings calls it complex) decodes JSON text, unless
``NoDecode`` or ``enable_decoding=False`` says otherwise.

It knows types. It knows no trees; those are the plans' business.
"""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cached_property, partial
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin
from uuid import UUID

from pydantic import Json, RootModel, Secret, SecretBytes, SecretStr, Strict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from etcd_settings.fitting.containers import Inside, ListOf, MapOf, Record
from etcd_settings.fitting.names import Served, Table
from etcd_settings.fitting.plans import Anything, Hidden, JsonText, Make, Plan, Text
from etcd_settings.fitting.records import config_of, fields_of, flat_metadata, is_record, peel
from etcd_settings.fitting.unions import Choice

__all__ = ["Planner"]

_NEVER_JUST_TEXT = (
    *(int, float, complex, Decimal, date, time, timedelta, UUID, Enum),
    *(IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network),
)
_JSON: Any = Json  # to type checkers an alias of Annotated, at run time a class
_COLLECTIONS = (Sequence, AbstractSet, deque)
_BUILT: tuple[type, ...] = (tuple, frozenset, set, deque)


@dataclass(frozen=True)
class Hints:
    """
    What stands around a type and changes how its text is read.

    Args:
        decode: Whether a text may be JSON.

        strict: Whether pydantic would refuse to make the value of a text, so that we must.
    """

    decode: bool = True
    strict: bool = False


class Planner:
    """
    Make plans for types that belong together; what a type is made of is planned when it is first met.

    Args:
        case_sensitive: Whether ``Host`` and ``host`` are two names.

        enable_decoding: Whether texts are read as JSON where nothing is said about it.
    """

    def __init__(self, *, case_sensitive: bool = False, enable_decoding: bool = True) -> None:
        self.case_sensitive, self.enable_decoding = case_sensitive, enable_decoding
        self._tables: dict[int, tuple[Any, Table]] = {}  # with the type itself, so that its id stays taken
        self._aliases: dict[tuple[int, Hints], tuple[Any, Plan]] = {}

    def root(self, annotation: Any) -> Plan:
        """Plan for the whole of what is loaded."""
        return self.plan(annotation, Hints(self.enable_decoding))

    def plan(self, annotation: Any, hints: Hints, metadata: Iterable[Any] = ()) -> Plan:
        """Plan for one type, with the *metadata* that stand beside it."""
        peeled, more = peel(annotation)
        hints, notes = self._heed(hints, [*metadata, *more])
        if peeled is Json or any(isinstance(note, _JSON) for note in notes):
            return JsonText()
        if not hasattr(annotation, "__value__"):
            return self._plan(peeled, hints)
        key = id(annotation), hints  # an alias of a type may refer to itself
        if key not in self._aliases:
            self._aliases[key] = annotation, self._plan(peeled, hints)
        return self._aliases[key][1]

    def table(self, record: Any) -> Table:
        """Give the names of a record."""
        if id(record) not in self._tables:
            config = config_of(record)
            make = partial(self._serve, strict=bool(config.get("strict")))
            exact = bool(config.get("exact_names"))
            table = Table(fields_of(record), make, case_sensitive=self.case_sensitive, exact=exact)
            self._tables[id(record)] = record, table
        return self._tables[id(record)][1]

    def _serve(self, served: Served, *, strict: bool) -> Plan:
        """Plan for a value that fills fields, or parts of it do."""
        hints = Hints(self.enable_decoding, strict)
        makes = [(inside, partial(self.plan, spec.annotation, hints, spec.metadata)) for spec, inside in served]
        if not makes:
            return Anything()
        whole = next((make for inside, make in makes if not inside), None)
        return whole() if whole else Inside(makes)

    def _heed(self, hints: Hints, metadata: Iterable[Any]) -> tuple[Hints, list[Any]]:
        notes = flat_metadata(metadata)
        settings: Any = sys.modules.get("pydantic_settings")  # not loaded: then nobody can have used its marks
        if settings is not None and settings.NoDecode in notes:
            hints = replace(hints, decode=False)
        elif settings is not None and settings.ForceDecode in notes:
            hints = replace(hints, decode=True)
        for note in notes:
            if isinstance(note, Strict):
                hints = replace(hints, strict=note.strict)
        return hints, notes

    def _plan(self, kind: Any, hints: Hints) -> Plan:
        origin, args = get_origin(kind), get_args(kind)
        if origin in (Union, UnionType):
            return self._union(kind, hints)
        if origin is Literal:
            return _literal(args)
        if isinstance(kind, TypeVar):
            return self.plan(kind.__bound__ or Any, hints)
        cls = origin if isinstance(origin, type) else kind
        if not isinstance(cls, type) or cls is object:
            return Anything()
        if issubclass(cls, (Secret, SecretStr, SecretBytes)):
            return self._secret(kind, cls, hints)
        if issubclass(cls, RootModel):
            root = next(iter(fields_of(cls)), None)
            return Anything() if root is None else self.plan(root.annotation, hints, root.metadata)
        if issubclass(cls, tuple) and hasattr(cls, "_fields"):
            by_index = ListOf(Anything, [partial(self.plan, f.annotation, hints) for f in fields_of(cls)])
            return Choice([Record(self.table(cls), decode=hints.decode), by_index], decode=hints.decode)
        if is_record(cls):
            return Record(self.table(kind), decode=hints.decode)
        if issubclass(cls, Mapping):
            return MapOf(self._inner(args, 1, hints), decode=hints.decode)
        if issubclass(cls, _COLLECTIONS) and not issubclass(cls, (str, bytes, bytearray)):
            return self._collection(cls, args, hints)
        if origin is not None and hasattr(origin, "__get_pydantic_core_schema__"):
            return Choice([MapOf(Anything), ListOf(Anything), Anything()], decode=hints.decode)
        return _text(kind, cls, hints)

    def _inner(self, args: Sequence[Any], index: int, hints: Hints) -> Make:
        return partial(self.plan, args[index], hints) if len(args) > index else Anything

    def _collection(self, cls: type, args: tuple[Any, ...], hints: Hints) -> Plan:
        build = next((built for built in _BUILT if cls is built), None) if hints.strict else None
        if issubclass(cls, tuple) and args and args[-1] is not Ellipsis:
            first = [partial(self.plan, arg, hints) for arg in args]
            return ListOf(Anything, first, decode=hints.decode, build=build)
        return ListOf(self._inner(args, 0, hints), decode=hints.decode, build=build)

    def _secret(self, kind: Any, cls: type, hints: Hints) -> Plan:
        if issubclass(cls, SecretBytes):
            return Hidden(Text(takes_text=True, takes_bytes=True), partial(_hide_bytes, cls))
        if issubclass(cls, SecretStr):
            return Hidden(Text(takes_text=True), partial(_hide_text, cls))
        bases = [kind, *getattr(cls, "__orig_bases__", ())]
        inner = next((args[0] for base in bases if (args := get_args(base))), Any)
        return Hidden(self.plan(inner, hints), Secret)

    def _union(self, kind: Any, hints: Hints) -> Plan:
        plans: list[Plan] = []
        nullable = False
        for arg in get_args(kind):
            if arg is NoneType or arg is None:
                nullable = True
                continue
            plan = self.plan(arg, hints)
            members = plan.members if isinstance(plan, Choice) else [plan]
            nullable = nullable or (isinstance(plan, Choice) and plan.nullable)
            plans += members
        return Choice(plans, nullable=nullable, decode=hints.decode, read=_union_reader(kind, plans))


class _Reader:
    """
    Make a value of a text where pydantic would insist on another type: etcd holds nothing but texts.

    As pydantic-settings does for the environment: the text by lax rules, else what it says as JSON, else the text.
    """

    def __init__(self, kind: Any) -> None:
        self.kind = kind

    @cached_property
    def validate(self) -> Callable[[Any], Any] | None:
        try:
            return TypeAdapter(self.kind).validate_python
        except PydanticUserError:  # a type that only the model's own configuration allows
            return None

    def __call__(self, text: str) -> Any:
        if self.validate is None:
            return text
        for read in (str, json.loads):
            try:
                return self.validate(read(text))
            except (ValidationError, ValueError, RecursionError):
                continue
        return text


def _union_reader(kind: Any, members: Sequence[Plan]) -> Callable[[str], Any] | None:
    if not any(isinstance(member, Text) and member.read is not None for member in members):
        return None
    read = _Reader(kind)
    if any(member.takes_text for member in members):
        return read  # a text that means a literal is a text all the same
    literals = {text: value for member in members for text, value in (member.literals or {}).items()}
    return lambda text: literals[text] if text in literals else read(text)


def _text(kind: Any, cls: type, hints: Hints) -> Plan:
    if issubclass(cls, Enum):
        picky = hints.strict or not all(isinstance(member.value, str) for member in cls)
    else:
        picky = hints.strict
    read = _Reader(kind) if picky else None
    if issubclass(cls, (bytes, bytearray)):
        return Text(takes_text=True, takes_bytes=True, read=read)
    known = issubclass(cls, (str, PurePath, *_NEVER_JUST_TEXT))
    return Text(takes_text=not issubclass(cls, _NEVER_JUST_TEXT), takes_bytes=not known, read=read)


def _literal(args: tuple[Any, ...]) -> Plan:
    literals: dict[str, Any] = {arg: arg for arg in args if isinstance(arg, str)}
    for arg in args:
        value = arg.value if isinstance(arg, Enum) else arg
        literals.setdefault(json.dumps(value, default=str), arg)
        literals.setdefault(str(value), arg)
    picky = not all(isinstance(arg, str) for arg in args)
    return Text(literals=literals, read=partial(_literally, literals) if picky else None)


def _literally(literals: Mapping[str, Any], text: str) -> Any:
    return literals.get(text, text)


def _hide_text(cls: Callable[[str], Any], value: Any) -> Any:
    return cls(value) if isinstance(value, str) else value


def _hide_bytes(cls: Callable[[bytes], Any], value: Any) -> Any:
    value = value.encode() if isinstance(value, str) else value
    return cls(value) if isinstance(value, bytes) else value

"""
Tell what type a default stands for, so that etcd's text becomes the same.

A dict is a record that may hold more than its default does; a list is a list of what is in it. Where a default says
nothing, being None, the text stays text; where no text becomes such a thing (a function, an object of somebody's), none
is taken.

It knows values of Python, and Django's lazy texts. It knows nothing of etcd.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from django.utils.functional import Promise
from pydantic import PlainValidator, TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12, and brings it

__all__ = ["copied", "merged", "record", "type_of"]

_SCALARS = (bool, int, float, str, bytes, Decimal, datetime, date, time, timedelta, UUID, Path)  # a bool is an int too


def type_of(default: Any) -> Any:
    """Give the type that *default* stands for; `Any` leaves a text a text."""
    if default is None:
        return Any
    if isinstance(default, Promise):  # a text that is translated when it is shown
        return str
    if isinstance(default, Enum):
        return type(default)
    scalar = next((kind for kind in _SCALARS if isinstance(default, kind)), None)
    if scalar is not None:
        return scalar
    kind: Any
    match default:
        case Mapping() if {type_of(name) for name in default} <= {str}:
            return record("dict", default)
        case Mapping():
            return dict[_common(default), _common(default.values())]  # type: ignore[misc]  # it is made here
        case tuple() if not hasattr(default, "_fields"):
            return tuple[_common(default), ...]  # type: ignore[misc]  # likewise
        case list():
            return list[_common(default)]  # type: ignore[misc]  # likewise
        case set() | frozenset():
            kind = frozenset if isinstance(default, frozenset) else set
            return kind[_common(default)]
    kind = type(default)
    return _of_an_object(kind)


def record(name: str, defaults: Mapping[str, Any]) -> Any:
    """Make the type of a dict with these defaults, none of which has to be there, and with others."""
    make: Any = TypedDict
    kind = make(name, {key: type_of(value) for key, value in defaults.items()}, total=False)
    kind.__pydantic_config__ = {"extra": "allow", "exact_names": True}  # the second is for our `Planner`
    return kind


def merged(default: Any, value: Any) -> Any:
    """Lay *value* over *default*, dict by dict; what comes out shares nothing that could change with either."""
    if not isinstance(default, Mapping) or not isinstance(value, Mapping):
        return copied(value)
    return {**copied(default), **{name: merged(default.get(name), below) for name, below in value.items()}}


def copied(value: Any) -> Any:
    """Copy dicts and lists at every depth; what is in them may be anything, and stays the same."""
    if type(value) is dict:
        return {name: copied(below) for name, below in value.items()}
    return type(value)(map(copied, value)) if type(value) in (list, tuple, set) else value


@lru_cache(maxsize=256)  # the same for the same, so that a list may be of one type
def _of_an_object(kind: type) -> Any:
    """Give the type itself if pydantic makes it of something, such as a pattern or a dataclass; else take no text."""
    try:
        if TypeAdapter(kind).core_schema["type"] != "any":  # that of `object` itself
            return kind
    except PydanticUserError:
        pass

    def refuse(_: object) -> Any:
        message = "Its default is a {kind}, which no text becomes"
        raise PydanticCustomError("opaque_default", message, {"kind": kind.__name__})

    return Annotated[Any, PlainValidator(refuse)]


def _common(items: Iterable[Any]) -> Any:
    """Give the type that all items have; dicts in a list are replaced whole, and keep no default."""
    kinds = {dict[str, Any] if isinstance(item, Mapping) else type_of(item) for item in items}
    return kinds.pop() if len(kinds) == 1 else Any

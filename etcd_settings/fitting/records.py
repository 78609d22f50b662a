"""
Tell what fields a record has: a pydantic model, a dataclass of either kind, a `TypedDict`, a `NamedTuple`.

Here are the differences between the kinds of records, so that nobody else need know them.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import InitVar, is_dataclass
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, TypeVar, get_args, get_origin, get_type_hints

import typing_extensions
from pydantic import AliasGenerator, BaseModel
from pydantic.dataclasses import rebuild_dataclass
from pydantic.fields import FieldInfo

from etcd_settings.fitting.names import FieldSpec, aliases

__all__ = ["config_of", "fields_of", "flat_metadata", "is_record", "peel"]

_QUALIFIERS: frozenset[Any] = frozenset(
    getattr(module, name)
    for module in (typing, typing_extensions)
    for name in ("Required", "NotRequired", "ReadOnly", "Final")
    if hasattr(module, name)
)


def peel(annotation: Any) -> tuple[Any, list[Any]]:
    """Take off what is wrapped around a type, such as ``Annotated``, ``NewType`` or an alias; keep the metadata."""
    metadata: list[Any] = []
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            metadata += annotation.__metadata__
            annotation = annotation.__origin__
        elif hasattr(annotation, "__value__"):  # an alias made by `type X = …` or TypeAliasType
            annotation = _applied(
                _evaluated(annotation.__value__, annotation.__module__),
                getattr(origin, "__type_params__", ()),
                get_args(annotation),
            )
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif origin in _QUALIFIERS:
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, InitVar):
            annotation = annotation.type
        else:
            return annotation, metadata


def flat_metadata(metadata: Iterable[Any]) -> list[Any]:
    """List metadata with those that a ``Field(…)`` among them stands for."""
    notes: list[Any] = []
    for note in metadata:
        notes += note.metadata if isinstance(note, FieldInfo) else [note]
    return notes


def is_record(cls: type) -> bool:
    """Tell whether *cls* has fields with names."""
    return issubclass(cls, BaseModel) or is_dataclass(cls) or typing_extensions.is_typeddict(cls)


def config_of(record: Any) -> Mapping[str, Any]:
    """Give a record's pydantic configuration."""
    cls = get_origin(record) or record
    found: Any = getattr(cls, "model_config", None) or getattr(cls, "__pydantic_config__", None)
    return found if isinstance(found, Mapping) else {}


def fields_of(record: Any) -> list[FieldSpec]:
    """List a record's fields with every name that they go by."""
    cls = get_origin(record) or record
    config = config_of(cls)
    _complete(cls)
    if issubclass(cls, BaseModel):
        infos: Mapping[str, FieldInfo] = cls.model_fields
        return [_from_info(name, info, config) for name, info in infos.items()]
    infos = getattr(cls, "__pydantic_fields__", {})
    if infos:
        return [_from_info(name, info, config) for name, info in infos.items() if info.init is not False]
    params = getattr(cls, "__parameters__", ())
    hints = {name: _applied(hint, params, get_args(record)) for name, hint in _hints(cls).items()}
    return [_from_hint(name, hints[name], default, config) for name, default in _declared(cls) if name in hints]


def _complete(cls: Any) -> None:
    """Have pydantic look up names that were not known yet when the class was made, as it does when it validates."""
    if getattr(cls, "__pydantic_complete__", True):
        return
    if issubclass(cls, BaseModel):
        cls.model_rebuild(raise_errors=False)
    else:
        rebuild_dataclass(cls, raise_errors=False)


def _from_info(name: str, info: FieldInfo, config: Mapping[str, Any]) -> FieldSpec:
    alias = info.alias if info.validation_alias is None else info.validation_alias
    return FieldSpec(name, info.annotation, info.metadata, aliases(name, alias, config))


def _from_hint(name: str, hint: Any, default: Any, config: Mapping[str, Any]) -> FieldSpec:
    """Do for a plain annotation what pydantic does for a model's."""
    annotation, metadata = peel(hint)
    infos = [note for note in (*metadata, default) if isinstance(note, FieldInfo)]
    found = (info.alias if info.validation_alias is None else info.validation_alias for info in reversed(infos))
    alias = next((alias for alias in found if alias is not None), None) or _generated(name, config)
    notes = [*metadata, default] if isinstance(default, FieldInfo) else metadata
    return FieldSpec(name, annotation, notes, aliases(name, alias, config))


def _generated(name: str, config: Mapping[str, Any]) -> Any:
    generator: AliasGenerator | Callable[[str], str] | None = config.get("alias_generator")
    if isinstance(generator, AliasGenerator):
        alias, validation_alias, _ = generator.generate_aliases(name)
        return alias if validation_alias is None else validation_alias
    return None if generator is None else generator(name)


def _declared(cls: Any) -> list[tuple[str, Any]]:
    """List names and defaults of a plain dataclass's, `TypedDict`'s or `NamedTuple`'s fields."""
    if is_dataclass(cls):
        fields: Iterable[Any] = cls.__dataclass_fields__.values()  # unlike dataclasses.fields, with its InitVars
        return [(field.name, field.default) for field in fields if field.init]
    return [(name, None) for name in getattr(cls, "_fields", None) or cls.__annotations__]


def _hints(cls: Any) -> dict[str, Any]:
    try:
        hints = get_type_hints(cls, include_extras=True)
    except NameError:  # one of them names something that is only known where the class was made
        hints = {}
        for base in reversed(cls.__mro__):
            declared = vars(base).get("__annotations__", {})
            hints |= {name: _evaluated(hint, base.__module__) for name, hint in declared.items()}
    return {name: hint for name, hint in hints.items() if get_origin(hint) is not ClassVar and hint is not ClassVar}


def _evaluated(hint: Any, module: str) -> Any:
    """Look up in a module the names that *hint* holds as texts; with one that is not known there it is `Any`."""
    holder = SimpleNamespace(__annotations__={"value": hint})
    known = vars(sys.modules.get(module, typing))
    try:
        return get_type_hints(holder, globalns=known, include_extras=True)["value"]
    except NameError:
        return Any


def _applied(hint: Any, params: Sequence[Any], args: Sequence[Any]) -> Any:
    """Put the arguments of a generic type in the place of its parameters."""
    if not params or not args:
        return hint
    given = dict(zip(params, args, strict=False))
    if isinstance(hint, TypeVar):
        return given.get(hint, hint)
    inner = getattr(hint, "__parameters__", ())
    return hint[tuple(given.get(param, Any) for param in inner)] if inner else hint

"""
Lay what etcd holds over what a Dynaconf object has.

A key is a leaf: it replaces what is at its place, and leaves its neighbours alone. Values that say ``@merge``,
``@insert`` or ``@del`` do that with what is below them.

It knows stores and histories of Dynaconf objects. It knows nothing of etcd.
"""

from __future__ import annotations

import copy
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from dynaconf.loaders.base import SourceMetadata
from dynaconf.utils import object_merge
from dynaconf.utils.parse_conf import MetaValue

from etcd_settings.integrations.dynaconf.naming import spelling
from etcd_settings.integrations.dynaconf.options import defaults, is_reserved
from etcd_settings.integrations.dynaconf.parsing import Branch, told
from etcd_settings.nodes import object_in
from etcd_settings.tree import Tree

__all__ = ["forget", "lay", "let_defaults_be_cleaned", "restore_default"]

_NOTHING: Any = object()


def lay(settings: Any, values: Branch, raw: Tree, metadata: SourceMetadata) -> None:
    """
    Lay one environment's values over an object.

    Args:
        settings: The object.

        values: Name → what was read.

        raw: The same, unread, for the history.

        metadata: What the history calls it.
    """
    with _no_second_reading(settings):
        for name, value in values.items():
            given, kind = value, metadata
            if isinstance(value, Branch):
                existing = _raw(settings.store, name)
                given, kind = _laid(existing, value), metadata._replace(merged=existing is not _NOTHING)
            # What has merged by itself must not do so again, which `merge_enabled` would do.
            options = {"merge": False} if isinstance(value, (Branch, MetaValue)) else {}
            settings.set(name, given, loader_identifier=kind, dotted_lookup=False, validate=False, **options)
            _tell(settings, name, given, told(value, raw[name]), metadata)


def forget(settings: Any, metadata: SourceMetadata, name: str | None = None) -> None:
    """Take what *metadata* brought out of the history; *name*: only that one."""
    history = settings.loaded_by_loaders
    for kind in (metadata, metadata._replace(merged=True)):
        if kind in history:  # a new dict each time: `from_env` shares them between objects
            kept = {} if name is None else {other: value for other, value in history[kind].items() if other != name}
            history[kind] = kept


def let_defaults_be_cleaned(settings: Any, names: Mapping[str, Any]) -> None:
    """
    Have ``reload()`` begin with the keyword arguments as they were given.

    Dynaconf does not clean a name that has one, so that what etcd held would stay there, and merge with itself. It
    compares names in capitals, and loads the arguments whatever their case: hence the small letters.
    """
    given = defaults(settings)
    for name in [name for name in given if name in names and not is_reserved(name)]:
        given[name.lower()] = given.pop(name)


def restore_default(settings: Any, name: str) -> None:
    """Put back a keyword argument whose name is loaded alone: Dynaconf has cleaned it, and does not load those."""
    if _raw(settings.store, name) is not _NOTHING:
        return
    for given, value in defaults(settings).items():
        if given.upper() == name:
            settings.set(name, copy.deepcopy(value), loader_identifier="default_settings", validate=False)


@contextmanager
def _no_second_reading(settings: Any) -> Generator[None]:
    """Keep `Settings.set` from reading a text that was read already, and whose quotes are gone."""
    name = "AUTO_CAST_FOR_DYNACONF"
    before = _raw(settings.store, name)
    settings.store[name] = False
    try:
        yield
    finally:
        if before is _NOTHING:
            del settings.store[name]
        else:
            settings.store[name] = before


def _laid(below: Any, branch: Branch) -> dict[str, Any]:
    base = object_in(below) if isinstance(below, str) else below
    merged = dict(dict.items(base)) if isinstance(base, dict) else {}
    for name, value in branch.items():
        here = spelling(name, merged)
        existing = merged.get(here, _NOTHING)
        if isinstance(value, Branch):
            merged[here] = _laid(existing, value)
        elif isinstance(value, MetaValue):
            _resolve(merged, here, value)
        else:
            merged[here] = value
    return merged


def _resolve(table: dict[str, Any], name: str, value: Any) -> None:
    """Do in a branch what `Settings.set` does at the top."""
    existing = table.get(name)
    if getattr(value, "_dynaconf_del", False):
        table.pop(name, None)
    elif getattr(value, "_dynaconf_insert", False):
        items = list(existing) if isinstance(existing, list) else []
        items.insert(getattr(value, "index", 0), value.unwrap())
        table[name] = items
    elif existing is not None:
        table[name] = object_merge(existing, value.unwrap(), unique=getattr(value, "_dynaconf_merge_unique", False))
    else:
        table[name] = value.unwrap()


def _tell(settings: Any, name: str, given: Any, shown: Any, metadata: SourceMetadata) -> None:
    """Have the history show what this environment brought, not what came of it."""
    for kind in (metadata, metadata._replace(merged=True)):
        brought = settings.loaded_by_loaders.get(kind, {})
        if brought.get(name, _NOTHING) is given:
            brought[name] = shown


def _raw(table: Any, name: str) -> Any:
    """Look into a table of Dynaconf's without having it evaluate what is lazy."""
    return dict.get(table, name, _NOTHING)

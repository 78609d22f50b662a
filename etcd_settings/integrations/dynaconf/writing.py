"""
Write settings of a Dynaconf object to etcd, and delete them there.

It knows which keys a name may have in etcd, and how a value is spelled so that Dynaconf reads the same value again.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from etcd_settings.documents import split_suffix
from etcd_settings.errors import ConfigurationError, ConflictError
from etcd_settings.integrations.dynaconf.loader import load
from etcd_settings.integrations.dynaconf.naming import parts_of
from etcd_settings.integrations.dynaconf.options import (
    LOADER,
    allowed_tokens,
    bare,
    find,
    is_reserved,
    separator,
)
from etcd_settings.integrations.dynaconf.parsing import Parser
from etcd_settings.snapshot import Entry
from etcd_settings.source import Source
from etcd_settings.spelling import flatten, spell

__all__ = ["delete", "write"]


def write(obj: Any, data: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
    """
    Write settings to etcd, under the current environment, and load them.

    Strings are stored so that they come back as strings. A nested mapping becomes a key for each leaf. Whatever else
    spelled the same setting is deleted in the same transaction.

    Args:
        obj: The Dynaconf object.

        data: Name → value.

        kwargs: More of these.

    Raises:
        ConfigurationError: There is nothing to write, a name or a value cannot be written, or the store is read only.
        EtcdSettingsError: Etcd could not be written.
    """
    settings = bare(obj)
    given = {**(data or {}), **kwargs}
    if not given:
        raise ConfigurationError("There is nothing to write. Give settings, as in write(settings, {'PORT': 8000}).")
    writer = _Writer(settings)
    texts = writer.spelled(given)
    writer.write(texts)
    for name in dict.fromkeys(parts[0] for parts in texts):
        _load_again(settings, name)


def delete(obj: Any, key: str | None = None) -> None:
    """
    Delete a setting from etcd, whatever its spelling, under the current environment; what it hid shows again.

    Args:
        obj: The Dynaconf object.

        key: The setting, such as ``PORT`` or ``DB__port``; None for all of the environment.

    Raises:
        EtcdSettingsError: Etcd could not be written, or the store is read only.
    """
    settings = bare(obj)
    writer = _Writer(settings)
    parts = None if key is None else parts_of([key], writer.separator)
    for name in writer.delete(parts):
        _load_again(settings, name)


class _Writer:
    """Writes under the current environment of one object."""

    def __init__(self, settings: Any) -> None:
        self.separator = separator(settings)
        place = find(settings, None)
        current = settings.current_env.lower().split(",")[-1].strip()
        layers = list(place.source.options.layers)
        self.source: Source = place.source
        self.layer = place.environments.get(current) or layers[-1]
        self.prefix = place.source.options.prefixes[self.layer]
        self.parser = Parser(settings, allowed_tokens(settings))

    def spelled(self, given: Mapping[str, Any]) -> dict[tuple[str, ...], str]:
        """Give every leaf's place and text."""
        texts: dict[tuple[str, ...], str] = {}
        for name, value in given.items():
            parts = parts_of([str(name)], self.separator)
            if is_reserved(parts[0]):
                raise ConfigurationError(f"{parts[0]} configures Dynaconf itself, and is no setting.", subject=parts[0])
            self._spell(parts, value, texts)
        return texts

    def write(self, texts: Mapping[tuple[str, ...], str]) -> None:
        """Write, and delete other spellings."""
        entries = self._entries()
        puts = {self.prefix + "/".join(parts): text for parts, text in texts.items()}
        deletes: list[str] = []
        for path, entry in entries.items():
            place = self._place(path)
            if any(place[: len(parts)] == parts for parts in texts) and entry.key not in puts:
                deletes.append(entry.key)
            elif any(parts[: len(place)] == place and parts != place for parts in texts):
                raise ConflictError([entry.key], "it holds a value, and settings are to be written below it")
        _commit(self.source, puts, deletes)

    def delete(self, parts: tuple[str, ...] | None) -> list[str]:
        """Delete a setting, or all; gives the names that may have changed."""
        found = {entry.key: self._place(path) for path, entry in self._entries().items()}
        if parts is None:
            _clear(self.source, self.prefix, list(found))
            return list(dict.fromkeys(place[0] for place in found.values()))
        _commit(self.source, {}, [key for key, place in found.items() if place[: len(parts)] == parts])
        return [parts[0]]

    def _entries(self) -> Mapping[str, Entry]:
        return self.source.snapshot(max_age=0).layers[self.layer]

    def _place(self, path: str) -> tuple[str, ...]:
        return parts_of(split_suffix(path)[0].split("/"), self.separator)

    def _spell(self, parts: tuple[str, ...], value: Any, texts: dict[tuple[str, ...], str]) -> None:
        if isinstance(value, Mapping) and value:
            for name, child in value.items():
                self._spell((*parts, *str(name).split(self.separator)), child, texts)
            return
        tree: dict[str, Any] = {parts[-1]: ""}
        for part in reversed(parts[:-1]):
            tree = {part: tree}
        flatten(tree)  # refuses what is no name
        texts[parts] = self._text(value, "/".join(parts))

    def _text(self, value: Any, where: str) -> str:
        if isinstance(value, str):
            return self._quoted(str.__str__(value), self.prefix + where)
        match value:
            case None:
                text = "@none "
            case bool() | int() | float() | dt.date() | dt.time():
                text = str(spell(value, where=where))
            case _:
                text = f"@json {spell(list(value) if isinstance(value, (tuple, set)) else value, where=where)!s}"
        self.parser.text(text, self.prefix + where)  # raises if it holds a token that is not allowed
        return text

    def _quoted(self, text: str, key: str) -> str:
        for form in (text, json.dumps(text, ensure_ascii=False), json.dumps(text)):
            if self.parser.text(form, key) == text and not form.startswith("@"):
                return form
        raise ConfigurationError(f"The text for {key!r} has no spelling that Dynaconf reads back.", subject=key)


def _commit(source: Source, puts: Mapping[str, str], deletes: list[str]) -> None:
    """Write and delete at once."""
    store = source.store
    if hasattr(store, "client"):
        from etcd_settings.etcd import Delete, Put  # 45 ms of HTTP/2 and protobuf

        requests = [*(Put(key, value) for key, value in puts.items()), *(Delete(key) for key in deletes)]
        if requests:
            store.client.txn(success=requests)
    elif hasattr(store, "put"):
        for key, value in puts.items():
            store.put(key, value)
        for key in deletes:
            store.delete(key)
    else:
        raise ConfigurationError(f"{source.options.title} is read only. Write to an etcd:// or memory:// URL.")


def _clear(source: Source, prefix: str, keys: list[str]) -> None:
    """Delete all keys of a prefix; in etcd that is one operation, however many there are."""
    if not prefix:
        raise ConfigurationError("Without a prefix this would delete all that etcd holds. Delete settings by name.")
    if hasattr(source.store, "client"):
        source.store.client.delete_prefix(prefix)
    else:
        _commit(source, {}, keys)


def _load_again(settings: Any, name: str) -> None:
    """Load one setting as Dynaconf does, so that what is above etcd stays above it."""
    settings.unset(name, force=True)
    if any(module.__name__ == LOADER for module in settings.loaders):
        settings.execute_loaders(key=name)
    else:
        load(settings, key=name)

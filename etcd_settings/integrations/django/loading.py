"""
Make Django's settings of what etcd holds.

A `Reader` knows what ``settings.py`` said before etcd had its say, and gives all settings at one revision: when
``settings.py`` is imported, and again for every candidate of the live ones. So a value has the same type at both times.

It knows settings modules. It knows nothing of ``django.conf.settings``, which is not there yet.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from django.conf import global_settings
from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError

from etcd_settings.errors import ConfigurationError, EtcdSettingsError, InvalidSettingsError, combine
from etcd_settings.fitting import load
from etcd_settings.fitting.loading import target_for
from etcd_settings.fitting.plans import MISSING
from etcd_settings.integrations.django.names import is_setting, restricted, setting_in, strangers
from etcd_settings.integrations.django.options import url_in
from etcd_settings.integrations.django.typing import copied, merged, record
from etcd_settings.snapshot import Snapshot
from etcd_settings.source import Source
from etcd_settings.tree import explain

__all__ = ["Loaded", "Reader", "last_load", "load_settings"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """
    Settings of one state of etcd; what depends on each other is read from one of these.

    Args:
        values: Name → value.

        revision: The revision of etcd that they were made of.

        strangers: Keys that no setting can be made of.
    """

    values: Mapping[str, Any] = field(repr=False)
    revision: int = field(compare=False)
    strangers: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Reader:
    """
    What it takes to make settings of a source's snapshot.

    Args:
        source: Where they come from.

        defaults: What ``settings.py`` says.

        schema: A model of some of them; None to go by the defaults alone.
    """

    source: Source
    defaults: Mapping[str, Any] = field(repr=False)
    schema: type[BaseModel] | None = None

    def has_default(self, name: str) -> bool:
        """Tell whether ``settings.py`` or Django says anything."""
        return name in self.defaults or hasattr(global_settings, name)

    def default(self, name: str) -> Any:
        """Give what holds where etcd says nothing: what ``settings.py`` says, or else Django; None for nothing."""
        return copied(self.defaults.get(name, getattr(global_settings, name, None)))

    def read(self) -> Loaded:
        """
        Make the settings that etcd holds, each with its type.

        Raises:
            InvalidSettingsError: They do not fit their types.
            EtcdSettingsError: They could not be read, or contradict each other.
        """
        snapshot = self.source.snapshot()
        values: dict[str, Any] = {}
        problems: list[EtcdSettingsError] = []
        for make in (self._by_default, self._by_schema):
            try:
                values |= make(snapshot)
            except EtcdSettingsError as e:
                problems += e.problems
        if "SECRET_KEY" in values and not values["SECRET_KEY"] and "SECRET_KEY" in map(setting_in, snapshot):
            problems.append(_empty_secret_key(snapshot))
        if problems:
            raise combine(problems)
        return Loaded(MappingProxyType(values), snapshot.revision, strangers(snapshot))

    @property
    def _fields(self) -> frozenset[str]:
        return frozenset() if self.schema is None else frozenset(self.schema.model_fields)

    def _by_default(self, snapshot: Snapshot) -> dict[str, Any]:
        fields = self._fields
        part = restricted(snapshot, lambda name: is_setting(name) and name not in fields)
        defaults = {name: self.default(name) for name in sorted(set(map(setting_in, part)))}
        if not defaults:
            return {}
        values: dict[str, Any] = load(record("settings", defaults), part)
        return {name: merged(defaults[name], value) for name, value in values.items()}

    def _by_schema(self, snapshot: Snapshot) -> dict[str, Any]:
        if self.schema is None:
            return {}
        fields = self._fields
        part, target = restricted(snapshot, fields.__contains__), target_for(self.schema, case_sensitive=True)
        fitted = target.fit(part)
        given = {name: self.defaults[name] for name in fields if name in self.defaults}
        values = merged(given, {} if fitted is MISSING else fitted)
        try:
            model = target.adapter.validate_python(values)
        except ValidationError as e:
            failure = target.invalid(e, part)
        else:
            return {name: _for_django(name, getattr(model, name)) for name in fields}
        raise failure  # outside the handler: pydantic's error holds values


_last: tuple[Reader, Loaded] | None = None


def last_load() -> tuple[Reader, Loaded] | None:
    """Give how the settings of this process were made, and what came; None if `load_settings` was not called."""
    return _last


def load_settings(
    namespace: MutableMapping[str, Any], url: str | Source | None = None, schema: type[BaseModel] | None = None
) -> Loaded:
    """
    Put what etcd holds into a settings module; ``load_settings(globals())`` stands at the end of ``settings.py``.

    Keys are names of settings, such as ``PAGE_SIZE`` or ``DATABASES/default/NAME``; dicts merge. Everything comes in
    one round trip. Either all of it is applied, or nothing.

    Args:
        namespace: The module's ``globals()``.

        url: Where etcd is; by default ``ETCD_SETTINGS["URL"]``, or else ``$ETCD_SETTINGS_URL``.

        schema: A pydantic model whose fields are settings. Others have the type of the default that ``settings.py``
            or Django has, and are texts without one.

    Raises:
        InvalidSettingsError: Values do not fit their types, or the ``SECRET_KEY`` is empty.
        EtcdSettingsError: Etcd could not be read, or keys contradict each other.
        ConfigurationError: The URL, ``ETCD_SETTINGS`` or the schema is not usable.
    """
    global _last  # Django has one settings module in a process
    odd = sorted(name for name in getattr(schema, "model_fields", ()) if not is_setting(name))
    if odd:
        message = f"The schema's field {odd[0]!r} is no setting that etcd may hold: those are identifiers in capitals."
        raise ConfigurationError(message, subject=odd[0])
    given = url_in(namespace.get("ETCD_SETTINGS")) if url is None else url
    source = given if isinstance(given, Source) else Source.shared(given)
    reader = Reader(source, {name: copied(value) for name, value in namespace.items() if name.isupper()}, schema)
    loaded = reader.read()
    namespace.update(loaded.values)
    _last = reader, loaded
    return loaded


def _empty_secret_key(snapshot: Snapshot) -> InvalidSettingsError:
    winner = explain(restricted(snapshot, str.isupper), "SECRET_KEY").winner
    keys = () if winner is None else (winner.key,)
    error = {"loc": ("SECRET_KEY",), "type": "empty", "msg": "Django does not start with an empty one", "keys": keys}
    return InvalidSettingsError("settings", [error])


def _for_django(name: str, value: Any) -> Any:
    """Give a setting that Django itself reads as the plain dicts and texts that it takes; others are as declared."""
    return _plain(value) if hasattr(global_settings, name) else value


def _plain(value: Any) -> Any:
    match value:
        case SecretStr() | SecretBytes():
            return value.get_secret_value()
        case BaseModel():
            return _plain(dict(value))
        case dict():
            return {name: _plain(below) for name, below in value.items()}
        case list() | tuple():
            return type(value)(map(_plain, value))
        case _:
            return value

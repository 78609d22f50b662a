"""
Decide what a source reads, and how, from all that was said about it.

A keyword wins over the URL's option, that over the environment, and that over the default. What comes out is one frozen
value in one spelling: two sources are the same if, and only if, their options are equal.

It knows names, defaults and contradictions. It opens nothing.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypedDict

from etcd_settings.connection import Connection, seconds, url_from
from etcd_settings.errors import ConfigurationError
from etcd_settings.keys import normalize_prefix
from etcd_settings.location import Location, parse_url
from etcd_settings.stores.base import Store

__all__ = ["UNSET", "Given", "Keywords", "Options", "Unset", "options_at", "resolve"]


class Unset(enum.Enum):
    """The type of `UNSET`."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET
"""What a keyword holds that was not given: it tells a default from the same value given on purpose."""


class Keywords(TypedDict, total=False):
    """What `Source` and `Source.shared` take by keyword."""

    connection: Connection | None
    store: Store | None
    prefix: str | Unset
    layers: Iterable[str] | Unset
    ttl: float | Unset
    max_stale: float | Unset | None
    last_good: str | os.PathLike[str] | Unset | None
    required: bool | Unset
    timeout: float | Unset


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """A store that was handed over; equal to itself alone, whatever the store thinks of equality."""

    store: Store

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Given) and other.store is self.store

    def __hash__(self) -> int:
        return id(self.store)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """
    All that makes a source what it is.

    Args:
        where: An etcd's connection, a store that was handed over, or where one of our own is (``memory``, ``file``).

        prefix: The source's prefix, ending in ``/`` unless empty.

        layers: Prefixes under it, lowest first.

        ttl: Seconds.

        max_stale: Seconds; None without a bound.

        last_good: The absolute path of the file that keeps the last good snapshot; None keeps none.

        required: Whether an outage at the start is an error.

        timeout: Seconds that a whole read may take.
    """

    where: Connection | Location | Given
    prefix: str
    layers: tuple[str, ...] = ("",)
    ttl: float = 30.0
    max_stale: float | None = None
    last_good: str | None = None
    required: bool = True
    timeout: float = 5.0

    @property
    def title(self) -> str:
        """Name what is read, for people: without user and password."""
        match self.where:
            case Connection(srv=None, endpoints=endpoints, tls=tls):
                return f"{'etcds' if tls else 'etcd'}://{','.join(endpoints)}{self._path}"
            case Connection(srv=srv, tls=tls):
                return f"{'etcds' if tls else 'etcd'}+srv://{srv}{self._path}"
            case Location(scheme="file", name=name):
                return f"file://{name}{f'?prefix={self.prefix}' if self.prefix else ''}"
            case Location(scheme=scheme, name=name):
                return f"{scheme}://{name}{self._path}"
            case Given(store=store):
                return f"{type(store).__name__} at {self.prefix!r}"

    @property
    def _path(self) -> str:
        return self.prefix if self.prefix.startswith("/") else f"/?prefix={self.prefix}"

    @property
    def prefixes(self) -> dict[str, str]:
        """Layer → the whole prefix that it stands for."""
        return {layer: self.prefix + layer for layer in self.layers}


def resolve(url: str | None, given: Keywords, *, environ: Mapping[str, str] | None = None) -> Options:
    """
    Bring everything that was said into one spelling.

    Args:
        url: Where the settings are; None if a keyword or the environment says so.

        given: The keywords; one that is `UNSET` or missing was not given.

        environ: The environment; None means the process's.

    Raises:
        ConfigurationError: Something is not usable, contradicts something else, or is missing.
    """
    environ = os.environ if environ is None else environ
    keywords: dict[str, Any] = {name: value for name, value in given.items() if value is not UNSET}
    places = [name for name in ("connection", "store") if keywords.get(name) is not None]
    if (url is not None) + len(places) > 1:
        both = " and ".join([*(["a URL"] if url is not None else []), *(f"{name}=" for name in places)])
        raise ConfigurationError(f"Both {both} say where the settings are. Keep one of them.")
    base = _from_keywords(keywords, places[0]) if places else _from_url(url, keywords, environ)
    base.update({name: check(keywords[name]) for name, check in _CHECKS.items() if name in keywords})
    return _checked(base)


def options_at(location: Location, *, environ: Mapping[str, str]) -> Options:
    """
    Do as `resolve` for a URL that was taken apart, without keywords.

    Raises:
        ConfigurationError: Something is not usable, or contradicts something else.
    """
    return _checked(_from_location(location, environ))


def _checked(values: Mapping[str, Any]) -> Options:
    options = Options(**values)
    _below(options.prefix, options.layers)
    return options


def _from_keywords(keywords: Mapping[str, Any], place: str) -> dict[str, Any]:
    where = keywords[place] if place == "connection" else Given(keywords[place])
    if not isinstance(where, (Connection, Given)):
        raise ConfigurationError("connection= takes a Connection. A URL comes first, without a keyword.")
    prefix = keywords.get("prefix", "")
    if not isinstance(prefix, str):
        raise ConfigurationError("prefix is a text, such as '/config/app/'.")
    timeout = {"timeout": where.timeout} if isinstance(where, Connection) else {}
    return {"where": where, "prefix": normalize_prefix(prefix), **timeout}


def _from_url(url: str | None, keywords: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    if keywords.get("prefix", "") != "":
        raise ConfigurationError(
            "prefix= is for connection= and store=. A URL names the prefix in its path, as in etcd://host/config/app/, "
            "or with its option 'prefix' if it has no leading slash."
        )
    return _from_location(parse_url(url_from(environ) if url is None else url), environ)


def _from_location(location: Location, environ: Mapping[str, str]) -> dict[str, Any]:
    said = {name: getattr(location, name) for name in ("layers", "ttl", "timeout", "last_good", "required")}
    options = {name: _CHECKS[name](value) for name, value in said.items() if value is not None}
    if location.is_etcd:
        return {"where": Connection.from_location(location, environ=environ), "prefix": location.prefix, **options}
    return {"where": Location(scheme=location.scheme, name=location.name), "prefix": location.prefix, **options}


def _layers(value: Any) -> tuple[str, ...]:
    given: tuple[Any, ...] = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (None,)
    if not all(isinstance(layer, str) for layer in given):
        example = value if isinstance(value, str) else "common/"
        raise ConfigurationError(f"layers is a list of prefixes, such as [{example!r}].")
    layers = tuple(normalize_prefix(layer) for layer in given)
    if not layers:
        raise ConfigurationError("layers is empty, so that nothing would be read. Leave it out to read the prefix.")
    twice = [layer for layer in layers if layers.count(layer) > 1]
    if twice:
        raise ConfigurationError(f"The layer {twice[0]!r} is named twice. Name each layer once, the lowest first.")
    return layers


def _below(prefix: str, layers: tuple[str, ...]) -> None:
    absolute = [layer for layer in layers if layer.startswith("/")]
    if prefix and absolute:
        raise ConfigurationError(
            f"The layer {absolute[0]!r} starts with a slash, and layers are below the prefix {prefix!r}. "
            f"Write it as {absolute[0].lstrip('/')!r}."
        )


def _ttl(value: Any) -> float:
    return seconds("ttl", value, least=0)


def _max_stale(value: Any) -> float | None:
    return None if value is None else seconds("max_stale", value, least=0)


def _timeout(value: Any) -> float:
    return seconds("timeout", value)


def _last_good(value: Any) -> str | None:
    if value is None:
        return None
    if (
        isinstance(value, (str, os.PathLike))
        and isinstance(path := os.fspath(value), str)
        and path
        and "\0" not in path
    ):
        return os.path.abspath(path)  # noqa: PTH100  # a later chdir must not move it, and a link in it may be meant
    raise ConfigurationError("last_good is the path of a file, such as '/var/lib/app/settings.last'.")


def _required(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ConfigurationError("required is True or False.")


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "layers": _layers,
    "ttl": _ttl,
    "max_stale": _max_stale,
    "last_good": _last_good,
    "required": _required,
    "timeout": _timeout,
}

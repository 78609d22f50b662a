"""
Find out where etcd is for one Dynaconf object, and what it reads there.

An option is a keyword argument of the object (``etcd_url=`` or ``ETCD_URL_FOR_DYNACONF=``), or else an environment
variable (``$ETCD_URL_FOR_DYNACONF``). It is never a setting that was loaded: what etcd holds must not say where it is.

It knows Dynaconf's insides, which differ between its versions, so that the other rooms need not.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dynaconf.base import UPPER_DEFAULT_SETTINGS, LazySettings
from dynaconf.utils import build_env_list
from dynaconf.utils.parse_conf import converters, parse_conf_data

from etcd_settings.errors import ConfigurationError
from etcd_settings.options import resolve
from etcd_settings.source import Source

__all__ = [
    "IDENTIFIER",
    "LOADER",
    "OUTSIDE",
    "Place",
    "allowed_tokens",
    "bare",
    "defaults",
    "find",
    "is_reserved",
    "separator",
]

IDENTIFIER = "etcd"
"""What Dynaconf calls this loader, in its history."""

LOADER = "etcd_settings.integrations.dynaconf"
"""What stands in ``LOADERS_FOR_DYNACONF``."""

OUTSIDE = frozenset({"@format", "@get", "@jinja", "@read_file"})
"""Dynaconf's tokens that look elsewhere; not each of its versions knows all, and the next one may."""

_OPTIONS = ("ETCD_URL_FOR_DYNACONF", "ETCD_ALLOW_TOKENS_FOR_DYNACONF")

# What `from_env` hands on to the object that it makes are the names in this list, and nothing else. `as_dict` leaves
# them out, which is right for a URL that may hold a password.
UPPER_DEFAULT_SETTINGS.extend(name for name in _OPTIONS if name not in UPPER_DEFAULT_SETTINGS)


@dataclass(frozen=True, slots=True)
class Place:
    """
    What an object reads.

    Args:
        source: Where from.

        environments: Environment → layer of the source, in the order in which they are laid over each other; the one
            environment ``main`` stands for all layers where Dynaconf has no environments.
    """

    source: Source
    environments: Mapping[str, str | None]


def find(settings: Any, env: str | None) -> Place:
    """
    Find where *settings* reads from.

    Args:
        settings: The object.

        env: The environment that Dynaconf asks for, beside the current one.

    Raises:
        ConfigurationError: An option is not usable.
    """
    url = _option(settings, "ETCD_URL_FOR_DYNACONF")
    if url is not None and not isinstance(url, str):
        raise ConfigurationError(
            f"etcd_url is a URL, such as 'etcd://localhost/config/app/', and no {type(url).__name__}.",
            subject="etcd_url",
        )
    if settings.get("ENVIRONMENTS_FOR_DYNACONF") is False:
        return Place(Source.shared(url), {settings.current_env.lower(): None})
    if resolve(url, {}).layers != ("",):
        raise ConfigurationError(
            "With environments=True each environment is a layer. Leave the option 'layer' out of the URL.",
            subject="etcd_url",
        )
    environments = {name: f"{name}/" for name in build_env_list(settings, env or settings.current_env)}
    return Place(Source.shared(url, layers=environments.values()), environments)


def allowed_tokens(settings: Any) -> frozenset[str]:
    """Give the tokens that may reach outside, with their ``@``."""
    given: Any = _option(settings, "ETCD_ALLOW_TOKENS_FOR_DYNACONF")
    parse: Any = parse_conf_data
    if isinstance(given, str):
        given = parse(given, tomlfy=True)  # the environment may say ["format"] or format,jinja
    names = given.split(",") if isinstance(given, str) else list(given or ())
    tokens = frozenset(f"@{str(name).strip()}" for name in names)
    for token in sorted(tokens - OUTSIDE.union(converters)):
        raise ConfigurationError(
            f"etcd_allow_tokens names {token[1:]!r}, which is no token of Dynaconf's. "
            "Name them without the @, as in etcd_allow_tokens=['format'].",
            subject="etcd_allow_tokens",
        )
    return tokens


def bare(settings: Any) -> Any:
    """Give the object behind a ``Dynaconf(…)``, which is what Dynaconf hands to its loaders."""
    if not isinstance(settings, LazySettings):
        return settings
    settings.current_env  # noqa: B018  # sets it up if nobody did
    return vars(settings)["_wrapped"]


def defaults(settings: Any) -> dict[str, Any]:
    """Give the keyword arguments of the object, which Dynaconf loads before everything else."""
    core = getattr(settings, "__core__", None)  # since 3.3
    found: dict[str, Any] = settings._defaults if core is None else core.config.defaults  # noqa: SLF001  # likewise
    return found


def is_reserved(name: str) -> bool:
    """Whether a name configures Dynaconf itself: which files it includes, which code it loads."""
    return name in UPPER_DEFAULT_SETTINGS or name.endswith("_FOR_DYNACONF") or name.startswith("DYNACONF_")


def separator(settings: Any) -> str | None:
    """Give what stands for a step into a branch in the object's names, mostly ``__``."""
    return settings.get("NESTED_SEPARATOR_FOR_DYNACONF") or None


def _option(settings: Any, name: str) -> Any:
    short = name.removesuffix("_FOR_DYNACONF")
    given = {key.upper(): value for key, value in defaults(settings).items()}
    for value in (given.get(short), given.get(name), os.environ.get(name)):
        if value is not None:
            settings.store[name] = value  # for `from_env`
            return value
    return None

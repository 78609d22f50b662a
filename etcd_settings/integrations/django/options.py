"""
Read ``ETCD_SETTINGS``: where etcd is, and which settings are live.

It knows what the setting may hold, and says what is wrong with it. It opens nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from etcd_settings.errors import ConfigurationError
from etcd_settings.integrations.django.names import BOOT_ONLY
from etcd_settings.options import resolve
from etcd_settings.source import Source

__all__ = ["boot_only_in", "live_in", "problems_in", "url_in"]

_OPTIONS = ("URL", "LIVE")


def url_in(said: Any) -> str | Source | None:
    """
    Give the URL that ``ETCD_SETTINGS`` names; None if it names none.

    Raises:
        ConfigurationError: It is no dict, or the URL is no text.
    """
    if said is None:
        return None
    if not isinstance(said, Mapping):
        raise ConfigurationError('ETCD_SETTINGS is a dict, such as {"URL": "etcd://…"}.', subject="ETCD_SETTINGS")
    url = said.get("URL")
    if url is not None and not isinstance(url, str | Source):
        raise ConfigurationError('ETCD_SETTINGS["URL"] is a text, such as "etcd://…".', subject="ETCD_SETTINGS")
    return url


def live_in(said: Any) -> tuple[str, ...]:
    """Give the patterns of what is live; those that are none are left out, and told by `problems_in`."""
    listed = said.get("LIVE", ()) if isinstance(said, Mapping) else ()
    return tuple(one for one in listed if isinstance(one, str)) if isinstance(listed, list | tuple | set) else ()


def boot_only_in(said: Any) -> dict[str, list[str]]:
    """Give, by pattern, the names that Django reads once and that the pattern reaches."""
    reached = {one: sorted(name for name in BOOT_ONLY if fnmatchcase(name, one)) for one in live_in(said)}
    return {pattern: names for pattern, names in reached.items() if names}


def problems_in(said: Any) -> Iterator[str]:
    """Say what is wrong with ``ETCD_SETTINGS``, apart from names that can't be live."""
    try:
        url = url_in(said)
        if isinstance(url, str):
            resolve(url, {})
    except ConfigurationError as e:
        yield str(e)
    if not isinstance(said, Mapping):
        return
    for option in said:
        if option not in _OPTIONS:
            near = get_close_matches(str(option).upper(), _OPTIONS, n=1)
            yield f"ETCD_SETTINGS has no option {option!r}" + (f"; the nearest is {near[0]!r}." if near else ".")
    listed = said.get("LIVE", ())
    if not isinstance(listed, list | tuple | set) or not all(isinstance(one, str) for one in listed):
        yield 'ETCD_SETTINGS["LIVE"] is a list of names, such as ["FEATURE_*"].'
    for pattern in live_in(said):
        if any(letter.islower() for letter in pattern):
            yield f'{pattern!r} in ETCD_SETTINGS["LIVE"] names no setting: Django\'s are upper-case.'

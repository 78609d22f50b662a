"""
Read values as Dynaconf reads them, at every depth, and keep them from reaching outside.

``5432`` is a number and ``[1, 2]`` a list, ``"5432"`` is text, and ``@int 5`` and its like do what Dynaconf says. A
token that reads something else than the value (``@format``, ``@jinja``, ``@read_file``, ``@get``, or one that the
program added) is refused unless it is allowed: whoever may write a setting may not therefore read the server's files.

It knows one value at a time, and nothing of where it goes.

Invariant: no token that is refused is ever handed to its converter, and no text that comes out begins with one:
Dynaconf reads texts again when it merges and copies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dynaconf.utils.parse_conf import Lazy, MetaValue, converters, parse_conf_data

from etcd_settings.documents import SUFFIXES
from etcd_settings.errors import ConfigurationError, DecodeError, EtcdSettingsError, combine
from etcd_settings.integrations.dynaconf.options import OUTSIDE
from etcd_settings.tree import Origin, Traced, Tree

__all__ = ["Branch", "Parser", "told"]

_INSIDE = frozenset(
    f"@{name}"
    for name in (
        *("str", "int", "float", "bool", "json", "reset", "del", "merge", "merge_unique", "insert", "upper", "lower"),
        *("title", "capitalize", "strip", "lstrip", "rstrip", "split", "casefold", "swapcase"),
        *("note", "comment", "null", "none", "empty"),
    )
)
"""The tokens that look at nothing but their own value."""


class Branch(dict[str, Any]):
    """A branch of settings, which merges with what is below it; a dict that one value holds replaces it."""


@dataclass(frozen=True, slots=True)
class Parser:
    """
    Reads values for one object.

    Args:
        settings: The object.

        allowed: The tokens that may reach outside, with their ``@``.
    """

    settings: Any
    allowed: frozenset[str]

    def tree(self, tree: Tree) -> Branch:
        """
        Read every leaf of *tree*.

        Raises:
            ConfigurationError: A token reaches outside.
            DecodeError: A value is no text, or not what its token takes.
        """
        problems: list[EtcdSettingsError] = []
        branch = self._branch(tree, problems)
        if problems:
            raise combine(problems)
        return branch

    def text(self, text: str, key: str, *, is_typed: bool = False) -> Any:
        """
        Read one text.

        Args:
            text: The text.

            key: Whose value it is, for errors.

            is_typed: Whether it is text for certain, as a string in a JSON document is: then only tokens count.

        Raises:
            ConfigurationError: A token reaches outside.
            DecodeError: It is not what its token takes.
        """
        self._check(text, key)
        text = text.removeprefix("@reset ")  # nothing merges with a value by itself, and its warning quotes the value
        try:
            value = parse_conf_data(text, tomlfy=not is_typed, box_settings=self.settings)
        except Exception:  # noqa: BLE001  # whatever a converter raises, it quotes the value
            value = None
        else:
            for found in _texts(value):
                self._check(found, key)
            return value
        raise DecodeError(key, f"what {text.partition(' ')[0]} takes")

    def _branch(self, tree: Tree, problems: list[EtcdSettingsError]) -> Branch:
        branch = Branch()
        for name, value in tree.items():
            if isinstance(value, dict):
                branch[name] = self._branch(value, problems)
                continue
            try:
                branch[name] = self._leaf(value.value, value.origin)
            except EtcdSettingsError as e:
                problems.append(e)
        return branch

    def _leaf(self, value: Any, origin: Origin) -> Any:
        if isinstance(value, bytes):
            raise DecodeError(origin.key, "UTF-8 text")
        is_typed = bool(origin.inside) or origin.key.endswith(SUFFIXES)
        return self._inner(value, origin.key, is_typed=is_typed)

    def _inner(self, value: Any, key: str, *, is_typed: bool) -> Any:
        match value:
            case str():
                return self.text(value, key, is_typed=is_typed)
            case list():
                return [self._inner(item, key, is_typed=True) for item in value]
            case dict():
                return {name: self._inner(item, key, is_typed=True) for name, item in value.items()}
            case _:
                return value

    def _check(self, text: str, key: str) -> None:
        """Refuse a token that is not allowed, first or further on, as in ``@int @format …`` and ``@merge @get …``."""
        known = OUTSIDE.union(converters)
        if text.partition(" ")[0] not in known:
            return
        for token in re.findall(r"@\w+", text):
            if token in known and token not in _INSIDE and token not in self.allowed:
                raise ConfigurationError(
                    f"The value at {key!r} has the token {token}, which reads something outside of it. Spell it out "
                    f"in etcd, or allow the token with etcd_allow_tokens=[{token[1:]!r}].",
                    subject=key,
                )


def told(value: Any, raw: Any) -> Any:
    """Give what the history should show of a value: tokens as they are spelled, everything else as it was read."""
    if isinstance(value, Branch):
        return {name: told(child, raw[name]) for name, child in value.items()}
    if isinstance(value, (MetaValue, Lazy)):
        return raw.value if isinstance(raw, Traced) else raw
    return value


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case MetaValue():
            yield from _texts(value.value)
        case Mapping():
            for child in dict.values(value) if isinstance(value, dict) else value.values():
                yield from _texts(child)
        case list() | tuple():
            for child in value:
                yield from _texts(child)
        case _:
            return

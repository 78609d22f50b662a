"""
Say which place in the settings a key means.

The first name is in capitals, as Dynaconf has it, and the nested separator (``__``) is a step into a branch, as a slash
is. Everything else in a name is literal: Dynaconf takes dots and brackets apart, and a key cannot say which it meant.

It knows names. It knows nothing of values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from etcd_settings.errors import ConfigurationError, ConflictError, EtcdSettingsError, combine
from etcd_settings.integrations.dynaconf.options import is_reserved
from etcd_settings.tree import Traced, Tree

__all__ = ["parts_of", "placed", "spelling"]


def parts_of(names: Sequence[str], separator: str | None) -> tuple[str, ...]:
    """Give the steps that lead to a setting: ``("db__port",)`` and ``("DB", "port")`` both mean ``("DB", "port")``."""
    first, *rest = [part for name in names for part in (name.split(separator) if separator else [name])]
    return (first.upper(), *rest)


def placed(tree: Tree, separator: str | None) -> Tree:
    """
    Bring a layer's tree into the shape that the settings have.

    Args:
        tree: The tree, with `Traced` leaves.

        separator: The nested separator, or None.

    Raises:
        ConflictError: Two keys mean one setting.
        ConfigurationError: A key configures Dynaconf itself.
    """
    shaped: Tree = {}
    problems: list[EtcdSettingsError] = []
    for names, leaf in _leaves(tree):
        parts = parts_of(names, separator)
        if is_reserved(parts[0]):
            problems.append(_reserved(leaf, parts[0]))
        elif (other := _insert(shaped, parts, leaf)) is not None:
            keys = [one.origin.key for one in (other, leaf) if isinstance(one, Traced)]
            problems.append(ConflictError(keys, f"they mean one setting, {'.'.join(parts)}"))
    if problems:
        raise combine(problems)
    return shaped


def spelling(name: str, table: Mapping[str, Any]) -> str:
    """Give the name that *table* has for *name*, whatever its case; *name* itself if it has none."""
    if name in table:
        return name
    return next((other for other in table if str(other).lower() == name.lower()), name)


def _leaves(tree: Tree, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*above, name))
        else:
            yield (*above, name), value


def _insert(tree: Tree, parts: Sequence[str], leaf: Any) -> Any:
    """Put a leaf at its place; gives what is in its way, or None."""
    node: Any = tree
    for part in parts[:-1]:
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            return node
    there = node.setdefault(parts[-1], leaf)
    if there is leaf:
        return None
    while isinstance(there, dict) and there:
        there = next(iter(there.values()))
    return there


def _reserved(leaf: Any, name: str) -> ConfigurationError:
    key = leaf.origin.key if isinstance(leaf, Traced) else name
    return ConfigurationError(
        f"{key!r} would set {name}, which configures Dynaconf itself. "
        "Give that as a keyword argument or in the environment, and delete the key.",
        subject=key,
    )

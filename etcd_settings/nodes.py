"""
Know what a settings tree is made of, whoever built it.

A tree is a nested `dict`: its branches are dicts, and everything else in it is a leaf, which may remember its origin
(`Traced`). Here is how one tree is laid over another, when a text counts as a branch, and when a branch counts as a
list. It knows nothing of entries and layers, types and field names.

Invariant: nothing here changes a tree that it was given. What is returned may share branches with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from etcd_settings.documents import json_object
from etcd_settings.errors import ConflictError

__all__ = ["Origin", "Traced", "Tree", "as_list", "branch", "look_up", "merge", "object_in", "trace"]

Tree: TypeAlias = dict[str, Any]
"""Branches are dicts; leaves are `str`, `bytes` where the value is no UTF-8, or whatever a document holds."""


@dataclass(frozen=True, slots=True)
class Origin:
    """
    Where one value came from.

    Args:
        key: The whole key in etcd.

        layer: The layer that it was read under.

        revision: The revision that last wrote the key.

        inside: The place within the document, such as ``pool/size``; ``""`` for the whole value.
    """

    key: str
    layer: str
    revision: int
    inside: str = ""

    def below(self, name: str) -> Origin:
        """Give the origin of what stands under *name* in this value."""
        return replace(self, inside=f"{self.inside}/{name}" if self.inside else name)


@dataclass(frozen=True, slots=True)
class Traced:
    """A leaf that remembers its origin."""

    value: Any = field(repr=False)
    origin: Origin


def trace(value: Any, origin: Origin) -> Any:
    """Make every leaf of *value* a `Traced`; a list counts as one leaf, because it is replaced whole."""
    if not isinstance(value, dict):
        return Traced(value, origin)
    return {name: trace(child, origin.below(name)) for name, child in value.items()}


def merge(lower: Tree, upper: Tree) -> Tree:
    """
    Lay *upper* over *lower*, path by path, changing neither.

    Branches merge; anything else is replaced whole. A text below that is a JSON object is a base for a branch above it.
    """
    merged = dict(lower)
    for name, value in upper.items():
        below = object_in(lower[name]) if isinstance(value, dict) and name in lower else None
        merged[name] = value if below is None else merge(below, value)
    return merged


def object_in(value: Any) -> Tree | None:
    """Give *value* as a branch, if it is one or a text that is a JSON object; else None. Works on traced leaves too."""
    match value:
        case dict():
            return value
        case str():
            return json_object(value)
        case Traced(value=str() as text, origin=origin):
            found = json_object(text)
            return None if found is None else trace(found, origin)
        case _:
            return None


def branch(tree: Tree, path: str) -> Tree:
    """
    Give the branch at *path*; a missing one is empty.

    Raises:
        ConflictError: There is a value at the path, or on the way to it, and it is no JSON object.
    """
    node, seen = tree, ""
    for name in filter(None, path.split("/")):
        seen = f"{seen}/{name}" if seen else name
        below = object_in(node.get(name, {}))
        if below is None:
            raise ConflictError(
                [seen], "a branch was asked for, and a single value is there", mend="Ask for its parent."
            )
        node = below
    return node


def look_up(node: Any, names: Sequence[str]) -> Any:
    """Follow *names* down a traced tree, into lists too; None if there is nothing."""
    for name in names:
        match node:
            case Traced(value=list() as items, origin=origin):
                below = trace({str(index): item for index, item in enumerate(items)}, origin)
            case _:
                below = object_in(node) or {}
        node = below.get(name)
    return node


def as_list(node: Mapping[str, Any], path: str = "") -> list[Any] | None:
    """
    Read a branch whose children are named ``0`` … ``n-1`` as a list; None if its children have other names.

    Raises:
        ConflictError: All children are numbers, but one is missing or spelled twice (``1`` and ``01``).
    """
    if not node or not all(name.isascii() and name.isdigit() for name in node):
        return None
    names = [str(index) for index in range(len(node))]
    missing = next((name for name in names if name not in node), None)
    if missing is not None:
        reason = f"a list of {len(node)} lacks its item {missing}"
        raise ConflictError([path], reason, mend="Number the items 0, 1, 2 … without a gap.")
    return [node[name] for name in names]

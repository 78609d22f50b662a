"""
Look at the places of several layers at once.

A *place* is one spot in the settings; each layer may have a *node* there: a branch (`dict`), a text, bytes, or
whatever a document holds. Fitting goes down all layers together, and this module knows which of the nodes count at a
place, how a text that is JSON becomes a branch or a list, and where to put what goes wrong.

There are two ways through. The fast one walks plain trees and stops at the first problem with `Unfit`. The thorough one
walks traced trees, collects every problem, and can name the key of each, because every leaf remembers its origin. Both
run the same plans.

It knows nothing of types and field names, and does not import pydantic.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any, TypeAlias

from etcd_settings.documents import read_json
from etcd_settings.errors import ConflictError, DecodeError, EtcdSettingsError
from etcd_settings.nodes import Traced, Tree, as_list, merge, object_in, trace

__all__ = ["Nodes", "Run", "Unfit", "bare", "branches", "container_in", "grouped", "keys_of", "merged", "trace_items"]

Nodes: TypeAlias = Sequence[Any]
"""What the layers hold at one place, lowest layer first; layers without a node there are left out."""


class Unfit(Exception):  # noqa: N818 — a signal between fitting's own rooms, which nobody else ever sees
    """Something does not fit. Go the thorough way to learn what, and where."""


class Run:
    """One way through the trees: the fast one, or with ``thorough=True`` the one that collects problems."""

    def __init__(self, *, thorough: bool = False) -> None:
        self.thorough = thorough
        self.problems: list[EtcdSettingsError] = []

    def decode(self, node: Any) -> Any:
        """Read the text of *node* as JSON; an empty one is an empty branch. What is no JSON is given back unread."""
        text = bare(node)
        if not text.strip():
            return {}
        position: str | None
        try:
            value = read_json(text)
        except RecursionError:
            position = "nested too deeply"
        except json.JSONDecodeError as e:
            position = f"line {e.lineno}, column {e.colno}"
        except ValueError:
            position = None
        else:
            return trace(value, node.origin) if isinstance(node, Traced) else value
        self._problem(lambda: DecodeError(node.origin.key, "JSON", position))
        return node

    def undecodable(self, node: Any) -> Any:
        """Report that the bytes of *node* are no text, where a text is wanted."""

        def error() -> DecodeError:
            text = node.value.decode("utf-8", "surrogateescape")
            place = next(len(text[:i].encode()) for i, char in enumerate(text) if "\udc80" <= char <= "\udcff")
            return DecodeError(node.origin.key, "UTF-8 text", f"byte {place}")

        self._problem(error)
        return node

    def twice(self, name: str, nodes: Iterable[Any]) -> None:
        """Report that one layer spells the field *name* in more than one way."""
        self._problem(
            lambda: ConflictError([next(keys_of(node), "?") for node in nodes], f"both spell the setting {name!r}")
        )

    def no_branch(self, node: Any) -> None:
        """Report that there is a single value where a branch was asked for."""
        self._problem(
            lambda: ConflictError(
                keys_of(node), "a branch was asked for, and a single value is there", mend="Ask for its parent."
            )
        )

    def items(self, children: Mapping[str, Any]) -> list[Any] | None:
        """Read children named ``0`` … ``n-1`` as a list; None if they have other names, or if one is missing."""
        try:
            return as_list(children)
        except ConflictError as e:
            gap = e
        self._problem(lambda: ConflictError([_parent(children)], gap.reason, mend=gap.mend))
        return None

    def _problem(self, error: Any) -> None:
        if not self.thorough:
            raise Unfit from None
        self.problems.append(error())


def bare(node: Any) -> Any:
    """Give the value of a node, traced or not."""
    return node.value if type(node) is Traced else node


def branches(nodes: Nodes) -> list[Tree]:
    """
    Give the branches that make up a place whose highest node is a branch, lowest first.

    A text below a branch is its base if it is a JSON object; in any case it has replaced what lies below it.
    """
    found: list[Tree] = [nodes[-1]]
    for node in reversed(nodes[:-1]):
        below = object_in(node)
        if below is None:
            break
        found.append(below)
        if below is not node:
            break
    found.reverse()
    return found


def grouped(layers: Sequence[Tree]) -> dict[str, list[Any]]:
    """Give the children of several branches by name, each with its nodes, lowest layer first."""
    children: dict[str, list[Any]] = {}
    for layer in layers:
        for name, child in layer.items():
            children.setdefault(name, []).append(child)
    return children


def merged(nodes: Nodes) -> Any:
    """Lay the nodes of one place over each other, without regard to any type."""
    if len(nodes) == 1:
        return nodes[0]
    return reduce(merge, ({"": node} for node in nodes))[""]


def container_in(node: Any) -> Any:
    """Give the branch or list that the text of *node* is as JSON; None if it is anything else."""
    text = bare(node)
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        value = read_json(text)
    except (ValueError, RecursionError):
        return None
    return trace(value, node.origin) if isinstance(node, Traced) else value


def trace_items(node: Any) -> list[Any]:
    """Give the items of a node that holds a list, traced if the node is."""
    if not isinstance(node, Traced):
        items: list[Any] = node
        return items
    return [trace(item, node.origin.below(str(index))) for index, item in enumerate(node.value)]


def keys_of(node: Any) -> Iterator[str]:
    """Give the keys of all leaves below a traced node."""
    match node:
        case Traced():
            yield node.origin.key
        case dict():
            for child in node.values():
                yield from keys_of(child)
        case list():
            for child in node:
                yield from keys_of(child)


def _parent(children: Mapping[str, Any]) -> str:
    """Give the key of the branch whose traced children these are, reckoned from the first leaf below it."""
    node: Any = children
    depth = 0
    while not isinstance(node, Traced):
        node = node[-1] if isinstance(node, list) else next(iter(node.values()), None)
        if node is None:
            return "?"
        depth += not isinstance(node, list)
    place = f"{node.origin.key}/{node.origin.inside}" if node.origin.inside else node.origin.key
    return place.rsplit("/", depth)[0]

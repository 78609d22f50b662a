"""
Turn entries into one nested tree, by one deterministic rule.

A path is split at ``/``; leaves are text. A last segment ending in ``.json``, ``.toml``, ``.yaml`` or ``.yml`` is a
document, mounted at the segment without its suffix. Each layer makes a tree of its own; later layers win, path by path.
The order in which entries come makes no difference, and every problem is raised at once, each with its key.

It knows paths, documents and layers. It knows nothing of types, field names or etcd.

The common entry, a text below a branch that is known already, costs one look-up and one assignment; whatever is special
(documents, values with children) is set aside and settled afterwards, deepest first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, TypeAlias

from etcd_settings.documents import SUFFIXES, parse, split_suffix
from etcd_settings.errors import ConflictError, EtcdSettingsError, combine
from etcd_settings.snapshot import Entries, Entry, Snapshot

__all__ = [
    "Explanation",
    "Origin",
    "Traced",
    "Tree",
    "as_list",
    "branch",
    "build",
    "explain",
    "layer_trees",
    "merge",
    "object_in",
    "traced_trees",
]

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


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    Why a path has the value that it has.

    Args:
        path: The path that was asked for, such as ``database/host``.

        winner: Where its value came from; None if the settings hold no value there (nothing, or a branch).

        shadowed: Whatever else holds a value for the path and lost, nearest to winning first.
    """

    path: str
    winner: Origin | None
    shadowed: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class Traced:
    """A leaf that remembers its origin."""

    value: Any = field(repr=False)
    origin: Origin


def build(snapshot: Snapshot) -> Tree:
    """
    Make one tree of all layers of *snapshot*.

    Raises:
        ConflictError: Keys contradict each other.
        DecodeError: A document does not parse.
        EtcdSettingsError: Problems of several kinds, all listed.
    """
    return _merge_all(layer_trees(snapshot))


def layer_trees(snapshot: Snapshot) -> list[Tree]:
    """Make a tree of each layer, lowest first; raises what `build` raises, for all layers at once."""
    return _all(_Layer(entries) for entries in snapshot.layers.values())


def traced_trees(snapshot: Snapshot) -> list[Tree]:
    """Do as `layer_trees`, with every leaf a `Traced`. Slower, and meant for explaining and for errors."""
    return _all(_Layer(entries, traced=True) for entries in snapshot.layers.values())


def merge(lower: Tree, upper: Tree) -> Tree:
    """
    Lay *upper* over *lower*, path by path, changing neither.

    Branches merge; anything else is replaced whole. A text below that is a JSON object is a base for a branch above it.
    """
    merged = dict(lower)
    for name, value in upper.items():
        if isinstance(value, dict) and name in merged:
            below = object_in(merged[name])
            merged[name] = value if below is None else merge(below, value)
        else:
            merged[name] = value
    return merged


def object_in(value: Any) -> Tree | None:
    """Give *value* as a branch, if it is one or a text that is a JSON object; else None. Works on traced leaves too."""
    match value:
        case dict():
            return value
        case Traced(value=str() as text, origin=origin):
            found = _json_object(text)
            return None if found is None else _trace(found, origin)
        case str():
            return _json_object(value)
    return None


def branch(tree: Tree, path: str) -> Tree:
    """
    Give the branch at *path*; a missing one is empty.

    Raises:
        ConflictError: There is a value at the path, or on the way to it, and it is no JSON object.
    """
    node, seen = tree, ""
    for name in filter(None, path.split("/")):
        seen = f"{seen}/{name}".lstrip("/")
        below = object_in(node.get(name, {}))
        if below is None:
            raise ConflictError(
                [seen], "a branch was asked for, and a single value is there", mend="Ask for its parent."
            )
        node = below
    return node


def as_list(node: Mapping[str, Any], path: str = "") -> list[Any] | None:
    """
    Read a branch whose children are named ``0`` … ``n-1`` as a list; None if its children have other names.

    Raises:
        ConflictError: All children are numbers, but one is missing or spelled twice (``1`` and ``01``).
    """
    if not node or not all(name.isascii() and name.isdigit() for name in node):
        return None
    children = [node.get(str(index), node) for index in range(len(node))]
    missing = [index for index, child in enumerate(children) if child is node]
    if missing:
        raise ConflictError(
            [path],
            f"a list of {len(node)} lacks its item {missing[0]}",
            mend="Number the items 0, 1, 2 … without a gap.",
        )
    return children


def explain(snapshot: Snapshot, path: str) -> Explanation:
    """Tell where the value at *path* came from, and what it shadows; raises what `build` raises."""
    names = [name for name in path.split("/") if name]
    found = _look_up(_merge_all(traced_trees(snapshot)), names)
    winner = found.origin if isinstance(found, Traced) else None
    holders = (origin for entries in reversed([*snapshot.layers.values()]) for origin in _holders(entries, names))
    return Explanation("/".join(names), winner, tuple(origin for origin in holders if origin != winner))


class _Layer:
    """One layer's way from entries to a tree."""

    def __init__(self, entries: Mapping[str, Entry], *, traced: bool = False) -> None:
        self.entries, self.traced = entries, traced
        self.root: Tree = {}
        self.branches: dict[str, Tree] = {"": self.root}
        self.bases: dict[str, str] = {}  # where a value has children → the entry that it is in
        self.documents: dict[str, list[str]] = {}  # where documents are mounted → the entries that they are in
        self.problems: list[EtcdSettingsError] = []

    def build(self) -> Tree:
        branches, traced = self.branches, self.traced
        for path, value in _values(self.entries):
            parent, _, name = path.rpartition("/")
            if not name:
                self._directory(path, value)
                continue
            node = branches.get(parent)
            if node is None:
                node = self._grow(parent)
                if node is None:
                    self._empty_segment(path)
                    continue
            if "." in name and name.endswith(SUFFIXES):
                self._note_document(path, name)
            elif name in node:
                self.bases[path] = path
            else:
                try:
                    node[name] = value.decode()
                except UnicodeDecodeError:
                    node[name] = value  # an error only for whoever needs text
                if traced:
                    node[name] = Traced(node[name], self._origin(path))
        self._settle()
        return self.root

    def _directory(self, path: str, value: bytes) -> None:
        if value or path.endswith("//") or path == "/":
            self._empty_segment(path)

    def _empty_segment(self, path: str) -> None:
        self.problems.append(
            ConflictError([self.entries[path].key], "its path has an empty segment", mend="Rename it, or delete it.")
        )

    def _grow(self, path: str) -> Tree | None:
        """Make the branch at *path*; a text on the way becomes the base of its branch. None for an empty segment."""
        node, seen = self.root, ""
        for name in path.split("/"):
            if not name:
                return None
            seen = f"{seen}/{name}" if seen else name
            below = node.get(name)
            if not isinstance(below, dict):
                if below is not None:
                    self.bases[seen] = seen
                below = node[name] = self.branches[seen] = {}
            node = below
        return node

    def _note_document(self, path: str, name: str) -> None:
        stem, _ = split_suffix(name)
        if stem:
            self.documents.setdefault(path[: len(path) - len(name)] + stem, []).append(path)
        else:
            self._empty_segment(path)

    def _settle(self) -> None:
        for mount in sorted(self.bases.keys() | self.documents.keys(), key=lambda path: -path.count("/")):
            claims = sorted(self.documents.get(mount, []))
            if mount in self.entries:
                claims.insert(0, mount)
            if len(claims) > 1:
                self._conflict(claims, f"they land on one path, {mount!r}")
            elif mount in self.branches:
                self._base(mount, claims[0])
            else:
                self._mount(mount, claims[0])

    def _base(self, mount: str, path: str) -> None:
        """Put the value at *path* below the children that stand at *mount*."""
        node = self.branches[mount]
        if path == mount:
            text = self.entries[path].value
            base = _json_object(text.decode("utf-8", "replace")) if text else {}
            if base is not None and self.traced:
                base = _trace(base, self._origin(path))
        else:
            value = self._parse(path)
            if value is None:
                return
            base = value[0] if isinstance(value[0], dict) else None
        if base is None:
            child = next(other for other in sorted(self.entries) if other.startswith(f"{mount}/"))
            self._conflict([path, child], "the first has keys below it, and its value is no JSON object")
            return
        merged = merge(base, node)
        node.clear()
        node.update(merged)

    def _mount(self, mount: str, path: str) -> None:
        value = self._parse(path)
        if value is not None:
            parent, _, name = mount.rpartition("/")
            self.branches[parent][name] = value[0]

    def _parse(self, path: str) -> tuple[Any] | None:
        """Give what the document holds, in a tuple since it may hold a null; None if it does not parse."""
        entry = self.entries[path]
        try:
            value = parse(path, entry)
        except EtcdSettingsError as e:
            self.problems.append(e)
            return None
        return (_trace(value, self._origin(path)) if self.traced else value,)

    def _conflict(self, paths: list[str], reason: str) -> None:
        self.problems.append(ConflictError([self.entries[path].key for path in paths], reason))

    def _origin(self, path: str) -> Origin:
        entry = self.entries[path]
        return Origin(entry.key, entry.layer, entry.mod_revision)


def _all(layers: Iterable[_Layer]) -> list[Tree]:
    made = [(layer.build(), layer.problems) for layer in layers]
    problems = [problem for _, found in made for problem in found]
    if problems:
        raise combine(problems)
    return [tree for tree, _ in made]


def _merge_all(trees: Iterable[Tree]) -> Tree:
    merged: Tree = {}
    return reduce(merge, trees, merged)


def _values(entries: Mapping[str, Entry]) -> Iterable[tuple[str, bytes]]:
    if isinstance(entries, Entries):
        return entries.values_by_path()
    return ((path, entry.value) for path, entry in entries.items())


def _trace(value: Any, origin: Origin) -> Any:
    """Trace every leaf of a document; a list counts as one leaf, because it is replaced whole."""
    if not isinstance(value, dict):
        return Traced(value, origin)
    below: Callable[[str], str] = f"{origin.inside}/{{}}".format if origin.inside else str
    return {
        name: _trace(child, Origin(origin.key, origin.layer, origin.revision, below(name)))
        for name, child in value.items()
    }


def _json_object(text: str) -> Tree | None:
    if not text.lstrip().startswith("{"):  # cheaper than a failed parse, and most texts are none
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _look_up(node: Any, names: list[str]) -> Any:
    for name in names:
        below = object_in(node)
        if below is None or name not in below:
            return None
        node = below[name]
    return node


def _holders(entries: Mapping[str, Entry], names: list[str]) -> Iterator[Origin]:
    """Find every entry of one layer that holds a value for a path, the one that wins within the layer first."""
    for depth in range(len(names), 0, -1):
        mount, rest = "/".join(names[:depth]), names[depth:]
        for path in (mount, *(mount + suffix for suffix in SUFFIXES)):
            entry = entries.get(path)
            if entry is None:
                continue
            whole = Traced(entry.value.decode("utf-8", "replace"), Origin(entry.key, entry.layer, entry.mod_revision))
            value = whole if path == mount else _trace(parse(path, entry), whole.origin)
            found = _look_up(value, rest) if rest else whole
            if isinstance(found, Traced):
                yield found.origin

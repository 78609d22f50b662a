"""
Lay a tree out over keys, moving as little as possible.

Where etcd says already what the tree says, its entries stay byte for byte. A document stays a document: it is written
anew with what changed in it, and takes in what is new below it. Where a key overrides a part of a document, the key is
what changes. What the document's format cannot hold (null in TOML) makes plain keys of all that it held.

It knows entries, documents and spellings. It knows nothing of revisions, layers and transactions.

Invariant: the entries that come out build the tree that went in, as text. Directory markers are nobody's value, and are
never touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from etcd_settings.documents import parse, render, split_suffix
from etcd_settings.errors import ConfigurationError, EtcdSettingsError, combine
from etcd_settings.keys import encode_key
from etcd_settings.nodes import Tree, object_in
from etcd_settings.snapshot import Entry
from etcd_settings.spelling import as_text, flatten, spell, unspell

__all__ = ["Place", "lay_out", "survey"]

_ABSENT = object()


@dataclass(slots=True)
class Place:
    """
    One place of the tree, as far as entries claim it.

    Args:
        claim: The path of the entry that stands here: a text, a base for what is below, or a document.

        below: What else is claimed below, by name.
    """

    claim: str | None = None
    below: dict[str, Place] = field(default_factory=dict)

    def paths(self) -> Iterator[str]:
        """Give the paths of all entries here and below."""
        if self.claim is not None:
            yield self.claim
        for place in self.below.values():
            yield from place.paths()

    def named_by(self, tree: Any) -> Iterator[str]:
        """Give the paths of the entries that hold what *tree* names, or hide it."""
        if not isinstance(tree, Mapping):
            yield from self.paths()
            return
        if self.claim is not None:
            yield self.claim
        for name, value in tree.items():
            if name in self.below:
                yield from self.below[name].named_by(value)


def survey(entries: Mapping[str, Entry]) -> Place:
    """Find the place of each of *entries*, which build a tree; directory markers have none."""
    root = Place()
    for path in entries:
        mount = split_suffix(path)[0]
        if not mount or mount.endswith("/"):
            continue
        place = root
        for name in mount.split("/"):
            place = place.below.setdefault(name, Place())
        place.claim = path
    return root


def lay_out(goal: Tree, entries: Mapping[str, Entry], now: Tree, root: Place) -> dict[str, bytes]:
    """
    Give the value of each path, directory markers left out, so that all together build *goal*.

    Args:
        goal: The tree to come; all its leaves can be spelled.

        entries: What etcd holds.

        now: The tree that they build.

        root: Their `survey`.

    Raises:
        ConfigurationError: Names of what would be written do not read back; all of them at once.
    """
    layout = _Layout(entries)
    layout.lay_below(root, "", now, goal)
    if layout.problems:
        raise combine([*{str(problem): problem for problem in layout.problems}.values()])  # a document's may come twice
    return layout.values


class _Layout:
    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self.entries = entries
        self.values: dict[str, bytes] = {}
        self.problems: list[EtcdSettingsError] = []

    def lay_below(self, place: Place, above: str, now: Any, goal: Tree) -> None:
        for name, value in goal.items():
            self._lay(place.below.get(name), above, name, now.get(name) if isinstance(now, dict) else None, value)

    def _lay(self, place: Place | None, above: str, name: str, now: Any, goal: Any) -> None:
        if place is None:
            self._write(above, name, goal)
        elif _alike(now, goal):
            self.values.update((path, self.entries[path].value) for path in place.paths())
        elif not isinstance(goal, dict):
            self._lay_leaf(place, above, name, now, goal)
        elif place.claim is not None:
            self._lay_over(place, place.claim, above, name, now, goal)
        elif goal:
            self.lay_below(place, f"{above}{name}/", now, goal)
        else:
            self._write(above, name, goal)

    def _lay_leaf(self, place: Place, above: str, name: str, now: Any, goal: Any) -> None:
        """Put a single value: into the document that holds nothing else, or under a key of its own."""
        path = place.claim
        if path is not None and path != f"{above}{name}" and not place.below:
            text = self._render(path, _native(goal, like=now))
            if text is not None:
                self.values[path] = text
                return
        self._write(above, name, goal)

    def _lay_over(self, place: Place, path: str, above: str, name: str, now: Any, goal: Tree) -> None:
        """Put a branch where a document stands, or a text that is a base for the keys below it."""
        mount = f"{above}{name}"
        branch, is_document = self._branch(path, is_base=bool(place.below)), path != mount
        old = branch or {}
        kept, rest = self._split(place, f"{mount}/", old, goal, adopt=is_document)
        if not is_document and (branch is None or not rest):  # a text is a branch only while there are keys below it
            self._write(above, name, goal)
            return
        if kept or not rest or not old:
            text = self.entries[path].value if _alike(kept, branch) else self._render(path, kept)
            if text is None:
                self._write(above, name, goal)
                return
            self.values[path] = text
        self.lay_below(place, f"{mount}/", now, rest)

    def _split(self, place: Place, above: str, old: Tree, goal: Tree, *, adopt: bool) -> tuple[Tree, Tree]:
        """
        Split *goal* in what the document keeps (or adopts) and the rest, which keys below it hold.

        What keys override stays in the document as it is: nobody sees it.
        """
        kept: Tree = {}
        rest: Tree = {}
        for name in _in_order(goal, like=old):
            value, mine, child = goal[name], old.get(name, _ABSENT), place.below.get(name)
            branch = object_in(mine) if isinstance(value, dict) else None
            if child is None and (adopt or mine is not _ABSENT):
                kept[name] = self._renewed(above, name, mine, value)
            elif child is not None and branch is not None:
                kept[name], others = (
                    self._split(child, f"{above}{name}/", branch, value, adopt=adopt)
                    if child.claim is None
                    else (_agreeing(branch, value), value)
                )
                if others:
                    rest[name] = others
            else:
                rest[name] = value
                if mine is not _ABSENT:
                    kept[name] = mine
        return kept, rest

    def _renewed(self, above: str, name: str, mine: Any, value: Any) -> Any:
        """Give *value* as a document holds it that held *mine* there; what stays equal keeps its type."""
        if mine is _ABSENT:
            self._flatten(above, name, value)  # a name that could be no key is refused, wherever it would go
            return _new(value)
        if isinstance(value, dict):
            old = mine if isinstance(mine, dict) else {}
            return {
                each: self._renewed(f"{above}{name}/", each, old.get(each, _ABSENT), value[each])
                for each in _in_order(value, like=old)
            }
        return mine if _alike(mine, value) else _native(value, like=mine)

    def _branch(self, path: str, *, is_base: bool) -> Tree | None:
        """Give what the entry at *path* holds, if that is a branch."""
        entry = self.entries[path]
        if is_base and not entry.value:
            return {}
        if split_suffix(path)[1]:
            value = parse(path, entry)
            return value if isinstance(value, dict) else None
        return object_in(spell(entry.value))  # what is no UTF-8 stays bytes

    def _render(self, path: str, value: Any) -> bytes | None:
        text = render(path, value, like=self.entries[path].text)
        if text is None:
            return None
        back = parse(path if split_suffix(path)[1] else f"{path}.json", Entry(path, text.encode()))
        return text.encode() if _alike(back, value) else None

    def _write(self, above: str, name: str, value: Any) -> None:
        texts = self._flatten(above, name, value)
        self.values.update((path, encode_key(text)) for path, text in texts.items())

    def _flatten(self, above: str, name: str, value: Any) -> dict[str, str | bytes]:
        try:
            return flatten({name: value}, below=above)
        except EtcdSettingsError as e:
            self.problems.append(e)
            return {}


def _alike(one: Any, other: Any) -> bool:
    if one is other:  # as what nobody names is, whatever it holds
        return True
    try:
        return as_text({"": one}) == as_text({"": other})
    except ConfigurationError:  # a document may hold what has no spelling; what is desired has one
        return False


def _agreeing(old: Tree, goal: Tree) -> Tree:
    """Give the part of *old* that *goal* has too, or overrides."""
    return {
        name: _agreeing(value, goal[name]) if isinstance(value, dict) else value
        for name, value in old.items()
        if name in goal and isinstance(value, dict) == isinstance(goal[name], dict)
    }


def _new(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _new(child) for name, child in value.items()}
    return _native(value, like=_ABSENT)


def _native(value: Any, *, like: Any) -> Any:
    """Give *value* as JSON's own type if it has one; a text only if it takes the place of something that was none."""
    text = spell(value)
    if isinstance(text, bytes) or (isinstance(value, str) and (like is _ABSENT or isinstance(like, str))):
        return text
    return unspell(text)


def _in_order(goal: Tree, *, like: Tree) -> list[str]:
    """Give the names in *goal*, those in *like* first and in its order."""
    return [*(name for name in like if name in goal), *(name for name in goal if name not in like)]

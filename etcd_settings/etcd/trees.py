"""
Lay a tree over what a prefix holds, key by key.

A leaf takes its place whole: what stood there or below it goes. A branch is kept, and what is new comes into it; a
value that stands in its way goes too, unless it is a base (a JSON object or a document), which the new keys override.

It knows entries, documents and spellings, and what would contradict them. It asks nobody. `etcd_settings.publish` is
for those who want more: it writes into documents, leaves alone what is equal, and shows a plan before.

Invariant: afterwards the keys build the tree that they built before, with the new one merged over it, as text.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from etcd_settings.documents import parse, split_suffix
from etcd_settings.etcd.requests import MAX_OPERATIONS, Compare
from etcd_settings.nodes import object_in
from etcd_settings.snapshot import Entry
from etcd_settings.spelling import flatten, spell

__all__ = ["lay_over", "untouched"]


def lay_over(entries: Mapping[str, Entry], tree: Mapping[str, Any]) -> dict[str, str | bytes | None]:
    """
    Give the texts to write, by path, and None for what must go.

    Args:
        entries: What the prefix holds, by path.

        tree: What comes over it.

    Raises:
        ConfigurationError: Names or values of *tree* would not read back; all of them at once.
        DecodeError: A document stands where a branch comes, and does not parse.
    """
    held, changes = _Held(entries), dict[str, str | bytes | None]()
    for path, text in flatten(tree).items():
        mount, suffix = split_suffix(path)
        for end in (at for at, letter in enumerate(mount) if letter == "/"):
            changes |= dict.fromkeys(claim for claim in held.at(mount[:end]) if not held.is_base(claim))
        if suffix:  # of an empty table, since no leaf has one
            changes |= held.as_table(mount, path, text)
        else:
            changes |= {**dict.fromkeys([*held.at(mount), *held.below(mount)]), path: text}
    return changes


def untouched(prefix: str, names: Collection[str], revision: int, *, whole: bool) -> list[Compare]:
    """
    Give the comparisons by which nobody wrote since *revision* where it would matter.

    Args:
        prefix: The prefix, with its slash.

        names: The branches that matter.

        revision: The revision that is known.

        whole: Whether there is room for one comparison alone, which is about all branches.
    """
    if whole or 3 * len(names) > MAX_OPERATIONS:
        return [Compare.mod_revision(prefix, "<", revision + 1, prefix=True)]
    places = [(prefix + name + end, end != "") for name in names for end in ("", ".", "/")]
    return [Compare.mod_revision(key, "<", revision + 1, prefix=below) for key, below in places]


class _Held:
    """What a prefix holds, by the place in the tree that each entry claims; markers of directories claim none."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = entries
        self._claims: dict[str, list[str]] = {}
        for path in entries:
            if not path.endswith("/"):
                self._claims.setdefault(split_suffix(path)[0], []).append(path)
        self._mounts = sorted(self._claims)

    def at(self, mount: str) -> list[str]:
        return self._claims.get(mount, [])

    def below(self, mount: str) -> Iterator[str]:
        for place in self._mounts[bisect_left(self._mounts, f"{mount}/") :]:
            if not place.startswith(f"{mount}/"):
                break
            yield from self._claims[place]

    def is_base(self, path: str) -> bool:
        """Tell whether keys below it can override what is in it."""
        entry = self._entries[path]
        if not entry.value:
            return True
        if split_suffix(path)[1]:
            return isinstance(parse(path, entry), dict)
        return object_in(spell(entry.value)) is not None

    def as_table(self, mount: str, path: str, empty: str | bytes) -> dict[str, str | bytes | None]:
        """Make a table of what stands at *mount*, or an *empty* one at *path*."""
        changes: dict[str, str | bytes | None] = {}
        for claim in self.at(mount):
            text = self._entries[claim].value
            if claim != mount and (text or any(self.below(mount))) and self.is_base(claim):
                return {}
            changes[claim] = None  # a text, or an empty document, is a table only while there are keys below it
            if claim == mount and self.is_base(claim):
                empty = text or empty
        return changes | {path: empty}

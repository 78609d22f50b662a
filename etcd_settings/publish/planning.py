"""
Plan which keys must change so that etcd holds what a tree says.

It knows entries and their revisions, and that of several layers one is written. It does no I/O: a plan is a value, to
be looked at, judged and only then applied.

Invariant: a plan of what etcd holds already is empty, and no part of a plan shows a value by its repr.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from etcd_settings.documents import split_suffix
from etcd_settings.errors import ConfigurationError
from etcd_settings.nodes import Tree, merge
from etcd_settings.publish.layout import lay_out, survey
from etcd_settings.snapshot import Entries, Entry, Snapshot
from etcd_settings.spelling import as_text
from etcd_settings.tree import build

__all__ = ["Edit", "Plan", "plan", "plan_entries"]


@dataclass(frozen=True, slots=True)
class Edit:
    """
    What is to happen to one key.

    Args:
        path: The key relative to its layer.

        key: The whole key.

        old: What it holds; None if it does not exist.

        new: The value to write; None deletes it.
    """

    path: str
    key: str
    old: Entry | None = field(repr=False)
    new: bytes | None = field(repr=False)

    @property
    def branch(self) -> str:
        """The name at the top of the tree under which it is, as a key or in a document."""
        return split_suffix(self.path)[0].split("/")[0]


@dataclass(frozen=True, slots=True, repr=False)
class Plan:
    """
    Which keys are to change, and what that was concluded from.

    Args:
        layer: The layer that is written; ``""`` for a source without layers.

        prefix: Its whole prefix.

        revision: The revision at which etcd held what the plan starts from.

        puts: The keys to write, by path.

        deletes: The keys to delete, by path.

        unchanged: The entries that the tree names too and that say already what it says, by path.

        prunes: Whether whatever the tree lacks is deleted.

        replaced: The paths of branches that a single value takes the place of, and all that is in them.

        is_part: Whether it is a part of a plan that was split.
    """

    layer: str
    prefix: str
    revision: int
    puts: tuple[Edit, ...]
    deletes: tuple[Edit, ...]
    unchanged: tuple[Entry, ...]
    prunes: bool
    replaced: tuple[str, ...] = ()
    is_part: bool = False

    @property
    def edits(self) -> tuple[Edit, ...]:
        """All that is to change; nothing if etcd holds already what was desired."""
        return (*self.puts, *self.deletes)

    def outcome(self, snapshot: Snapshot) -> Snapshot:
        """Give *snapshot*, which the plan was made of, as it will be afterwards: what a validation has to judge."""
        revision = snapshot.revision + 1
        changes = {edit.path: None if edit.new is None else _written(edit, self, revision) for edit in self.edits}
        return snapshot.evolve(revision, {self.layer: changes})

    def __repr__(self) -> str:
        counts = f"{len(self.puts)} to write, {len(self.deletes)} to delete"
        return f"<Plan for {self.prefix!r} at revision {self.revision}: {counts}>"


def plan(snapshot: Snapshot, desired: Mapping[str, Any], *, prune: bool = False, layer: str | None = None) -> Plan:
    """
    Plan what to write so that etcd holds *desired*.

    Trees are compared as text, since text is what etcd holds: ``5432`` and ``"5432"`` are one. What is equal stays as
    it is, byte for byte, documents included. What differs goes where it is: into the document, or under the key. A
    value replaces a branch, and the reverse. A document that changes is written anew, and loses its comments.

    Args:
        snapshot: What etcd holds.

        desired: The tree that etcd shall hold: texts, numbers, booleans, None, dates, lists, and mappings of these.

        prune: Whether to delete what *desired* lacks; otherwise it stays.

        layer: Which of the snapshot's layers to write; needed if there are several.

    Raises:
        ConfigurationError: A name or a value in *desired* would not read back, or the layer is not clear.
        ConflictError: The entries contradict each other: they are no tree to compare with.
        EtcdSettingsError: What `etcd_settings.tree.build` raises.
    """
    snapshot = snapshot.only(layer)
    [entries] = snapshot.layers.values()
    wanted = _dicts(desired)
    as_text(wanted)  # raises for values that have no spelling, before anything else is looked at
    now, root = build(snapshot), survey(entries)
    values = lay_out(wanted if prune else merge(now, wanted), entries, now, root)
    placed = set(root.paths())  # not the directory markers
    named = placed if prune else root.named_by(wanted)
    made = _plan(snapshot, values, doomed=placed - values.keys(), named=set(named), prunes=prune)
    return replace(made, replaced=tuple(_replaced(now, wanted, "")))


def plan_entries(
    snapshot: Snapshot, values: Mapping[str, bytes], *, prune: bool = False, layer: str | None = None
) -> Plan:
    """
    Plan what to write so that etcd holds *values*, byte for byte, whatever they mean.

    Args:
        snapshot: What etcd holds.

        values: Path → value.

        prune: Whether to delete every other key, so that etcd holds exactly *values*.

        layer: Which of the snapshot's layers to write; needed if there are several.

    Raises:
        ConfigurationError: The layer is not clear.
    """
    snapshot = snapshot.only(layer)
    doomed = snapshot.keys() - values.keys() if prune else set[str]()
    return _plan(snapshot, values, doomed=doomed, named=values, prunes=prune)


def _plan(
    snapshot: Snapshot, values: Mapping[str, bytes], *, doomed: Iterable[str], named: Iterable[str], prunes: bool
) -> Plan:
    [(layer, entries)] = snapshot.layers.items()
    prefix = _prefix(entries)

    def edit(path: str, new: bytes | None) -> Edit:
        return Edit(path, prefix + path, entries.get(path), new)

    return Plan(
        layer,
        prefix,
        snapshot.revision,
        puts=tuple(edit(path, new) for path, new in sorted(values.items()) if not _holds(entries, path, new)),
        deletes=tuple(edit(path, None) for path in sorted(doomed)),
        unchanged=tuple(
            entries[path] for path in sorted(named) if path in values and _holds(entries, path, values[path])
        ),
        prunes=prunes,
    )


def _replaced(now: Tree, wanted: Tree, above: str) -> Iterator[str]:
    for name, value in wanted.items():
        before = now.get(name)
        if isinstance(before, dict) and not isinstance(value, dict) and before:
            yield f"{above}{name}"
        elif isinstance(before, dict) and isinstance(value, dict):
            yield from _replaced(before, value, f"{above}{name}/")


def _holds(entries: Mapping[str, Entry], path: str, value: bytes) -> bool:
    return path in entries and entries[path].value == value


def _prefix(entries: Mapping[str, Entry]) -> str:
    if isinstance(entries, Entries):
        return entries.prefix
    for path, entry in entries.items():  # they were pickled
        return entry.key.removesuffix(path)
    raise ConfigurationError("This snapshot is empty and does not know its prefix. Read it anew from its source.")


def _dicts(tree: Mapping[str, Any]) -> Tree:
    return {name: _dicts(value) if isinstance(value, Mapping) else value for name, value in tree.items()}


def _written(edit: Edit, plan: Plan, revision: int) -> Entry:
    old = edit.old or Entry(edit.key, b"", plan.layer, create_revision=revision)
    return replace(old, value=edit.new or b"", mod_revision=revision, version=old.version + 1, lease=0)

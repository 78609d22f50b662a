"""
Read for a verb: what is there now, and what of it stands at a path.

A file that cannot be read or understood is the caller's own (see `given`); an etcd that cannot is not.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from etcd_settings.cli.exits import Code, Stop, given
from etcd_settings.cli.places import open_source
from etcd_settings.cli.verbs import Asked
from etcd_settings.connection import Connection
from etcd_settings.errors import UnavailableError
from etcd_settings.location import nearest
from etcd_settings.nodes import object_in
from etcd_settings.options import Options
from etcd_settings.snapshot import Snapshot
from etcd_settings.tree import build

__all__ = ["nothing_at", "read", "reading", "value_at"]


@contextmanager
def reading(place: Options) -> Generator[None]:
    """Let what goes wrong in this block, which reads from *place*, be the caller's own if that is no etcd."""
    if isinstance(place.where, Connection):
        yield
        return
    with given():
        try:
            yield
        except UnavailableError as e:  # its mend is for an etcd
            problem = Stop(Code.UNUSABLE, "; ".join(f"{where}: {reason}." for where, reason in e.attempts.items()))
        else:
            return
        raise problem


def read(asked: Asked) -> tuple[Options, Snapshot]:
    """Read everything at the place that was asked for."""
    place = asked.place()
    with reading(place), open_source(place) as source:
        return place, source.snapshot()


def value_at(snapshot: Snapshot, path: str) -> tuple[bool, Any]:
    """
    Give what stands at *path* in the tree: whether there is anything, and its value, a branch or a leaf.

    Raises:
        EtcdSettingsError: Keys contradict each other, or a document does not parse.
    """
    node: Any = build(snapshot, path)
    names = [name for name in path.split("/") if name]
    for name in names:
        if isinstance(node, list) and name.isascii() and name.isdigit() and int(name) < len(node):
            node = node[int(name)]
            continue
        branch = object_in(node)
        if branch is None or name not in branch:
            return False, {}
        node = branch[name]
    return bool(names or node), node


def nothing_at(snapshot: Snapshot, path: str, place: Options) -> Stop:
    """Say that there is nothing at *path*, and what was probably meant."""
    hint = nearest(path.strip("/"), snapshot)
    return Stop(Code.NO, f"Nothing is at {path!r} under {place.title} at revision {snapshot.revision}.{hint}")

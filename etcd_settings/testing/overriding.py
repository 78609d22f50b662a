"""
Replace some settings for the time of a test.

It knows how Python values are spelled in etcd, and that a source can show one more layer. It touches no store.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from etcd_settings.keys import encode_key
from etcd_settings.snapshot import Entries, Entry
from etcd_settings.source import Source
from etcd_settings.spelling import flatten

__all__ = ["override"]

_PREFIX = "override/"
"""Stands before the paths, where explanations and errors name keys: etcd has no such key."""


def override(source: Source, values: Mapping[str, Any]) -> AbstractContextManager[None]:
    """
    Show *values* in place of what etcd holds, while the block runs.

    They merge deep: what they do not name stays as it is. Everything that reads from *source* sees them, all at once,
    and for whoever watches it, a `Live` too, they are a change, and their end is another. Other sources, of the same
    URL too, see nothing of it. Blocks nest; the inner one wins.

    ::

        with override(source, {"database": {"host": "db.test", "port": 5432}}):
            ...

    Args:
        source: That very source, and no other.

        values: A nested mapping of Python values. It is copied.

    Raises:
        ConfigurationError: A name cannot be a key, or a value cannot be spelled.
    """
    written = {path: Entry(_PREFIX + path, encode_key(text), "override") for path, text in flatten(values).items()}
    return source.overlaid(Entries((), prefix=_PREFIX, layer="override").evolve(written))

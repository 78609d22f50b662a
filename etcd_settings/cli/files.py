"""
Read a file of settings that somebody gave.

Whatever is wrong with the file is the caller's own (see `given`). Whether its names can be keys, the plan says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from etcd_settings.cli.exits import Code, Stop, given
from etcd_settings.documents import SUFFIXES, parse, split_suffix
from etcd_settings.entries import Entry

__all__ = ["read_file", "suffix_of"]


def read_file(file: str) -> dict[str, Any]:
    """
    Give the tree in a file whose suffix says how it is written.

    Raises:
        Stop: It cannot be read or understood, or holds no table.
    """
    suffix_of(file)
    with given():
        tree = parse(file, Entry(file, Path(file).read_bytes()))
    if tree is None:  # an empty YAML file
        return {}
    if not isinstance(tree, dict):
        raise Stop(Code.UNUSABLE, f"{file!r} holds a single value or a list, and settings are a table.")
    return tree


def suffix_of(file: str) -> str:
    """
    Give the suffix that says how a file is written.

    Raises:
        Stop: It says nothing.
    """
    suffix = split_suffix(file)[1]
    if not suffix:
        suffixes = ", ".join(SUFFIXES)
        raise Stop(Code.UNUSABLE, f"{file!r} does not say how it is written. Give it one of the suffixes {suffixes}.")
    return suffix

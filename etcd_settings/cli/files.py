"""
Read and write files of settings that somebody named.

Whatever is wrong with a file is the caller's own, and ends the command as `Code.UNUSABLE`. Whether names in it can be
keys, the plan says.
"""

from __future__ import annotations

import os
import sys
import time
from codecs import BOM_UTF8
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from etcd_settings.cli.exits import Code, Stop, given
from etcd_settings.documents import SUFFIXES, parse, split_suffix
from etcd_settings.entries import Entry
from etcd_settings.errors import DecodeError
from etcd_settings.private_files import replace_file

__all__ = ["FORMATS", "file_argument", "read_file", "suffix_of", "write_file"]

FORMATS = ["toml", "json", "yaml"]


def file_argument(function: Callable[..., None]) -> Callable[..., None]:
    """Let a verb take ``FILE``, and ``--format`` where its name does not tell how it is written."""
    option = click.option(
        "--format",
        "form",
        metavar="FORMAT",
        type=click.Choice(FORMATS),
        help="How FILE is written, if its suffix does not say: toml, json or yaml.",
    )
    return click.argument("file")(option(function))


def read_file(file: str, form: str | None = None) -> dict[str, Any]:
    """
    Give the tree in a file.

    Args:
        file: The file; ``-`` means stdin.

        form: How it is written; None means that its suffix says so.

    Raises:
        Stop: It cannot be read or understood, or holds no table.
    """
    suffix = f".{form}" if form else suffix_of(file, ", or say --format")
    with given():
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        tree, problem = _parsed(file, suffix, data.removeprefix(BOM_UTF8))  # some editors begin every file with it
    if problem:
        raise Stop(Code.UNUSABLE, problem)
    if tree is None:  # an empty YAML file
        return {}
    if not isinstance(tree, dict):
        raise Stop(Code.UNUSABLE, f"{file!r} holds a single value or a list, and settings are a table.")
    return tree


def suffix_of(file: str, way_out: str = "") -> str:
    """
    Give the suffix that says how a file is written.

    Args:
        file: The file.

        way_out: What else the caller can do.

    Raises:
        Stop: It says nothing.
    """
    suffix = split_suffix(file)[1]
    if not suffix:
        mend = f"Give it one of the suffixes {', '.join(SUFFIXES)}{way_out}."
        raise Stop(Code.UNUSABLE, f"{file!r} does not say how it is written. {mend}")
    return suffix


def write_file(file: str, data: bytes) -> None:
    """
    Put a file in its place, whole and for its owner alone; behind a link, where that leads.

    Raises:
        Stop: It cannot be written; what was there is there still.
    """
    place = os.path.realpath(file)  # which pathlib would not say of a link that leads to itself
    if Path(place).exists() and not Path(place).is_file():
        raise Stop(Code.UNUSABLE, f"{file!r} is there already, and is no file.")
    try:
        replace_file(place, data, modified=time.time())
    except OSError as e:  # it would name what is written beside it
        raise Stop(Code.UNUSABLE, f"{file!r} cannot be written: {e.strerror or type(e).__name__}.") from e


def _parsed(file: str, suffix: str, data: bytes) -> tuple[Any, str]:
    """Give the tree, and what is wrong with the text."""
    try:
        return parse(suffix, Entry(file, data)), ""
    except DecodeError as e:
        return None, f"{file!r} is not valid {e.expected}{f' ({e.position})' if e.position else ''}. Mend it there."

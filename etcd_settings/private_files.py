"""
Keep a file to oneself.

What is read is read only from a regular file of this user's that nobody else may open; what is written is there whole
or not at all, for its owner alone.

It knows owners, modes, links and disks. It knows nothing of what files hold.

Invariant: a place holds the old file or the new one, whenever the writer was killed. The new one is written beside it,
flushed to the disk, and put there by a rename.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from glob import escape
from pathlib import Path

__all__ = ["Refused", "read_private", "replace_file"]

_LEFTOVER_AGE = 3600.0
"""Seconds after which what a killed writer left behind is removed; no write takes so long."""


class Refused(Exception):  # noqa: N818  # not an error: it never leaves this package, and says why a file is not used
    """A file is not used; its text says why, and quotes nothing of it."""


def read_private(path: str) -> tuple[bytes, float]:
    """
    Read a file that is this user's alone.

    Returns:
        Its content, and when it was modified last, in seconds since 1970.

    Raises:
        Refused: It may be somebody else's work, or somebody else may have read it.
        FileNotFoundError: There is none.
        OSError: It cannot be read.
    """
    if Path(path).is_symlink():  # for systems without O_NOFOLLOW, and for a better reason than ELOOP
        raise Refused("it is a symbolic link")
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    with open(os.open(path, flags), "rb") as file:  # noqa: PTH123  # a descriptor, so that what is checked is what is read
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise Refused("it is not a regular file")
        if hasattr(os, "geteuid"):  # Windows has other means, which we do not know
            if facts.st_uid != os.geteuid():
                raise Refused("it belongs to another user")
            if facts.st_mode & 0o077:
                raise Refused(f"others may read or write it (its mode is {stat.S_IMODE(facts.st_mode):04o}, not 0600)")
        return file.read(), facts.st_mtime


def replace_file(path: str, data: bytes, *, modified: float) -> None:
    """
    Put a file in its place, whole and readable by its owner alone.

    Args:
        path: The place.

        data: The content.

        modified: The modification time that it gets, in seconds since 1970.

    Raises:
        OSError: It cannot be written; what was there is there still.
    """
    directory, name = os.path.split(path)
    beside = Path(directory, f".{name}.{os.urandom(8).hex()}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    try:
        with open(os.open(beside, flags, 0o600), "wb") as file:  # noqa: PTH123  # the mode has to be there from the start
            file.write(data)
            file.flush()
            os.utime(beside, (modified, modified))
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    _sync_directory(directory)
    _remove_leftovers(directory, name)


def _sync_directory(directory: str) -> None:
    """Make the rename last through a power cut, where the system has a means to."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_leftovers(directory: str, name: str) -> None:
    """Remove what writers left that were killed."""
    with contextlib.suppress(OSError):
        for leftover in Path(directory).glob(f".{escape(name)}.*.tmp"):
            if time.time() - leftover.lstat().st_mtime > _LEFTOVER_AGE:
                leftover.unlink()

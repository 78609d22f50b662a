"""Files that belong to one user, and are whole."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from etcd_settings.private_files import Refused, read_private, replace_file

posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no modes here")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def test_what_was_written_is_read(path: Path) -> None:
    """Content and modification time come back, over whatever was there before."""
    replace_file(str(path), b"old", modified=1.0)
    replace_file(str(path), b"new", modified=1234.5)

    assert (b"new", 1234.5) == read_private(str(path))
    assert [path] == list(path.parent.iterdir())


@posix
def test_the_mode_is_0600_whatever_the_umask(path: Path) -> None:
    """Nobody else may read it, from its first byte on, also where everything else is open to all."""
    path.write_bytes(b"")
    path.chmod(0o666)
    umask = os.umask(0)
    try:
        replace_file(str(path), b"secret", modified=1.0)
    finally:
        os.umask(umask)

    assert 0o600 == path.stat().st_mode & 0o777


@posix
@pytest.mark.parametrize("mode", [0o640, 0o620, 0o604, 0o602, 0o601])
def test_a_file_that_is_open_to_others_is_refused(path: Path, mode: int) -> None:
    """Whoever else might have read or written it, the mode is in the reason."""
    path.write_bytes(b"x")
    path.chmod(mode)

    with pytest.raises(Refused, match=f"others may read or write it .*{mode:04o}"):
        read_private(str(path))


@posix
def test_a_file_of_another_user_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another user owns is another user's work."""
    replace_file(str(path), b"x", modified=1.0)
    somebody_else = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: somebody_else)

    with pytest.raises(Refused, match="another user"):
        read_private(str(path))


def test_a_link_is_refused(path: Path) -> None:
    """A symbolic link may lead to anybody's file; writing replaces the link and not what it leads to."""
    target = path.parent / "target"
    replace_file(str(target), b"x", modified=1.0)
    path.symlink_to(target)

    with pytest.raises(Refused, match="symbolic link"):
        read_private(str(path))
    replace_file(str(path), b"new", modified=1.0)
    assert (b"x", b"new") == (target.read_bytes(), read_private(str(path))[0])


@posix
def test_what_is_no_file_is_refused(path: Path) -> None:
    """A pipe is refused without waiting for its writer, a directory too."""
    os.mkfifo(path, 0o600)
    with pytest.raises(Refused, match="not a regular file"):
        read_private(str(path))

    directory = path.parent / "directory"
    directory.mkdir(0o700)
    with pytest.raises((Refused, IsADirectoryError)):
        read_private(str(directory))


def test_a_missing_file_is_missing(path: Path) -> None:
    """Missing is not the same as refused."""
    with pytest.raises(FileNotFoundError):
        read_private(str(path))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full the old content stays, and no half of the new one lies beside it."""
    replace_file(str(path), b"old", modified=1.0)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(str(path), b"new", modified=2.0)

    assert b"old" == path.read_bytes()
    assert [path] == list(path.parent.iterdir())


def test_a_new_file_outlives_a_power_cut(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its content is on the disk before it takes the place, and its place before we say so."""
    synced: list[tuple[bool, bytes]] = []
    path.write_bytes(b"old")
    monkeypatch.setattr(
        os, "fsync", lambda file: synced.append((stat.S_ISDIR(os.fstat(file).st_mode), path.read_bytes()))
    )
    replace_file(str(path), b"new", modified=2.0)

    assert [(False, b"old"), (True, b"new")] == synced


def test_what_lies_in_the_way_is_not_written_through(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody may have guessed what the new file is called while it is written."""
    monkeypatch.setattr(os, "urandom", bytes)
    (path.parent / f".{path.name}.{bytes(8).hex()}.tmp").symlink_to("elsewhere")
    with pytest.raises(FileExistsError):
        replace_file(str(path), b"new", modified=2.0)

    assert not (path.parent / "elsewhere").exists()


def test_what_killed_writers_left_is_removed_in_time(path: Path) -> None:
    """A file beside ours that has been there for an hour is nobody's any more; a younger one may be somebody's."""
    old, young, other = (path.parent / name for name in (".file.00.tmp", ".file.11.tmp", ".file2.00.tmp"))
    for leftover in (old, young, other):
        leftover.write_bytes(b"half")
    for leftover in (old, other):
        os.utime(leftover, (time.time() - 4000, time.time() - 4000))

    replace_file(str(path), b"new", modified=1.0)

    assert [False, True, True] == [leftover.exists() for leftover in (old, young, other)]


KILLED = """
import os, signal, sys
from etcd_settings import private_files

path, at = sys.argv[1], int(sys.argv[2])
steps = 0

def counted(function):
    def step(*args, **kwargs):
        global steps
        steps += 1
        if steps == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return step

def trace(frame, event, arg):
    # every line of the writer is a point at which it may be killed
    if frame.f_code.co_filename == private_files.__file__ and event == "line":
        counted(lambda: None)()
    return trace

sys.settrace(trace)
private_files.replace_file(path, b"new" * 100_000, modified=2.0)
sys.settrace(None)
print(steps)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL here")
def test_killed_at_any_point_leaves_the_old_or_the_new(path: Path) -> None:
    """Whichever line the writer was killed at, the file is the old one or the new one, whole."""

    def write(at: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", KILLED, str(path), str(at)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    steps = int(write(0).stdout)
    found = set()
    for at in range(1, steps + 1):
        replace_file(str(path), b"old", modified=1.0)
        assert -9 == write(at).returncode
        content = path.read_bytes()
        found.add(content[:3])
        assert content in (b"old", b"new" * 100_000)

    assert {b"old", b"new"} == found
    assert steps > 10

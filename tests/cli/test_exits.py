"""Whatever ends a command has its exit code and few lines, and no line shows a value."""

from __future__ import annotations

import errno

import click
import pytest

from etcd_settings.cli.exits import CODES, Code, Stop, ending, given
from etcd_settings.errors import (
    AuthenticationError,
    ClosedError,
    ConfigurationError,
    ConflictError,
    DecodeError,
    InvalidSettingsError,
    MessageTooLargeError,
    PermissionDeniedError,
    RequestError,
    TLSError,
    UnavailableError,
    combine,
)

SECRET = "correct horse"
UNAVAILABLE = UnavailableError({"127.0.0.1:1": "connection refused"})


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (0, click.exceptions.Exit(0)),
        (1, ConflictError(["/a", "/b"], "they say different things")),
        (1, DecodeError("/a.json", "JSON")),
        (1, click.Abort()),
        (2, click.UsageError("that is no option")),
        (3, UNAVAILABLE),
        (3, RequestError(endpoint="127.0.0.1:1", status="UNKNOWN", reason="it is tired")),
        (3, ClosedError("Client")),
        (4, AuthenticationError(endpoint="127.0.0.1:1", user="app")),
        (4, PermissionDeniedError(endpoint="127.0.0.1:1", user="app", prefix="/a/")),
        (4, TLSError(endpoint="127.0.0.1:1", reason="it is not trusted")),
        (5, Stop(Code.CONFLICT, "somebody else wrote")),
        (6, ConfigurationError("that is no URL")),
        (6, MessageTooLargeError("request")),
        (6, FileNotFoundError(errno.ENOENT, "No such file or directory", "a.toml")),
        *((6, OSError(number, "It failed")) for number in (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EACCES)),
        (6, RecursionError()),
        (6, MemoryError()),
        (6, ModuleNotFoundError("No module named 'rich'", name="rich.console")),
        (130, KeyboardInterrupt()),
        (3, combine([ConflictError(["/a"], "it is wrong"), UNAVAILABLE])),
        (6, combine([ConflictError(["/a"], "it is wrong"), ConfigurationError("that is no name")])),
        (4, combine([UNAVAILABLE, AuthenticationError(endpoint="127.0.0.1:1", user="app")])),
    ],
)
def test_each_error_has_its_code(code: int, error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    """And at most three lines, the first of which begins with ``Error:``."""
    assert code == ending(error, debug=False)

    out, err = capsys.readouterr()
    assert "" == out
    assert len(err.splitlines()) <= 3
    assert err == "" or err.startswith("Error: ")


def test_every_code_is_told() -> None:
    """The help names each code that there is."""
    assert set(Code) == set(CODES)


def test_many_lines_are_cut_short_unless_debugging(capsys: pytest.CaptureFixture[str]) -> None:
    """What is left out is counted, and ``--debug`` shows it."""
    wrong = [{"loc": (f"field{i}",), "type": "missing", "msg": "Field required"} for i in range(9)]
    error = InvalidSettingsError("Settings", wrong)

    ending(error, debug=False)
    short = capsys.readouterr().err.splitlines()
    ending(error, debug=True)
    long = capsys.readouterr().err

    assert (3, "… and 8 lines more, which --debug shows.") == (len(short), short[-1])
    assert all(f"field{i}" in long for i in range(9))


@pytest.mark.parametrize("debug", [False, True])
def test_a_bug_shows_its_type_and_never_what_it_says(debug: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Messages of foreign errors may hold values, and so may lines of code; ``--debug`` shows places."""

    def fail() -> None:
        try:
            int(SECRET)
        except ValueError as e:
            raise KeyError(SECRET) from e

    with pytest.raises(KeyError) as raised:
        fail()
    assert 1 == ending(raised.value, debug=debug)

    err = capsys.readouterr().err
    assert "KeyError" in err
    assert SECRET not in err
    assert debug == (__file__ in err)
    assert debug == ("ValueError" in err)


def test_debug_follows_causes_and_contexts_once(capsys: pytest.CaptureFixture[str]) -> None:
    """They may go round in a circle, as after ``raise e from e``."""
    error, cause, context = KeyError(SECRET), TypeError(SECRET), ValueError(SECRET)
    error.__cause__, cause.__context__, context.__cause__ = cause, context, error
    ending(error, debug=True)

    err = capsys.readouterr().err
    assert [1, 1, 1] == [err.count(f"builtins.{type(each).__name__}") for each in (error, cause, context)]


def test_what_the_caller_gave_is_unusable() -> None:
    """In a `given` block the same errors, and those of files, are about the caller's own things."""
    for error in (DecodeError("a.json", "JSON"), PermissionError(errno.EACCES, "Permission denied", "a.json")):
        with pytest.raises(Stop) as stopped, given():
            raise error
        assert Code.UNUSABLE == stopped.value.code
        assert "a.json" in str(stopped.value)

"""
Say with which code a command ends, and why.

Whatever goes wrong becomes one to three lines for people and one code for programs, in one place (`ending`): what the
library raises, what click makes of wrong usage, an interruption, a reader that went away.

Invariant: no line shows a value, not even a traceback's. Errors of this library hold none; of any other error only the
type is told.
"""

from __future__ import annotations

import enum
import errno
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from traceback import walk_tb

import click

from etcd_settings.cli.output import hush
from etcd_settings.errors import (
    AuthenticationError,
    ClosedError,
    ConcurrentWriteError,
    ConfigurationError,
    EtcdSettingsError,
    MessageTooLargeError,
    PermissionDeniedError,
    RequestError,
    TLSError,
    TooManyChangesError,
    UnavailableError,
)

__all__ = ["CODES", "Code", "Stop", "ending", "given"]


class Code(enum.IntEnum):
    """How a command ended."""

    OK = 0
    NO = 1
    USAGE = 2
    UNREACHABLE = 3
    DENIED = 4
    CONFLICT = 5
    UNUSABLE = 6
    INTERRUPTED = 130


CODES = {
    Code.OK: "success",
    Code.NO: "the answer is no: invalid, different, not found, declined",
    Code.USAGE: "wrong usage",
    Code.UNREACHABLE: "etcd cannot be reached, or does not serve",
    Code.DENIED: "denied: authentication, permission, TLS",
    Code.CONFLICT: "conflict: somebody else wrote meanwhile",
    Code.UNUSABLE: "what was given cannot be used: URL, file, names, MODULE:CLASS",
    Code.INTERRUPTED: "interrupted",
}
"""What each code means, as ``--help`` says it."""

_CODES_OF_ERRORS: dict[type[BaseException], Code] = {
    AuthenticationError: Code.DENIED,
    PermissionDeniedError: Code.DENIED,
    TLSError: Code.DENIED,
    UnavailableError: Code.UNREACHABLE,
    RequestError: Code.UNREACHABLE,
    ClosedError: Code.UNREACHABLE,
    ConfigurationError: Code.UNUSABLE,
    MessageTooLargeError: Code.UNUSABLE,
    ConcurrentWriteError: Code.CONFLICT,
    TooManyChangesError: Code.UNUSABLE,
}
"""The first that fits; all other errors of the library say that the answer is no."""

_URGENT = (Code.DENIED, Code.UNREACHABLE, Code.UNUSABLE, Code.CONFLICT, Code.NO)
"""Which code stands for several problems of different kinds: the first of these."""

_MOST_LINES = 3

_EXTRAS = {"rich": "cli", "pydantic": "pydantic", "pydantic_core": "pydantic", "pydantic_settings": "pydantic"}
"""Packages of which a verb may find that they are missing, with the extra that brings them."""


class Stop(Exception):  # noqa: N818  # it ends a command, and may end it well
    """
    End the command here.

    Args:
        code: With which code.

        message: What to say on stderr; ``""`` if all is said. The first line what happened, the next ones what to do.
    """

    def __init__(self, code: Code, message: str = "") -> None:
        self.code = code
        super().__init__(message)


@contextmanager
def given(code: Code = Code.UNUSABLE) -> Generator[None]:
    """Let errors of the library in this block end the command with *code*: they are about what the caller gave."""
    try:
        yield
    except EtcdSettingsError as e:
        raise Stop(code, str(e)) from e
    except OSError as e:
        where = "" if e.filename is None else f"{e.filename!r}: "
        raise Stop(code, f"{where}{(e.strerror or type(e).__name__)}") from e


def ending(error: BaseException, *, debug: bool) -> int:
    """
    Say on stderr why *error* ends the command, and give the exit code.

    Args:
        error: What was raised.

        debug: Whether to tell everything: all lines, and the way through the code.
    """
    if isinstance(error, OSError):
        hush()  # perhaps it came from there
    if isinstance(error, BrokenPipeError):  # whoever read has seen enough
        return Code.OK
    code, lines = _verdict(error)
    if debug:
        lines += _traceback(error)
    elif len(lines) > _MOST_LINES:
        lines[_MOST_LINES - 1 :] = [f"… and {len(lines) - _MOST_LINES + 1} lines more, which --debug shows."]
    for line in lines:
        click.echo(line, err=True)
    return code


def _verdict(error: BaseException) -> tuple[int, list[str]]:
    match error:
        case Stop(code=code):
            return code, _said(str(error))
        case EtcdSettingsError():
            return _code_of(error), _said(str(error))
        case click.exceptions.Exit():
            return error.exit_code, []
        case click.UsageError():
            return Code.USAGE, [*_said(error.format_message()), *_usage(error)]
        case KeyboardInterrupt():
            return Code.INTERRUPTED, _said("Interrupted.")
        case click.Abort():
            interrupted = isinstance(error.__cause__ or error.__context__, KeyboardInterrupt)
            return (Code.INTERRUPTED, _said("Interrupted.")) if interrupted else (Code.NO, _said("Declined."))
        case ModuleNotFoundError() if error.name and (extra := _EXTRAS.get(error.name.partition(".")[0])):
            mend = f"Install it with: pip install 'etcd-settings[{extra}]'"
            return Code.UNUSABLE, _said(f"This takes the package {error.name!r}. {mend}")
        case RecursionError():
            return Code.UNUSABLE, _said("The settings are nested too deeply.")
        case MemoryError():
            return Code.UNUSABLE, _said("The settings are too large for the memory of this machine.")
        case OSError() if error.errno in (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EACCES, errno.ENOENT):
            return Code.UNUSABLE, _said(f"{error.strerror}.")
    problem = f"This is a bug of etcd-settings ({type(error).__name__}). Please report it, with what --debug shows."
    return Code.NO, _said(problem)


def _code_of(error: EtcdSettingsError) -> Code:
    codes = {
        next((code for kind, code in _CODES_OF_ERRORS.items() if isinstance(problem, kind)), Code.NO)
        for problem in error.problems
    }
    return next(code for code in _URGENT if code in codes)


def _said(message: str) -> list[str]:
    first, *others = message.splitlines() or [""]
    return [f"Error: {first}", *others] if message else []


def _usage(error: click.UsageError) -> Iterator[str]:
    if error.ctx is not None:
        yield f"Try '{error.ctx.command_path} --help'."


def _traceback(error: BaseException) -> Iterator[str]:
    """Tell the way through the code: places alone, since lines of code and foreign messages may hold a value."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield f"{type(cause).__module__}.{type(cause).__qualname__}, raised in:"
        for frame, number in walk_tb(cause.__traceback__):
            yield f"  {frame.f_code.co_filename}:{number}, in {frame.f_code.co_qualname}"
        cause = cause.__cause__ or cause.__context__

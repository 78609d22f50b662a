"""
Keep foreign libraries' ways inside: their errors, and what they would tell the log.

What sockets and h2 raise becomes a `CallFailed`, here and nowhere else. And hpack, which quotes every header in its
debug log, does not get to tell our token.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

import h2.exceptions

from etcd_settings.etcd.grpc import CallFailed, NoAnswer

__all__ = ["HUSH", "foreign_errors_end_here"]

P = ParamSpec("P")
T = TypeVar("T")


def foreign_errors_end_here(*, sent: bool) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Turn what sockets and h2 raise into a `CallFailed`; *sent* is what it says if it is not known better."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return function(*args, **kwargs)
            except CallFailed as e:
                failure = type(e)(e.reason, sent=e.sent and sent)
            except TimeoutError:
                failure = NoAnswer("no answer in time", sent=sent)
            except OSError as e:
                failure = CallFailed((e.strerror or str(e) or type(e).__name__).lower(), sent=sent)
            except h2.exceptions.NoAvailableStreamIDError:
                failure = CallFailed("the connection is used up", sent=False)
            except h2.exceptions.H2Error as e:
                failure = CallFailed(f"it broke the rules of HTTP/2 ({type(e).__name__})", sent=sent)
            raise failure  # outside of the handlers: a context could hold what came over the wire

        return wrapper

    return decorate


class _Hush(logging.Filter):
    """Keep hpack from telling its debug log our token: it quotes every header that it encodes."""

    def __init__(self) -> None:
        super().__init__()
        self._here = threading.local()

    @contextmanager
    def while_encoding(self) -> Generator[None]:
        """Drop what this thread would log meanwhile."""
        self._here.encoding = True
        try:
            yield
        finally:
            self._here.encoding = False

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002  # logging's signature
        return not getattr(self._here, "encoding", False)


HUSH = _Hush()
logging.getLogger("hpack.hpack").addFilter(HUSH)

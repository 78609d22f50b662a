"""
Know what etcd held at each revision.

The ledger reads etcd's history from its JSON gateway before a compaction may remove it, and replays it. It knows keys,
events and revisions; it knows nothing of our client.

Invariant: up to `revision` the history is whole.
"""

from __future__ import annotations

import base64
import json
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any, TypeVar

from etcd_settings.testing.gateway import Gateway, to_base64
from tests.consistency.keys import SENTINEL

__all__ = ["Fact", "Ledger", "State"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fact:
    """All that etcd says of one key."""

    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int

    @classmethod
    def from_json(cls, kv: dict[str, Any]) -> Fact:
        numbers = (int(kv.get(name, 0)) for name in ("create_revision", "mod_revision", "version", "lease"))
        return cls(base64.b64decode(kv.get("value", "")), *numbers)


State = dict[str, Fact]


class Ledger:
    """The history of a cluster from `begin` on. It belongs to one thread."""

    def __init__(self) -> None:
        self.revision = 0
        self.events = 0
        self._changes: list[tuple[int, str, Fact | None]] = []
        self._bases: list[tuple[int, int, State]] = []  # revision, how many changes came before, state

    def begin(self, gateway: Gateway) -> None:
        """Take the present state as the first."""
        answer = gateway.call("kv/range", {"key": to_base64(b"\0"), "range_end": to_base64(b"\0")})
        state = {_text(kv["key"]): Fact.from_json(kv) for kv in answer.get("kvs", ())}
        self.revision = int(answer["header"]["revision"])
        self._bases.append((self.revision, 0, state))

    def catch_up(self, gateway: Gateway) -> int:
        """Read the history up to now; gives the revision that is now known."""
        until = _patiently(lambda: gateway.put(SENTINEL, "here"))
        for event in _history(gateway, self.revision + 1, until):
            kv = event["kv"]
            deleted = event.get("type") == "DELETE"
            self._changes.append((int(kv["mod_revision"]), _text(kv["key"]), None if deleted else Fact.from_json(kv)))
        self.events = len(self._changes)
        (*_, state) = self.at([until])
        self.revision = until
        self._bases.append((until, len(self._changes), dict(state)))
        return until

    def last_deletion(self) -> int | None:
        """Give the revision of the last deletion; None if there was none."""
        return next((revision for revision, _, fact in reversed(self._changes) if fact is None), None)

    def at(self, revisions: Iterable[int]) -> Iterator[State]:
        """Give the state at each of *revisions*, which rise; it is only good until the next one is asked for."""
        position, state = -1, State()
        for revision in revisions:
            if position < 0:
                _, position, base = self._bases[max(bisect_right(self._bases, revision, key=lambda b: b[0]) - 1, 0)]
                state = dict(base)
            while position < len(self._changes) and self._changes[position][0] <= revision:
                _, key, fact = self._changes[position]
                state.pop(key, None)
                if fact is not None:
                    state[key] = fact
                position += 1
            yield state


def _patiently(ask: Callable[[], T]) -> T:
    """Ask again where a server hangs up that has just come back, as it may on the first who ask."""
    for _ in range(5):
        with suppress(ConnectionError):
            return ask()
        time.sleep(0.2)
    return ask()


def _history(gateway: Gateway, start: int, until: int) -> Iterator[dict[str, Any]]:
    for result in _watch(gateway, start):
        if result.get("canceled"):
            raise AssertionError(f"the gateway ended the watch from {start}: {result}")
        for event in result.get("events", ()):
            if int(event["kv"]["mod_revision"]) > until:
                return
            yield event
            if _text(event["kv"]["key"]) == SENTINEL and int(event["kv"]["mod_revision"]) == until:
                return


def _watch(gateway: Gateway, start: int) -> Iterator[dict[str, Any]]:
    everything = {"key": to_base64(b"\0"), "range_end": to_base64(b"\0"), "start_revision": start}
    token = gateway._authenticate()
    headers = {"Authorization": token} if token else {}
    with ExitStack() as stack:

        def opened() -> HTTPResponse:
            connection = stack.enter_context(closing(gateway._connect()))
            connection.request("POST", "/v3/watch", json.dumps({"create_request": everything}), headers)
            return connection.getresponse()

        response = _patiently(opened)
        while line := response.readline():
            yield json.loads(line)["result"]


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode()

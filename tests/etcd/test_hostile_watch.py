"""Whatever a server does to a watch, the next one goes on where it stopped: nothing is missed, nothing comes twice."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from etcd_settings.connection import Connection
from etcd_settings.errors import CompactedError, PermissionDeniedError, UnavailableError
from etcd_settings.etcd import Client
from etcd_settings.etcd.messages import message
from tests.etcd.hostile import (
    CANCEL,
    DATA,
    INTERNAL_ERROR,
    NO_ERROR,
    PING,
    REFUSED_STREAM,
    WINDOW_UPDATE,
    HostileServer,
    Peer,
    Script,
    envelope,
    forever,
    frame,
)
from tests.etcd.misdeeds import breaks_off, goes_away, hangs_up, resets, says_nothing, settings_of
from tests.waiting import eventually

KEY = b"/config/app/a"
PREFIX = "/config/app/"
FIRST, LAST = 8, 10
"""The revisions that every healthy server tells of."""

SLACK = 1.5
DENIED = "etcdserver: permission denied"

Deed = Callable[[Peer], None]


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resume without the pauses that spare a real cluster, and lose patience with the silent sooner."""
    monkeypatch.setattr("etcd_settings.etcd.watch._FIRST_PAUSE", 0.0)
    monkeypatch.setattr("etcd_settings.etcd.watch._LONGEST_PAUSE", 0.0)
    monkeypatch.setattr("etcd_settings.etcd.watch.PING_INTERVAL", 0.1)
    monkeypatch.setattr("etcd_settings.etcd.http2._PING_PATIENCE", 0.1)


def client_of(*servers: HostileServer) -> Client:
    return Client(Connection([server.endpoint for server in servers], timeout=2, connect_timeout=0.3))


def response(revision: int, **fields: Any) -> bytes:
    header = {"cluster_id": 1, "member_id": 1, "revision": revision, "raft_term": 1}
    encoded: bytes = message("WatchResponse")(header=header, watch_id=1, **fields).SerializeToString()
    return encoded


def event(revision: int) -> dict[str, Any]:
    entry = {"key": KEY, "value": b"v", "create_revision": 2, "mod_revision": revision, "version": 1}
    return {"type": 0, "kv": entry}


def told(revision: int) -> bytes:
    return response(revision, events=[event(revision)])


def asked_for(request_message: bytes) -> int:
    """Read the revision from which a request wants to hear."""
    revision: int = message("WatchRequest").FromString(request_message).create_request.start_revision
    return revision


def healthy(peer: Peer) -> None:
    """Be an etcd whose keys changed at each revision from `FIRST` to `LAST`."""
    peer.greet()
    request = peer.opened()
    peer.headers(request.stream)
    peer.message(request.stream, response(LAST, created=True))
    for revision in range(max(asked_for(request.message), FIRST), LAST + 1):
        peer.message(request.stream, told(revision))
    peer.hang()


def at_point(point: str, deed: Deed) -> Script:
    """Be healthy up to a point, and then do the deed."""

    def script(peer: Peer) -> None:
        peer.greet()
        if point == "greeted":
            deed(peer)
        stream = peer.opened().stream
        if point == "asked":
            deed(peer)
        peer.headers(stream)
        if point == "headers":
            deed(peer)
        peer.message(stream, response(LAST, created=True))
        if point == "created":
            deed(peer)
        peer.message(stream, told(FIRST))
        if point == "told":
            deed(peer)
        half = envelope(told(FIRST + 1))
        peer.data(stream, half[: len(half) // 2])
        deed(peer)

    return script


def sends(*pieces: bytes) -> Deed:
    def deed(peer: Peer) -> None:
        for piece in pieces:
            peer.data(1, piece)
        peer.hang()

    return deed


def ends(status: int) -> Deed:
    def deed(peer: Peer) -> None:
        peer.trailers(1, status, ("grpc-message", "etcdserver: no leader"))
        peer.hang()

    return deed


POINTS = "greeted", "asked", "headers", "created", "told", "half"


def breaks_off_a_fragment(peer: Peer) -> None:
    peer.message(1, response(LAST, events=[event(LAST)], fragment=True))
    hangs_up(peer)


AT_ONCE: dict[str, Deed] = {
    "closes": hangs_up,
    "resets": resets,
    "goodbye": goes_away(0),
    "goodbye to others": goes_away(1),
}
ON_A_STREAM: dict[str, Deed] = {
    "says nothing": says_nothing,
    "broken off without an error": breaks_off(NO_ERROR),
    "broken off": breaks_off(CANCEL),
    "broken off in error": breaks_off(INTERNAL_ERROR),
    "refused": breaks_off(REFUSED_STREAM),
}
BETWEEN_MESSAGES: dict[str, Deed] = {
    "ends as if all were well": ends(0),
    "ends without a leader": ends(14),
    "no protobuf": sends(envelope(b"\xff\xff\xff")),
    "compressed": sends(envelope(told(FIRST + 1), compressed=1)),
    "canceled without a reason": sends(envelope(response(0, canceled=True))),
    "a fragment without the rest": breaks_off_a_fragment,
}
MISDEEDS = {
    f"{name} at: {point}": at_point(point, deed)
    for deeds, points in ((AT_ONCE, POINTS), (ON_A_STREAM, POINTS[1:]), (BETWEEN_MESSAGES, ("created", "told")))
    for (name, deed), point in itertools.product(deeds.items(), points)
}


@pytest.mark.parametrize("misdeed", MISDEEDS.values(), ids=MISDEEDS.keys())
def test_the_next_server_goes_on_without_a_gap(misdeed: Script) -> None:
    """Every revision comes once and in order, and each server is asked from the last one that was seen."""
    with (
        HostileServer(misdeed) as bad,
        HostileServer(healthy) as good,
        client_of(bad, good) as client,
        client.watch(PREFIX, start_revision=FIRST) as watch,
    ):
        batches = [next(watch) for _ in range(FIRST, LAST + 1)]

        assert list(range(FIRST, LAST + 1)) == [batch.revision for batch in batches]
        assert [KEY.decode()] * 3 == [event.entry.key for batch in batches for event in batch.events]
        assert good.endpoint == watch.endpoint
        assert 1 == len(good.requests)
        # One before the first that it wants: from etcd itself a watch at R+1 may miss R+1 (etcd-facts 3).
        assert asked_for(good.requests[0].message) in (FIRST - 1, FIRST)


FLOODS = {
    "pings": frame(PING, b"12345678"),
    "settings": settings_of((4, 65_535)),
    "empty data": frame(DATA, stream=1),
    "unknown frames": frame(0xBE, b"what?"),
    "window updates": frame(WINDOW_UPDATE, b"\0\0\0\1"),
    "progress": frame(DATA, envelope(response(LAST)), stream=1),
}


def flooded(data: bytes) -> Script:
    def deed(peer: Peer) -> None:
        for piece in forever(data):
            peer.send(piece)

    return at_point("created", deed)


@pytest.mark.parametrize("data", FLOODS.values(), ids=FLOODS.keys())
def test_a_flood_keeps_nobody_waiting(data: bytes) -> None:
    """Polling comes back in time although there is always something to take in."""
    with HostileServer(flooded(data)) as bad, client_of(bad) as client, client.watch(PREFIX) as watch:
        for _ in range(3):
            started = time.monotonic()
            batch = watch.poll(0.1)
            assert batch is None or not batch.events
            assert time.monotonic() - started < 0.1 + SLACK


@pytest.mark.parametrize("data", FLOODS.values(), ids=FLOODS.keys())
def test_a_flooded_watch_can_be_closed(data: bytes) -> None:
    """An iteration that is kept busy ends after `close` from another thread as one that waits does."""
    with HostileServer(flooded(data)) as bad, client_of(bad) as client:
        watch = client.watch(PREFIX)
        rest: list[object] = []
        reader = threading.Thread(target=lambda: rest.extend(watch))
        reader.start()
        eventually(lambda: bad.requests)

        watch.close()

        reader.join(SLACK)
        assert not reader.is_alive()
        assert [] == rest


@pytest.mark.parametrize("point", ["greeted", "asked", "headers"])
def test_a_watch_can_be_closed_before_it_stands(point: str) -> None:
    """An iteration that still waits for the server's first word ends, and does not call it an outage."""
    with HostileServer(at_point(point, says_nothing)) as bad, client_of(bad) as client:
        watch = client.watch(PREFIX)
        rest: list[object] = []
        failures: list[Exception] = []

        def read() -> None:
            try:
                rest.extend(watch)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is one too many
                failures.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        eventually(bad.is_through)

        watch.close()

        reader.join(SLACK)
        assert (False, [], []) == (reader.is_alive(), rest, failures)


def test_nobody_at_the_first_attempt_is_an_error() -> None:
    """A watch that never stood tells so, with every endpoint; later it would go on trying."""
    with HostileServer(hangs_up) as one, HostileServer(resets) as two, client_of(one, two) as client:
        with client.watch(PREFIX) as watch, pytest.raises(UnavailableError) as caught:
            next(watch)

        assert {one.endpoint, two.endpoint} == set(caught.value.attempts)


@pytest.mark.parametrize(
    ("last_words", "expected"),
    [
        (envelope(response(0, canceled=True, compact_revision=42)), CompactedError),
        (
            envelope(response(0, created=True, canceled=True, cancel_reason=DENIED)),
            PermissionDeniedError,
        ),
    ],
    ids=["compacted", "denied"],
)
def test_what_cannot_be_resumed_is_raised(last_words: bytes, expected: type[Exception]) -> None:
    """History that is gone and a permission that is missing are the same at every server: no other one is asked."""
    with (
        HostileServer(at_point("headers", sends(last_words))) as bad,
        HostileServer(healthy) as good,
        client_of(bad, good) as client,
        client.watch(PREFIX, start_revision=FIRST) as watch,
    ):
        with pytest.raises(expected):
            next(watch)

        assert [] == good.requests

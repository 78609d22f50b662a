"""
Whatever a server does, the client ends with an answer or a typed error, in bounded time and memory.

Most misdeeds are played twice: by the only endpoint, where they must end in an error of ours before the timeout, and by
the first of two, where the second must be asked.
"""

from __future__ import annotations

import functools
import ssl
import time
import tracemalloc
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etcd_settings.connection import TLS, Connection
from etcd_settings.errors import (
    AuthenticationError,
    CompactedError,
    EtcdSettingsError,
    LeaseLostError,
    MessageTooLargeError,
    PermissionDeniedError,
    RequestError,
    TLSError,
    UnavailableError,
)
from etcd_settings.etcd import Client
from etcd_settings.testing.certificates import Certificates, issue_certificates
from tests.etcd.hostile import CANCEL, GOOD, REFUSED_STREAM, HostileServer, Peer, Script, polite, reply_to
from tests.etcd.misdeeds import (
    ENDLESS,
    FALSE,
    HEAVY,
    RUDE,
    SILENT,
    announces,
    answers_with,
    at_point,
    breaks_off,
    closes,
    ends_with,
    goes_away,
    hangs_up,
    resets,
    says_nothing,
    speaks_http1,
)
from tests.waiting import eventually

TIMEOUT = 0.3
PATIENCE = 0.3
SLACK = 1.5
"""Seconds that a busy machine may take on top: far less than for ever, which is what it would be without a bound."""

MEMORY = 48 << 20
"""Bytes that a call may hold at its worst: the 16 MiB window, what is made of it, and h2's own."""

LARGEST = 1 << 20
KEY = b"/config/app/a"


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Go round the endpoints without the pauses that spare a real cluster."""
    monkeypatch.setattr("etcd_settings.etcd.endpoints._BACKOFF", 0.0)


def client_of(*servers: HostileServer, timeout: float = 5.0, patience: float = 2.0, tls: TLS | None = None) -> Client:
    endpoints = [server.endpoint for server in servers]
    return Client(Connection(endpoints, timeout=timeout, connect_timeout=patience, max_message=LARGEST, tls=tls))


@contextmanager
def bounded_time(seconds: float) -> Generator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds + SLACK


@contextmanager
def bounded_memory() -> Generator[None]:
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MEMORY


def each(misdeeds: dict[str, Script]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("misdeed", misdeeds.values(), ids=misdeeds.keys())


# --- bounds


@each(RUDE | SILENT | ENDLESS | FALSE)
def test_alone_it_ends_in_a_typed_error(misdeed: Script) -> None:
    """The error is ours, names the endpoint and why, holds nothing that came over the wire, and comes in time."""
    with HostileServer(misdeed) as bad, client_of(bad, timeout=TIMEOUT) as client:
        with bounded_time(TIMEOUT), pytest.raises(UnavailableError) as caught:
            client.get(KEY)

        assert [bad.endpoint] == list(caught.value.attempts)
        assert caught.value.attempts[bad.endpoint]
        assert caught.value.__cause__ is caught.value.__context__ is None


@each(RUDE)
def test_the_next_endpoint_is_asked_at_once(misdeed: Script) -> None:
    """A misdeed that can be noticed costs nothing; the second answers, and is asked first from then on."""
    with HostileServer(misdeed) as bad, HostileServer(polite) as good, client_of(bad, good) as client:
        with bounded_time(0):
            entry = client.get(KEY)
        again = client.get(KEY)

        assert entry is not None
        assert (GOOD, entry) == (entry.value, again)
        assert (1, 2) == (bad.connections, len(good.requests))
        assert good.endpoint == client.endpoint


@each(SILENT | ENDLESS)
def test_the_next_endpoint_is_asked_when_patience_ends(misdeed: Script) -> None:
    """Neither silence nor a flood costs more than the patience with one endpoint, as long as there is another."""
    with (
        HostileServer(misdeed) as bad,
        HostileServer(polite) as good,
        client_of(bad, good, patience=PATIENCE) as client,
    ):
        with bounded_time(PATIENCE):
            entry = client.get(KEY)

        assert entry is not None
        assert GOOD == entry.value
        assert good.endpoint == client.endpoint


@each(ENDLESS | HEAVY)
def test_memory_is_bounded(misdeed: Script) -> None:
    """Neither a flood nor a bomb makes the client keep much more than its window."""
    with (
        HostileServer(misdeed) as bad,
        client_of(bad, timeout=TIMEOUT) as client,
        bounded_memory(),
        pytest.raises(EtcdSettingsError),
    ):
        client.get(KEY)


@each({name: RUDE[name] for name in ("closes", "a push", "a web page", "no status", "resets at: half")})
def test_nothing_is_left_open(misdeed: Script) -> None:
    """After a failed call no socket stays behind, although the client is not closed."""
    descriptors = Path("/proc/self/fd")
    with HostileServer(misdeed) as bad, client_of(bad) as client:
        before = len(list(descriptors.iterdir()))
        with pytest.raises(UnavailableError):
            client.get(KEY)

        eventually(lambda: len(list(descriptors.iterdir())) <= before)


# --- cut anywhere, in pieces, and in error


def test_an_answer_may_be_cut_at_every_byte() -> None:
    """However far the first endpoint came, the value is the whole value, from it or from the next."""
    with HostileServer(polite) as whole, client_of(whole) as client:
        client.get(KEY)
        full = whole.peers[0].sent
    assert full > 100

    for length in range(full):
        with (
            HostileServer(polite, allowance=length) as bad,
            HostileServer(polite) as good,
            client_of(bad, good) as client,
        ):
            entry = client.get(KEY)
            assert entry is not None
            assert GOOD == entry.value
            assert (1, 1) == (bad.connections, len(good.requests)), f"after {length} of {full} bytes"


@pytest.mark.parametrize("step", [1, 2, 3, 5, 8, 9, 10, 23])
def test_an_answer_may_come_in_pieces(step: int) -> None:
    """No piece is too small, and no seam in the wrong place: the first endpoint is served from."""
    with HostileServer(polite, step=step) as slow, client_of(slow, timeout=10) as client:
        entry = client.get(KEY)

    assert entry is not None
    assert (GOOD, 1) == (entry.value, len(slow.requests))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_answer_may_be_garbled(data: st.DataObject) -> None:
    """Bytes changed, lost or put in anywhere in a proper answer give a value or an error of ours, and in time."""
    answer = data.draw(garbled(transcript()))

    def script(peer: Peer) -> None:
        peer.receive()
        peer.send(answer)

    with HostileServer(script) as bad, client_of(bad) as client, bounded_time(TIMEOUT), suppress(EtcdSettingsError):
        client.get(KEY)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=64))
def test_any_bytes_are_survived(noise: bytes) -> None:
    """Whoever listens at the address, whatever they say first: an error of ours, and in time."""

    def script(peer: Peer) -> None:
        peer.send(noise)

    with (
        HostileServer(script) as bad,
        client_of(bad, timeout=TIMEOUT) as client,
        bounded_time(TIMEOUT),
        pytest.raises(UnavailableError),
    ):
        client.get(KEY)


@functools.cache
def transcript() -> bytes:
    """Write down what a polite server sends for one call."""
    sent = bytearray()

    class Recorder(Peer):
        def send(self, data: bytes) -> None:
            sent.extend(data)
            super().send(data)

    with HostileServer(polite, peer=Recorder) as server, client_of(server) as client:
        client.get(KEY)
    return bytes(sent)


@st.composite
def garbled(draw: st.DrawFn, proper: bytes) -> bytes:
    result = bytearray(proper)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(result) - 1))
        match draw(st.sampled_from(["change", "lose", "put in"])):
            case "change":
                result[at] = draw(st.integers(0, 255))
            case "lose":
                del result[at : at + draw(st.integers(1, 8))]
            case _:
                result[at:at] = draw(st.binary(min_size=1, max_size=8))
    return bytes(result) or b"\0"


# --- what must not be done twice


REPEATED: dict[str, tuple[Script, bool]] = {
    "closes": (closes, True),
    "says nothing": (says_nothing, True),
    "closes after its greeting": (at_point("greeted", hangs_up), False),  # by then the request may be on its way
    "closes after the request": (at_point("asked", hangs_up), False),
    "goodbye to all": (at_point("asked", goes_away(0)), True),
    "goodbye to others": (at_point("asked", goes_away(1)), False),
    "refused": (at_point("asked", breaks_off(REFUSED_STREAM)), True),
    "broken off": (at_point("asked", breaks_off(CANCEL)), False),
    "closes before its trailers": (at_point("data", hangs_up), False),
    "unavailable": (ends_with(("grpc-status", "14"), ("grpc-message", "etcdserver: request timed out")), False),
    "no message": (answers_with(), False),
}


@pytest.mark.parametrize(("misdeed", "repeated"), REPEATED.values(), ids=REPEATED.keys())
def test_a_write_is_repeated_only_if_nobody_has_seen_it(misdeed: Script, repeated: bool) -> None:
    """A server that may have done it is not followed by another one; the error says that it may be done."""
    with HostileServer(misdeed) as bad, HostileServer(polite) as good, client_of(bad, good) as client:
        if repeated:
            assert 7 == client.put(KEY, "v")
        else:
            with pytest.raises(UnavailableError) as caught:
                client.put(KEY, "v")
            assert caught.value.maybe_done

        assert repeated == bool(good.requests)


# --- connections that were good once


def serves_once(then: Script) -> Script:
    """Serve the first request of the connection, and then do the deed."""

    def script(peer: Peer) -> None:
        peer.greet()
        request = peer.request()
        peer.answer(request.stream, reply_to(request))
        then(peer)

    return script


DEATHS: dict[str, Script] = {
    "closes": hangs_up,
    "resets": resets,
    "goodbye": goes_away(1),
    "goodbye, with time to spare": goes_away((1 << 31) - 1),
}


@pytest.mark.parametrize("deed", DEATHS.values(), ids=DEATHS.keys())
def test_a_kept_connection_may_have_died(deed: Script) -> None:
    """The next call, a write too, notices before it sends, and takes a new connection to the same server."""
    with HostileServer(serves_once(deed)) as server, client_of(server) as client:
        for _ in range(3):
            assert 7 == client.put(KEY, "v")
            eventually(server.is_through)

        assert (3, 3) == (server.connections, len(server.requests))


# --- statuses


@pytest.mark.parametrize(
    ("status", "words", "expected"),
    [
        (3, "etcdserver: key is not provided", RequestError),
        (3, "etcdserver: user name is empty", AuthenticationError),
        (5, "etcdserver: requested lease not found", LeaseLostError),
        (7, "etcdserver: permission denied", PermissionDeniedError),
        (8, "etcdserver: mvcc: database space exceeded", RequestError),
        (11, "etcdserver: mvcc: required revision has been compacted", CompactedError),
        (12, "unknown service", RequestError),
        (16, "etcdserver: invalid auth token", AuthenticationError),
    ],
)
def test_a_refusal_is_final(status: int, words: str, expected: type[EtcdSettingsError]) -> None:
    """What the cluster has decided, no other member is asked; the status becomes the error that says who must act."""
    script = ends_with(("grpc-status", str(status)), ("grpc-message", words))
    with HostileServer(script) as bad, HostileServer(polite) as good, client_of(bad, good) as client:
        with pytest.raises(expected):
            client.get(KEY)

        assert [] == good.requests


@pytest.mark.parametrize("size", [LARGEST + 1, (1 << 32) - 1])
def test_an_answer_beyond_the_limit_is_refused_by_its_announcement(size: int) -> None:
    """The length alone decides: nothing of it is kept, and nothing is waited for."""
    with (
        HostileServer(announces(size)) as bad,
        client_of(bad) as client,
        bounded_time(0),
        bounded_memory(),
        pytest.raises(MessageTooLargeError) as caught,
    ):
        client.get(KEY)

    assert (size, LARGEST) == (caught.value.size, caught.value.limit)


# --- TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue_certificates(tmp_path_factory.mktemp("certificates"), common_name="app")


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue_certificates(tmp_path_factory.mktemp("strangers"), common_name="app", server_names=("elsewhere.test",))


def server_context(certificates: Certificates, *, alpn: list[str] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates.ca)
    context.load_cert_chain(certificates.cert, certificates.key)
    context.set_alpn_protocols(["h2"] if alpn is None else alpn)
    return context


def trusting(certificates: Certificates, **more: str) -> TLS:
    return TLS(ca=str(certificates.ca), **more)


@each(RUDE)
def test_misdeeds_are_no_better_in_private(misdeed: Script, certificates: Certificates) -> None:
    """Over TLS all the same holds."""
    context, tls = server_context(certificates), trusting(certificates)
    with (
        HostileServer(misdeed, tls=context) as bad,
        HostileServer(polite, tls=context) as good,
        client_of(bad, good, tls=tls) as client,
        bounded_time(0),
    ):
        entry = client.get(KEY)

        assert entry is not None
        assert (GOOD, 1, 1) == (entry.value, bad.connections, len(good.requests))


@pytest.mark.parametrize("alpn", [[], ["http/1.1"], ["grpc-exp"]])
def test_a_server_must_offer_http2(alpn: list[str], certificates: Certificates) -> None:
    """No ALPN, or another protocol, is an error of TLS, and not a riddle in mid-call."""
    with (
        HostileServer(polite, tls=server_context(certificates, alpn=alpn)) as bad,
        client_of(bad, tls=trusting(certificates)) as client,
        pytest.raises(TLSError, match=r"HTTP/2|alpn|no application protocol"),
    ):
        client.get(KEY)


def test_an_unknown_authority_is_not_trusted(certificates: Certificates, strangers: Certificates) -> None:
    """A certificate that somebody else signed ends the handshake; no request goes out."""
    with (
        HostileServer(polite, tls=server_context(strangers)) as bad,
        client_of(bad, tls=trusting(certificates)) as client,
    ):
        with pytest.raises(TLSError):
            client.get(KEY)
        assert [] == bad.requests


def test_a_certificate_for_another_name_is_not_trusted(strangers: Certificates) -> None:
    """The right authority is not enough: the name must be the endpoint's, or the one that was asked for."""
    with HostileServer(polite, tls=server_context(strangers)) as bad:
        with client_of(bad, tls=trusting(strangers)) as client, pytest.raises(TLSError, match=r"127\.0\.0\.1"):
            client.get(KEY)
        with client_of(bad, tls=trusting(strangers, server_name="elsewhere.test")) as client:
            assert client.get(KEY) is not None


def test_a_distrusted_endpoint_is_passed_over(certificates: Certificates, strangers: Certificates) -> None:
    """One member with a wrong certificate does not stop the others from serving."""
    with (
        HostileServer(polite, tls=server_context(strangers)) as bad,
        HostileServer(polite, tls=server_context(certificates)) as good,
        client_of(bad, good, tls=trusting(certificates)) as client,
    ):
        assert client.get(KEY) is not None
        assert ([], 1) == (bad.requests, len(good.requests))


def test_a_missing_client_certificate_is_told(certificates: Certificates) -> None:
    """In TLS 1.3 the refusal comes after the handshake; it is an error of TLS all the same."""
    context = server_context(certificates)
    context.verify_mode = ssl.CERT_REQUIRED
    with HostileServer(polite, tls=context) as bad, client_of(bad, tls=trusting(certificates)) as client:
        with pytest.raises(TLSError, match="certificate required"):
            client.get(KEY)
        known = trusting(certificates, cert=str(certificates.client_cert), key=str(certificates.client_key))
        with client_of(bad, tls=known) as known_client:
            assert known_client.get(KEY) is not None


@pytest.mark.parametrize("script", [closes, says_nothing, speaks_http1, ENDLESS["zeros"]])
def test_plain_text_where_tls_is_expected(script: Script, certificates: Certificates) -> None:
    """Whatever comes instead of a handshake ends in an error of ours that speaks of TLS, in time."""
    with (
        HostileServer(script) as bad,
        client_of(bad, timeout=TIMEOUT, tls=trusting(certificates)) as client,
        bounded_time(TIMEOUT),
        pytest.raises((TLSError, UnavailableError), match="TLS"),
    ):
        client.get(KEY)


def test_tls_where_plain_text_is_expected(certificates: Certificates) -> None:
    """The error says that the other side may want TLS."""
    with (
        HostileServer(polite, tls=server_context(certificates)) as bad,
        client_of(bad, timeout=TIMEOUT) as client,
        bounded_time(TIMEOUT),
        pytest.raises(UnavailableError, match="etcds://"),
    ):
        client.get(KEY)

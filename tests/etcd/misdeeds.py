"""
List what a server can do wrong.

Each misdeed is a script for `hostile.HostileServer`, under a name that says what it does. They are sorted by how a
client can notice: at once (`RUDE`), by the clock while nothing comes (`SILENT`), by the clock while too much comes
(`ENDLESS`).
"""

from __future__ import annotations

import struct
import time

import hpack

from tests.etcd.hostile import (
    CANCEL,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    GOAWAY,
    HEADERS,
    INTERNAL_ERROR,
    NO_ERROR,
    PADDED,
    PING,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    REFUSED_STREAM,
    RESPONSE_HEADERS,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Hangup,
    Peer,
    Script,
    envelope,
    forever,
    frame,
    range_response,
    reply_to,
)


def hpacked(*headers: tuple[str, str]) -> bytes:
    return hpack.Encoder().encode(headers)


def settings_of(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, b"".join(struct.pack(">HL", code, value) for code, value in pairs))


# --- misdeeds before anybody speaks HTTP/2


def closes(peer: Peer) -> None: ...


def hangs_up(peer: Peer) -> None:
    raise Hangup


def resets(peer: Peer) -> None:
    peer.abort()


def says_nothing(peer: Peer) -> None:
    peer.hang()


def hears_and_closes(peer: Peer) -> None:
    peer.receive()


def speaks_http1(peer: Peer) -> None:
    peer.receive()
    peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    peer.hang()


def speaks_ssh(peer: Peer) -> None:
    peer.send(b"SSH-2.0-OpenSSH_9.2\r\n")
    peer.hang()


def sends_a_tls_alert(peer: Peer) -> None:
    peer.receive()
    peer.send(b"\x15\x03\x01\x00\x02\x02\x0a")
    peer.hang()


def repeats(data: bytes) -> Script:
    """Send these bytes for ever, and listen to nothing."""

    def script(peer: Peer) -> None:
        for piece in forever(data):
            peer.send(piece)

    return script


# --- misdeeds instead of a greeting, or right after it


def raw(data: bytes) -> Script:
    """Greet with these bytes, and hang on."""

    def script(peer: Peer) -> None:
        peer.send(data)
        peer.hang()

    return script


def greeted(data: bytes) -> Script:
    """Greet properly, and go on with these bytes as soon as the client has asked."""

    def script(peer: Peer) -> None:
        peer.greet()
        peer.request()
        peer.send(data)
        peer.hang()

    return script


def floods(data: bytes, *, first: bytes = b"") -> Script:
    """Greet properly, and send these bytes for ever once the client has asked."""

    def script(peer: Peer) -> None:
        peer.greet()
        peer.request()
        peer.send(first)
        for piece in forever(data):
            peer.send(piece)

    return script


HEAD = frame(HEADERS, hpacked(*RESPONSE_HEADERS), stream=1, flags=END_HEADERS)
DYNAMIC = b"\x40\x01a" + b"\x7f\xe1\x1e" + b"x" * 4000  # a header of 4,000 bytes, put into the dynamic table …
BOMB = DYNAMIC + b"\xbe" * 60_000  # … and then named 60,000 times: 240 MB of headers in 64 kB


# --- misdeeds in mid-call


def after_request(peer: Peer) -> int:
    peer.greet()
    return peer.request().stream


def at_point(point: str, deed: Script) -> Script:
    """Answer up to a point, and then do the deed."""

    def script(peer: Peer) -> None:
        peer.greet()
        if point == "greeted":
            deed(peer)
        request = peer.request()
        if point == "asked":
            deed(peer)
        peer.headers(request.stream)
        if point == "headers":
            deed(peer)
        answer = envelope(reply_to(request))
        peer.data(request.stream, answer[:3])
        if point == "length":
            deed(peer)
        peer.data(request.stream, answer[3:9])
        if point == "half":
            deed(peer)
        peer.data(request.stream, answer[9:])
        deed(peer)

    return script


POINTS = "greeted", "asked", "headers", "length", "half", "data"


def goes_away(last: int, code: int = NO_ERROR) -> Script:
    def deed(peer: Peer) -> None:
        peer.send(frame(GOAWAY, struct.pack(">LL", last, code)))
        peer.hang()

    return deed


def breaks_off(code: int) -> Script:
    def deed(peer: Peer) -> None:
        peer.send(frame(RST_STREAM, struct.pack(">L", code), stream=1))
        peer.hang()

    return deed


def answers_with(*pieces: bytes, headers: tuple[tuple[str, str], ...] = RESPONSE_HEADERS) -> Script:
    """Answer every request with this body and a status of OK."""

    def script(peer: Peer) -> None:
        peer.greet()
        while True:
            stream = peer.request().stream
            peer.headers(stream, headers)
            for piece in pieces:
                peer.data(stream, piece)
            peer.trailers(stream)

    return script


def ends_with(*trailers: tuple[str, str]) -> Script:
    """Answer every request with a good body, and with these trailers."""

    def script(peer: Peer) -> None:
        peer.greet()
        while True:
            request = peer.request()
            peer.headers(request.stream)
            peer.message(request.stream, reply_to(request))
            peer.headers(request.stream, trailers, end=True)

    return script


def announces(size: int) -> Script:
    """Announce a message of that length, and send nothing of it."""

    def script(peer: Peer) -> None:
        stream = after_request(peer)
        peer.headers(stream)
        peer.data(stream, envelope(b"", size=size))
        peer.hang()

    return script


def trickles(peer: Peer) -> None:
    """Send a message that is announced with its right length, a byte at a time, and never come to its end."""
    stream = after_request(peer)
    peer.headers(stream)
    peer.data(stream, envelope(b"", size=1 << 19))
    while True:
        peer.data(stream, b"x")
        time.sleep(0.02)  # the pace is the misdeed: too fast for patience, too slow to ever end


def never_opens_its_window(peer: Peer) -> None:
    peer.greet(initial_window_size=0)
    peer.hang()


def never_reads(peer: Peer) -> None:
    peer.greet(initial_window_size=(1 << 31) - 1)
    time.sleep(2.0)  # reading nothing is the misdeed, and the client will have gone by then


def says_continue_for_ever(peer: Peer) -> None:
    stream = after_request(peer)
    block = frame(HEADERS, b"\x08\x03100", stream=stream, flags=END_HEADERS)
    for piece in forever(block):
        peer.send(piece)


ANSWER = envelope(range_response(b"key"))

SILENT = {
    "says nothing": says_nothing,
    "settings and nothing more": at_point("greeted", says_nothing),
    **{f"stops at: {point}": at_point(point, says_nothing) for point in POINTS[1:]},
    "speaks HTTP/1": speaks_http1,
    "announces a large frame": raw(frame(SETTINGS, size=(1 << 14) - 4)),
    "a header without its end": greeted(frame(HEADERS, hpacked(*RESPONSE_HEADERS), stream=1)),
    "never opens its window": never_opens_its_window,
    "speaks SSH": speaks_ssh,
    "a TLS alert": sends_a_tls_alert,
    "a frame beyond the limit": raw(frame(SETTINGS, size=(1 << 24) - 1)),
    "a reset of nothing": greeted(frame(RST_STREAM, b"\0\0\0\0", stream=9)),
}
"""Misdeeds that only a clock can end."""

ENDLESS = {
    "zeros": repeats(b"\0"),
    "letters": repeats(b"S"),  # the beginning of a frame of 5 MB
    "settings": floods(settings_of((4, 65_535))),
    "pings": floods(frame(PING, b"12345678")),
    "pings before settings": repeats(frame(PING, b"12345678")),
    "empty data": floods(frame(DATA, stream=1), first=HEAD),
    "empty messages": floods(frame(DATA, envelope(b""), stream=1), first=HEAD),
    "messages": floods(frame(DATA, envelope(b"x" * 1000), stream=1), first=HEAD),
    "window updates": floods(frame(WINDOW_UPDATE, struct.pack(">L", 1), stream=1)),
    "window updates of the connection": floods(frame(WINDOW_UPDATE, struct.pack(">L", 1))),
    "unknown frames": floods(frame(0xBE, b"what?")),
    "priorities": floods(frame(2, b"\0\0\0\0\0", stream=1)),
    "empty continuations": floods(frame(CONTINUATION, stream=1), first=frame(HEADERS, stream=1)),
    "continuations": floods(
        frame(CONTINUATION, b"\x00\x01a\x7f" + b"\x01" * 100, stream=1), first=frame(HEADERS, stream=1)
    ),
    "100 Continue": says_continue_for_ever,
    "resets of other streams": floods(frame(RST_STREAM, struct.pack(">L", CANCEL), stream=1)),
    "goodbyes": floods(frame(GOAWAY, struct.pack(">LL", 1, NO_ERROR))),
    "data after the end": floods(
        frame(DATA, b"x" * 1000, stream=1), first=HEAD + frame(DATA, flags=END_STREAM, stream=1)
    ),
}
"""Misdeeds that keep the client busy for as long as it listens."""

RUDE = {
    "closes": closes,
    "resets": resets,
    "hears and closes": hears_and_closes,
    # frames that nobody may send
    "settings of a wrong size": raw(frame(SETTINGS, b"12345")),
    "settings on a stream": raw(frame(SETTINGS, stream=1)),
    "a window beyond 2^31": raw(settings_of((4, 1 << 31))),
    "a frame size of one": raw(settings_of((5, 1))),
    "push switched to seven": raw(settings_of((2, 7))),
    "data on stream 0": greeted(frame(DATA, b"x")),
    "data before headers": greeted(frame(DATA, b"x", stream=1)),
    "data on a stream that nobody opened": greeted(frame(DATA, b"x", stream=7)),
    "headers on a stream that nobody opened": greeted(frame(HEADERS, hpacked(*RESPONSE_HEADERS), stream=7, flags=4)),
    "headers on an even stream": greeted(frame(HEADERS, hpacked(*RESPONSE_HEADERS), stream=2, flags=END_HEADERS)),
    "a push": greeted(frame(PUSH_PROMISE, b"\0\0\0\x02" + hpacked((":path", "/")), stream=1, flags=END_HEADERS)),
    "a reset of stream 0": greeted(frame(RST_STREAM, b"\0\0\0\0")),
    "a reset of a wrong size": greeted(frame(RST_STREAM, b"\0", stream=1)),
    "a ping of a wrong size": greeted(frame(PING, b"1234")),
    "a goodbye of a wrong size": greeted(frame(GOAWAY, b"1234")),
    "a window update of zero": greeted(frame(WINDOW_UPDATE, b"\0\0\0\0", stream=1)),
    "a window update beyond 2^31": greeted(frame(WINDOW_UPDATE, b"\x7f\xff\xff\xff")),
    "a continuation of nothing": greeted(frame(CONTINUATION, b"", stream=1, flags=END_HEADERS)),
    "another frame amid headers": greeted(frame(HEADERS, b"", stream=1) + frame(PING, b"12345678")),
    "padding beyond the frame": greeted(HEAD + frame(DATA, b"\xff123", stream=1, flags=PADDED)),
    "padding without a frame": greeted(HEAD + frame(DATA, b"", stream=1, flags=PADDED)),
    "padded headers without a frame": greeted(frame(HEADERS, b"", stream=1, flags=PADDED | END_HEADERS)),
    "a wrong header block": greeted(frame(HEADERS, b"\xff\xff\xff\xff\xff", stream=1, flags=END_HEADERS)),
    "a header block with a wrong index": greeted(frame(HEADERS, b"\xfe", stream=1, flags=END_HEADERS)),
    "a header block with a wrong text": greeted(frame(HEADERS, b"\x00\x83\xff\xff\xff", stream=1, flags=END_HEADERS)),
    "a header bomb": greeted(
        frame(HEADERS, BOMB[:16_000], stream=1)
        + b"".join(frame(CONTINUATION, BOMB[at : at + 16_000], stream=1) for at in range(16_000, 64_000, 16_000))
        + frame(CONTINUATION, stream=1, flags=END_HEADERS)
    ),
    "a header as long as a book": greeted(
        frame(HEADERS, b"\x00\x01a\x7f\x81\xa6\x05", stream=1)
        + b"".join(frame(CONTINUATION, b"x" * 16_000, stream=1) for _ in range(6))
        + frame(CONTINUATION, stream=1, flags=END_HEADERS)
    ),
    "headers without a status": greeted(frame(HEADERS, hpacked(("content-type", "x")), stream=1, flags=END_HEADERS)),
    "headers in capitals": greeted(
        frame(HEADERS, hpacked((":status", "200"), ("A", "b")), stream=1, flags=END_HEADERS)
    ),
    "a status that is no number": greeted(frame(HEADERS, hpacked((":status", "two")), stream=1, flags=END_HEADERS)),
    "headers thrice": greeted(HEAD * 3),
    "more data than the window": greeted(HEAD + frame(DATA, b"x" * 16_000, stream=1) * 1100),
    # answers that are no gRPC
    "HTTP 404": answers_with(b"not found", headers=((":status", "404"), ("content-type", "text/plain"))),
    "HTTP 503": answers_with(b"", headers=((":status", "503"),)),
    "HTTP 302": answers_with(b"", headers=((":status", "302"), ("location", "http://127.0.0.1:1/"))),
    "a web page": answers_with(b"<html>", headers=((":status", "200"), ("content-type", "text/html"))),
    "no content type": answers_with(ANSWER, headers=((":status", "200"),)),
    "a compressed message": answers_with(envelope(b"x", compressed=1)),
    "a message with a strange flag": answers_with(envelope(b"x", compressed=2)),
    "a message that is shorter than its length": answers_with(envelope(b"x", size=2)),
    "a message with something behind it": answers_with(ANSWER + b"\0"),
    "two messages": answers_with(ANSWER, ANSWER),
    "no message": answers_with(),
    "four bytes": answers_with(b"\0\0\0\0"),
    "no status": ends_with(("content-language", "en")),
    "a status that is no gRPC status": ends_with(("grpc-status", "good")),
    "an empty status": ends_with(("grpc-status", "")),
    "a negative status": ends_with(("grpc-status", "-1")),
    "a status of 5,000 digits": ends_with(("grpc-status", "9" * 5000)),
    "an unavailable member": ends_with(("grpc-status", "14"), ("grpc-message", "etcdserver: no leader")),
    "a status that nobody knows": ends_with(("grpc-status", "99"), ("grpc-message", "%E2%82%AC%FF%zz")),
    # ends in mid-call
    **{f"closes at: {point}": at_point(point, hangs_up) for point in POINTS},
    **{f"resets at: {point}": at_point(point, resets) for point in POINTS},
    **{f"goodbye to all at: {point}": at_point(point, goes_away(0)) for point in POINTS},
    **{f"goodbye to others at: {point}": at_point(point, goes_away(1)) for point in POINTS[1:]},
    **{f"calm at: {point}": at_point(point, goes_away(0, ENHANCE_YOUR_CALM)) for point in POINTS},
    **{
        f"broken off with {code} at: {point}": at_point(point, breaks_off(code))
        for code in (NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM, 0xFFFF)
        for point in POINTS[1:]
    },
}
"""Misdeeds that are noticed at once."""

HEAVY = {name: RUDE[name] for name in ("a header bomb", "a header as long as a book", "more data than the window")}
"""Misdeeds that try to fill the memory, and are noticed on the way."""

FALSE = {
    "trickles": trickles,
    "a message that is no protobuf": answers_with(envelope(b"\xff\xff\xff")),
}
"""Misdeeds that look like service: nobody can tell a trickle from a slow line, or such an answer from the cluster's."""

"""What gRPC's own part of the protocol promises."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcd_settings.errors import MessageTooLargeError
from etcd_settings.etcd.grpc import CallFailed, Deframer, Status, frame, read_status


@given(messages=st.lists(st.binary(max_size=40), max_size=6), cuts=st.lists(st.integers(0, 300), max_size=8))
def test_messages_survive_however_the_stream_is_cut(messages: list[bytes], cuts: list[int]) -> None:
    """What was framed comes out again, whatever pieces it arrives in."""
    stream = b"".join(frame(message) for message in messages)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    deframer = Deframer(limit=100)

    received = [message for start, end in pairwise(edges) for message in deframer.feed(stream[start:end])]

    assert messages == received
    assert deframer.is_empty


def test_a_half_message_is_noticed() -> None:
    """A stream that ends within a message leaves the deframer not empty."""
    deframer = Deframer(limit=100)

    assert [] == list(deframer.feed(frame(b"abc")[:-1]))
    assert not deframer.is_empty


def test_a_compressed_message_is_refused() -> None:
    """We never ask for compression, so a set flag is an error and not an attempt to decompress."""
    with pytest.raises(CallFailed, match="compressed"):
        list(Deframer(limit=100).feed(b"\1\0\0\0\1x"))


def test_a_large_message_is_refused_by_its_announced_length() -> None:
    """Five bytes are enough to refuse: nothing of a message beyond the limit is kept."""
    with pytest.raises(MessageTooLargeError) as e:
        list(Deframer(limit=100).feed(b"\0" + (101).to_bytes(4, "big")))

    assert (101, 100) == (e.value.size, e.value.limit)


def test_status_ok_is_none() -> None:
    """Status 0 is no refusal."""
    assert read_status({"grpc-status": "0"}) is None


def test_a_refusal_carries_its_percent_decoded_words() -> None:
    """``grpc-message`` may be percent-encoded."""
    refusal = read_status({"grpc-status": "14", "grpc-message": "etcdserver%3A no leader %C3%A9"})

    assert refusal is not None
    assert (Status.UNAVAILABLE, "etcdserver: no leader é") == (refusal.status, refusal.message)


def test_an_unknown_status_is_unknown() -> None:
    """A status that gRPC may add later is treated as UNKNOWN."""
    refusal = read_status({"grpc-status": "99"})

    assert refusal is not None
    assert Status.UNKNOWN == refusal.status


@pytest.mark.parametrize("headers", [{}, {"grpc-status": ""}, {"grpc-status": "-1"}, {"grpc-status": "no"}])
def test_an_answer_without_a_status_is_a_failure(headers: dict[str, str]) -> None:
    """Trailers must say how it went."""
    with pytest.raises(CallFailed, match="without a gRPC status"):
        read_status(headers)

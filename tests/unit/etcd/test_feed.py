"""What counts as a whole revision, and what as the end of a watch."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcd_settings.errors import CompactedError
from etcd_settings.etcd.feed import Batch, Feed
from etcd_settings.etcd.grpc import CallFailed, Status, StatusReceived
from etcd_settings.etcd.messages import message


def response(*events: tuple[str, int], header: int = 0, watch_id: int = 1, **fields: Any) -> Any:
    """Make a ``WatchResponse``; an event is a key and its revision, a leading ``-`` makes it a deletion."""
    made = message("WatchResponse")(watch_id=watch_id, **fields)
    made.header.revision = header
    for key, revision in events:
        event = made.events.add(type=1 if key.startswith("-") else 0)
        event.kv.key, event.kv.mod_revision = key.lstrip("-").encode(), revision
    return made


def seen(batches: list[Batch]) -> list[tuple[int, list[str]]]:
    return [(batch.revision, [event.entry.key for event in batch.events]) for batch in batches]


def feed(revision: int | None = 5) -> Feed:
    return Feed(b"a", b"b", revision)


def test_a_transaction_is_one_batch() -> None:
    """Events of one revision come together, those of two apart."""
    assert [(6, ["a", "b"]), (7, ["a"])] == seen(feed().take(response(("a", 6), ("b", 6), ("-a", 7))))


def test_what_is_known_is_dropped() -> None:
    """A watch resumes at R, so what happened at R comes again, and must not count twice."""
    assert [(6, ["a"])] == seen(feed(5).take(response(("x", 5), ("a", 6))))


def test_a_deletion_has_no_value_and_says_so() -> None:
    """An empty value is no deletion; the event's kind tells."""
    (batch,) = feed().take(response(("-a", 6)))

    assert ["delete"] == [event.kind for event in batch.events]


@given(cuts=st.lists(st.booleans(), min_size=5, max_size=5))
def test_fragments_make_the_same_batches_as_one_answer(cuts: list[bool]) -> None:
    """However an answer is cut, also within a revision, its batches come whole and with the last fragment."""
    events = [("a", 6), ("b", 6), ("c", 7), ("d", 7), ("e", 7), ("f", 9)]
    taken, part, under_test = [], [], feed()
    for event, cut in zip(events, [*cuts, False], strict=True):
        part.append(event)
        if cut:
            assert [] == under_test.take(response(*part, fragment=True))
            assert under_test.revision == 5
            part = []
    taken = under_test.take(response(*part))

    assert [(6, ["a", "b"]), (7, ["c", "d", "e"]), (9, ["f"])] == seen(taken)
    assert under_test.revision == 9


def test_half_fragments_of_a_broken_stream_are_forgotten() -> None:
    """A new stream begins with a clean sheet, at the last whole revision."""
    under_test = feed()
    under_test.take(response(("a", 6), fragment=True))

    request = under_test.create_request(1).create_request

    assert 5 == request.start_revision
    assert [(6, ["a", "b"])] == seen(under_test.take(response(("a", 6), ("b", 6))))


def test_created_is_no_progress() -> None:
    """``created`` tells the server's revision, while older events are still to come."""
    under_test = feed(5)

    assert [] == under_test.take(response(created=True, header=50))
    assert (5, 50) == (under_test.revision, under_test.created_at)


def test_a_watch_from_now_begins_where_it_was_created() -> None:
    """Without a revision the first answer says what counts as known."""
    under_test = feed(None)

    assert 0 == under_test.create_request(1).create_request.start_revision
    under_test.take(response(created=True, header=50))
    assert 50 == under_test.create_request(1).create_request.start_revision


def test_a_watch_of_all_history_does_not_start_from_now() -> None:
    """``start_revision=0`` means "now" to etcd, so "from the beginning" is spelled 1."""
    assert 1 == feed(0).create_request(1).create_request.start_revision


def test_timed_progress_counts() -> None:
    """An answer without events, to a watch of ours, says that nothing up to its revision is missing."""
    under_test = feed(5)

    assert [(30, [])] == seen(under_test.take(response(header=30)))
    assert under_test.revision == 30
    assert [] == under_test.take(response(header=30))


@pytest.mark.parametrize("created", [True, False])
def test_a_compaction_names_its_revision_and_leaves_ours(created: bool) -> None:
    """The cancel's header revision is 0 and never becomes ours; it may come with the creation."""
    under_test = feed(5)

    with pytest.raises(CompactedError) as e:
        under_test.take(response(canceled=True, created=created, compact_revision=20))

    assert (20, 5) == (e.value.revision, under_test.revision)


@pytest.mark.parametrize(
    "reason", ["rpc error: code = PermissionDenied desc = etcdserver: permission denied", "invalid auth token"]
)
def test_a_refusal_is_told_as_such(reason: str) -> None:
    """A create can be refused with ``created`` *and* ``canceled``; 3.4 and 3.5 give different reasons."""
    with pytest.raises(StatusReceived) as e:
        feed().take(response(created=True, canceled=True, cancel_reason=reason, watch_id=0))

    assert Status.PERMISSION_DENIED == e.value.status


def test_any_other_end_is_worth_another_try() -> None:
    """A watch that the server ended for a reason of its own is resumed."""
    with pytest.raises(CallFailed, match="some reason"):
        feed().take(response(canceled=True, cancel_reason="some reason"))


@pytest.mark.parametrize(
    "reason",
    [
        "etcdserver: permission denied",
        "etcdserver: invalid auth token",
        "etcdserver: user name is empty",
        "etcdserver: revision of auth store is old",  # since 3.4.22 and 3.5.6, with tokens that carry it
    ],
)
def test_a_refusal_for_who_we_are_is_told_apart(reason: str) -> None:
    """What a fresh token may mend is no failure of the member: elsewhere the old one is no better."""
    with pytest.raises(StatusReceived) as e:
        feed().take(response(created=True, canceled=True, cancel_reason=reason))

    assert Status.PERMISSION_DENIED is e.value.status


def test_behind_is_who_was_so_at_creation() -> None:
    """Events that follow the creation at once raise our revision, and do not make the server look restored."""
    under_test = feed(5)
    under_test.create_request(1)
    under_test.take(response(created=True, header=5))
    under_test.take(response(("a", 6)))
    assert not under_test.is_behind

    under_test.create_request(1)
    under_test.take(response(created=True, header=4))
    assert under_test.is_behind

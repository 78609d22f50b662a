"""Errors say what, where and what to do, keep their facts, and travel between processes."""

from __future__ import annotations

import copy
import pickle

import pytest

from etcd_settings import errors
from etcd_settings.errors import (
    AuthenticationError,
    ClosedError,
    CompactedError,
    ConcurrentWriteError,
    ConfigurationError,
    ConflictError,
    DecodeError,
    EtcdSettingsError,
    InvalidSettingsError,
    LeaseLostError,
    MessageTooLargeError,
    NotStartedError,
    PermissionDeniedError,
    RejectedUpdateError,
    RequestError,
    RestoredError,
    TLSError,
    TooManyChangesError,
    UnavailableError,
    combine,
)

MISSING = {"loc": ("database", "port"), "type": "missing", "msg": "Field required"}

EXAMPLES = [
    (EtcdSettingsError("Something failed."), {}, "Something failed."),
    (ConfigurationError("Option ttl is no number.", subject="ttl"), {"subject": "ttl"}, "ttl"),
    (
        UnavailableError({"a:1": "refused", "b:2": "timed out"}),
        {"attempts": {"a:1": "refused", "b:2": "timed out"}, "maybe_done": False},
        "while reading from etcd (a:1: refused; b:2: timed out). Check that etcd runs there",
    ),
    (UnavailableError({}), {"attempts": {}}, "none was tried"),
    (
        UnavailableError({"a:1": "closed"}, action="writing '/a'", maybe_done=True),
        {"maybe_done": True},
        "while writing '/a' (a:1: closed). It may have been carried out all the same: read before you repeat it.",
    ),
    (AuthenticationError(endpoint="a:1"), {"endpoint": "a:1", "user": None}, "$ETCD_SETTINGS_PASSWORD"),
    (AuthenticationError(endpoint="a:1", user="bob"), {"user": "bob"}, "`etcdctl user get bob`"),
    (
        PermissionDeniedError(endpoint="a:1", user="bob", prefix="/config/app/"),
        {"endpoint": "a:1", "user": "bob", "prefix": "/config/app/", "access": "read", "is_prefix": True},
        "`etcdctl role grant-permission --prefix=true ROLE read /config/app/`",
    ),
    (
        PermissionDeniedError(endpoint="a:1", user=None, prefix="/a b", access="write", is_prefix=False),
        {"user": None, "access": "write", "is_prefix": False},
        "anybody without a user write '/a b'. Mend it with `etcdctl role grant-permission ROLE write '/a b'`",
    ),
    (TLSError(endpoint="a:1", reason="expired"), {"endpoint": "a:1", "reason": "expired"}, "Check the options ca"),
    (
        DecodeError("/a/b.json", "JSON", "line 2, column 5"),
        {"key": "/a/b.json", "expected": "JSON", "position": "line 2, column 5"},
        "The value at '/a/b.json' is not valid JSON (line 2, column 5). Mend the value",
    ),
    (DecodeError("/a/b", "UTF-8 text"), {"position": None}, "not valid UTF-8 text. Mend"),
    (
        ConflictError(["/a/b", "/a/b.json"], "they land on one path"),
        {"keys": ("/a/b", "/a/b.json"), "reason": "they land on one path", "mend": "Delete or rename one of them."},
        "'/a/b' and '/a/b.json': they land on one path. Delete or rename one of them.",
    ),
    (
        InvalidSettingsError("Settings", [{**MISSING, "keys": ["/a/database/port"]}]),
        {"target": "Settings", "errors": ({**MISSING, "keys": ["/a/database/port"]},)},
        "1 invalid setting for Settings:\n- database.port: Field required (from '/a/database/port')",
    ),
    (
        InvalidSettingsError("Settings", [MISSING, {**MISSING, "loc": ("debug",)}]),
        {},
        "2 invalid settings for Settings:\n- database.port: Field required\n- debug: Field required",
    ),
    (
        InvalidSettingsError("Settings", [{**MISSING, "loc": (), "keys": [f"/a/{number}" for number in range(9)]}]),
        {},
        "- all of it: Field required (from '/a/0', '/a/1', '/a/2', '/a/3', 5 more)",
    ),
    (
        RejectedUpdateError(12, "every key is gone"),
        {"revision": 12, "reason": "every key is gone"},
        "revision 12 are refused: every key is gone. The last good ones stay in use. Mend the keys",
    ),
    (CompactedError(7), {"revision": 7}, "The history up to revision 7 has been compacted away. Read the present"),
    (CompactedError(), {"revision": None}, "The history has been compacted away"),
    (RestoredError(8), {"revision": 8}, "The cluster is back at revision 8: it was restored from a backup. Read"),
    (RestoredError(), {"revision": None}, "Another cluster answers now"),
    (
        MessageTooLargeError("request", size=5, limit=4),
        {"what": "request", "size": 5, "limit": 4},
        "The request is too large (5 bytes, at most 4 are accepted). Write less",
    ),
    (MessageTooLargeError("answer"), {"size": None, "limit": None}, "(size unknown). Read a smaller prefix"),
    (
        RequestError(endpoint="a:1", status="INVALID_ARGUMENT", reason="etcdserver: duplicate key"),
        {"endpoint": "a:1", "status": "INVALID_ARGUMENT", "reason": "etcdserver: duplicate key"},
        "a:1 refused the request with INVALID_ARGUMENT: etcdserver: duplicate key",
    ),
    (
        ConcurrentWriteError(["/a/b", "/a/c"], 7),
        {"keys": ("/a/b", "/a/c"), "revision": 7},
        "Somebody else wrote '/a/b', '/a/c' (seen at revision 7), so this was not written. Read again",
    ),
    (ConcurrentWriteError([], 7), {"keys": ()}, "Somebody else wrote here (seen"),
    (
        TooManyChangesError(5000, 4096),
        {"count": 5000, "limit": 4096},
        "5000 keys would change, and one transaction carries 4096, so nothing was written. Write it in parts",
    ),
    (
        LeaseLostError(26),
        {"lease": 26},
        "no lease 1a (any more): it was not kept alive for its ttl, or was revoked, and",
    ),
    (LeaseLostError(), {"lease": None}, "Etcd knows no such lease (any more)"),
    (ClosedError("Source"), {"what": "Source"}, "This Source is closed. Make a new one"),
    (NotStartedError("Live"), {"what": "Live"}, "This Live has not been started. Call start() first"),
]

SINGLE = pytest.mark.parametrize(("error", "facts", "says"), EXAMPLES, ids=lambda value: type(value).__name__)


def test_every_error_has_an_example_here() -> None:
    """No class of errors is added without a test of what it says."""
    public = {getattr(errors, name) for name in errors.__all__ if name != "combine"}

    assert public == {type(error) for error, _, _ in EXAMPLES}


@SINGLE
def test_an_error_says_what_and_what_to_do(error: EtcdSettingsError, facts: dict[str, object], says: str) -> None:
    """The message holds place, reason and mend."""
    assert says in str(error)


@SINGLE
def test_an_error_keeps_its_facts(error: EtcdSettingsError, facts: dict[str, object], says: str) -> None:
    """What the message tells a person, attributes tell a program."""
    assert facts == {name: getattr(error, name) for name in facts}


@SINGLE
@pytest.mark.parametrize("travel", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])
def test_an_error_travels(error: EtcdSettingsError, facts: dict[str, object], says: str, travel: object) -> None:
    """Pickled or copied, it is of the same class, with the same message and facts."""
    assert callable(travel)

    arrived = travel(error)

    assert type(error) is type(arrived)
    assert str(error) == str(arrived)
    assert error.args == arrived.args
    assert vars(error) == vars(arrived)


@SINGLE
def test_an_error_stands_for_itself(error: EtcdSettingsError, facts: dict[str, object], says: str) -> None:
    """Whoever handles `problems` need not ask whether there is more than one."""
    assert (error,) == error.problems


def test_a_note_travels_too() -> None:
    """What a caller adds with `add_note` is not lost between processes."""
    error = ClosedError("Source")
    error.add_note("while reloading")

    assert ["while reloading"] == pickle.loads(pickle.dumps(error)).__notes__


def test_one_error_combines_to_itself() -> None:
    """A single problem is raised as it is, not wrapped."""
    error = ClosedError("Source")

    assert combine([error]) is error


def test_errors_of_one_class_combine_to_that_class() -> None:
    """Several conflicts are caught with ``except ConflictError``, and all are listed."""
    first, second = ConflictError(["/a"], "one"), ConflictError(["/b"], "two")

    both = combine([first, second])

    assert type(both) is ConflictError
    assert (first, second) == both.problems
    assert ("/a",) == both.keys
    assert f"2 problems:\n- {first}\n- {second}" == str(both)


def test_a_mixture_combines_to_the_root() -> None:
    """Errors of several classes become one plain `EtcdSettingsError` that lists them."""
    conflict, undecodable = ConflictError(["/a"], "one"), DecodeError("/b", "JSON")

    both = combine([conflict, undecodable])

    assert type(both) is EtcdSettingsError
    assert (conflict, undecodable) == both.problems
    assert not hasattr(both, "keys")


def test_combining_combined_errors_lists_single_ones() -> None:
    """However often errors are combined, `problems` is flat and in order."""
    a, b, c = (ConflictError([key], "it is wrong") for key in "abc")

    assert (a, b, c) == combine([combine([a, b]), c]).problems


def test_combining_leaves_the_combined_alone() -> None:
    """The first of several keeps standing for itself alone."""
    first = ConflictError(["/a"], "one")
    combine([first, ConflictError(["/b"], "two")])

    assert (first,) == first.problems


def test_a_combined_error_travels() -> None:
    """All problems arrive with their facts."""
    both = combine([ConflictError(["/a"], "one"), DecodeError("/b", "JSON", "byte 3")])

    arrived = pickle.loads(pickle.dumps(both))

    assert str(both) == str(arrived)
    assert [vars(problem) for problem in both.problems] == [vars(problem) for problem in arrived.problems]


def test_nothing_cannot_be_combined() -> None:
    """An error about no problem would be a bug of ours, and is told as one."""
    with pytest.raises(ValueError, match="no errors to combine"):
        combine([])

"""The client's words do in a real etcd what they say."""

from __future__ import annotations

import pytest

from etcd_settings.errors import (
    ClosedError,
    CompactedError,
    ConfigurationError,
    MessageTooLargeError,
    RequestError,
    UnavailableError,
)
from etcd_settings.etcd import Client, Compare, Delete, Get, Put, Txn, TxnResult
from etcd_settings.testing import EtcdServer

APP = "/config/app/"


def test_what_was_put_is_got(client: Client) -> None:
    """`get` gives the entry that `put` wrote, with its revisions."""
    revision = client.put(APP + "a", "1")
    again = client.put(APP + "a", b"\xff\0")

    entry = client.get(APP + "a")

    assert entry is not None
    assert (APP + "a", b"\xff\0") == (entry.key, entry.value)
    assert (revision, again, 2, 0) == (entry.create_revision, entry.mod_revision, entry.version, entry.lease)


def test_a_missing_key_is_none(client: Client) -> None:
    """Nothing there is an answer, not an error."""
    assert client.get(APP + "nothing") is None


def test_keys_are_bytes_all_256_of_them(client: Client) -> None:
    """A key that is no UTF-8 makes the round trip as surrogate escapes, and is found by its bytes too."""
    key = APP.encode() + bytes(range(1, 256))
    client.put(key, "v")

    entry = client.get(key)

    assert entry is not None
    assert entry == client.get(entry.key)
    assert key == entry.key.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize("prefix", [b"a\xff", b"a", b"", b"\xff\xff"])
def test_a_prefix_reads_exactly_its_keys(client: Client, prefix: bytes) -> None:
    """Also one that ends in 0xff, where incrementing the last byte goes wrong."""
    base = APP.encode()
    keys = [b"a", b"a\xfe", b"a\xff", b"a\xffz", b"b", b"\xff", b"\xff\xff", b"\xff\xffa"]
    for key in keys:
        client.put(base + key, "v")

    snapshot = client.get_prefix(base + prefix)

    expected = {key[len(prefix) :] for key in keys if key.startswith(prefix)}
    assert expected == {path.encode("utf-8", "surrogateescape") for path in snapshot}


def test_deleting_tells_how_many(client: Client) -> None:
    """`delete` and `delete_prefix` count what was there."""
    for name in "abc":
        client.put(APP + name, "v")

    assert 1 == client.delete(APP + "a")
    assert 0 == client.delete(APP + "a")
    assert 2 == client.delete_prefix(APP)


def test_a_transaction_takes_the_branch_that_its_comparisons_choose(client: Client) -> None:
    """All comparisons hold: *success*; else: *failure*. Both say what they did."""
    revision = client.put(APP + "a", "1")
    compare = [
        Compare.value(APP + "a", "==", "1"),
        Compare.version(APP + "a", "<", 2),
        Compare.create_revision(APP + "a", "==", revision),
        Compare.mod_revision(APP + "a", ">", 0),
        Compare.lease(APP + "a", "==", 0),
        Compare.mod_revision(APP, "<", revision + 1, prefix=True),
    ]
    success: list[Put | Get | Delete] = [Put(APP + "b", "2"), Get(APP, prefix=True)]
    failure = [Delete(APP, prefix=True)]

    first = client.txn(compare=compare, success=success, failure=failure)
    second = client.txn(compare=[*compare, Compare.version(APP + "b", "!=", 1)], success=success, failure=failure)

    assert first.succeeded
    assert None is first.responses[0]
    assert isinstance(first.responses[1], tuple)
    assert [APP + "a", APP + "b"] == [entry.key for entry in first.responses[1]]
    assert (False, (2,), first.revision + 1) == (second.succeeded, second.responses, second.revision)


def test_an_unknown_comparison_is_refused_here() -> None:
    """The mistake is told where it was made, with the ones that exist."""
    with pytest.raises(ConfigurationError, match="==, >, <, !="):
        Compare.value("a", "=", "1")


def test_the_past_can_be_read_until_it_is_compacted(client: Client, etcd_server: EtcdServer) -> None:
    """``revision=`` reads what was; after a compaction above it there is a `CompactedError`."""
    past = client.put(APP + "a", "old")
    now = client.put(APP + "a", "new")

    assert "old" == client.get_prefix(APP, revision=past)["a"].text
    etcd_server.compact(now)
    assert "new" == client.get_prefix(APP, revision=now)["a"].text
    with pytest.raises(CompactedError):
        client.get_prefix(APP, revision=past)


@pytest.mark.parametrize("size", [1_600_000, 2_200_000])
def test_a_value_beyond_etcds_limit_is_told_as_such(client: Client, size: int) -> None:
    """Etcd says it in two ways, INVALID_ARGUMENT and RESOURCE_EXHAUSTED; we say it in one."""
    with pytest.raises(MessageTooLargeError, match="request"):
        client.put(APP + "a", b"x" * size)


def test_a_value_below_the_limit_goes_through(client: Client) -> None:
    """A body many times the flow-control window is sent while window updates are read."""
    value = bytes(range(256)) * 5_000
    client.put(APP + "a", value)

    entry = client.get(APP + "a")

    assert entry is not None
    assert value == entry.value


def test_inner_transactions_belong_to_the_outer_one(client: Client) -> None:
    """They are done or left with it, at its revision, 64 times 64 operations at most."""
    groups = [Txn(success=tuple(Put(f"{APP}{group}/{n}", "v") for n in range(64))) for group in range(64)]
    inner = Txn((Compare.version(APP + "0/0", "==", 7),), (Put(APP + "x", "1"),), (Get(APP + "0/0"),))

    refused = client.txn(compare=[Compare.version(APP + "x", ">", 0)], success=groups)
    before = len(client.get_prefix(APP))
    done = client.txn(success=groups)
    chosen = client.txn(success=[inner])

    assert (False, 0) == (refused.succeeded, before)
    assert (True, 4096) == (done.succeeded, len(client.get_prefix(APP)))
    assert {TxnResult(succeeded=True, revision=done.revision, responses=(None,) * 64)} == set(done.responses)
    assert {done.revision} == {entry.mod_revision for entry in client.get_prefix(APP).values()}
    response = chosen.responses[0]
    assert isinstance(response, TxnResult)
    assert (False, ((client.get(APP + "0/0"),),)) == (response.succeeded, response.responses)


@pytest.mark.parametrize(
    ("groups", "size", "accepted"), [(64, 64, True), (64, 65, False), (1, 127, True), (1, 128, False)]
)
def test_an_inner_transaction_has_what_the_outer_one_leaves(
    client: Client, groups: int, size: int, *, accepted: bool
) -> None:
    """Operations and comparisons of a level count against one allowance of 128, from which the outer levels take."""
    compare = tuple(Compare.version(f"{APP}{n}", "==", 0) for n in range(size))
    txns = [Txn(compare, (Put(f"{APP}x{group}", "v"),)) for group in range(groups)]
    if accepted:
        client.txn(success=txns)
    else:
        with pytest.raises(RequestError, match="too many operations"):
            client.txn(success=txns)

    assert (groups if accepted else 0) == len(client.get_prefix(APP))


def test_what_etcd_refuses_for_other_reasons_keeps_its_words(client: Client) -> None:
    """A key written twice in one transaction is etcd's to refuse."""
    with pytest.raises(RequestError, match="duplicate key") as e:
        client.txn(success=[Put(APP + "a", "1"), Put(APP + "a", "2")])

    assert "INVALID_ARGUMENT" == e.value.status


def test_a_closed_client_says_so(etcd_server: EtcdServer) -> None:
    """Using it after `close` is told, closing it twice is harmless."""
    client = Client(etcd_server.url)
    client.get(APP)
    client.close()
    client.close()

    with pytest.raises(ClosedError):
        client.get(APP)


def test_nobody_there_is_told_with_endpoint_and_reason() -> None:
    """`UnavailableError` names every endpoint and why it did not serve."""
    with pytest.raises(UnavailableError) as e:
        Client("etcd://127.0.0.1:1,[::1]:1/").get("a")

    assert {"127.0.0.1:1", "[::1]:1"} == set(e.value.attempts)
    assert "connection refused" in str(e.value)

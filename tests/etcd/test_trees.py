"""A tree goes into etcd in one transaction, merged into what is there, and comes out as it went in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from etcd_settings.errors import (
    ConcurrentWriteError,
    ConfigurationError,
    ConflictError,
    TooManyChangesError,
    UnavailableError,
)
from etcd_settings.etcd import Client
from etcd_settings.snapshot import Snapshot

APP = "/config/app/"


@pytest.mark.parametrize("prefix", ["/config/app", "/config/app/", b"/config/app"])
def test_a_tree_comes_out_as_it_went_in(client: Client, prefix: str | bytes) -> None:
    """With its leaves as text, at the revision that is given, and never with what is beside the prefix."""
    client.put("/config/app2/x", "not ours")

    revision = client.put_tree(
        prefix, {"debug": True, "database": {"host": "db1", "port": 5432}, "hosts": ["a"], "e": {}}
    )

    assert {"debug": "true", "database": {"host": "db1", "port": "5432"}, "hosts": '["a"]', "e": {}} == client.get_tree(
        prefix
    )
    entries = client.get_prefix(APP)
    assert {revision} == {entry.mod_revision for entry in entries.values()}
    client.delete_prefix("/config/app2/")


def test_it_merges(client: Client) -> None:
    """What the tree lacks stays; what it replaces goes, in the same transaction."""
    client.put_tree(APP, {"a": {"b": 1, "c": 2}, "list": {"0": "x", "1": "y"}, "text": "t"})
    client.put(APP + "doc.json", '{"a": 1, "b": 2}')

    revision = client.put_tree(APP, {"a": {"c": 3}, "list": ["z"], "text": {"now": "a branch"}, "doc": {"b": 3}})

    expected = {"a": {"b": "1", "c": "3"}, "list": '["z"]', "text": {"now": "a branch"}, "doc": {"a": 1, "b": "3"}}
    assert expected == client.get_tree(APP)
    assert revision == client.get_prefix(APP).revision


def test_nothing_is_nothing(client: Client) -> None:
    """An empty prefix is an empty tree, and an empty tree writes nothing."""
    revision = client.put(APP + "a", "1")
    client.delete(APP + "a")

    assert {} == client.get_tree(APP)
    assert revision + 1 == client.put_tree(APP, {})
    assert revision + 1 == client.get_prefix(APP).revision


def test_it_is_whole_or_not_at_all(client: Client) -> None:
    """Thousands of keys come at one revision; what cannot be written keeps all else out."""
    revision = client.put_tree(APP, {f"branch{i}": {str(j): "v" for j in range(64)} for i in range(64)})
    assert {revision} == {entry.mod_revision for entry in client.get_prefix(APP).values()}
    for branches, leaves in [(30, 10), (50, 1)]:  # what guards each branch would not go in with so many
        client.delete_prefix(APP)
        client.put_tree(APP, {f"branch{i}": {str(j): "v" for j in range(leaves)} for i in range(branches)})
        assert branches * leaves == len(client.get_prefix(APP))
    client.delete_prefix(APP)

    with pytest.raises(TooManyChangesError, match="5000"):
        client.put_tree(APP, {str(i): i for i in range(5000)})
    with pytest.raises(ConfigurationError, match="slash") as e:
        client.put_tree(APP, {"good": "1", "a/b": "2", "": "3"})
    assert 2 == len(e.value.problems)
    assert {} == client.get_tree(APP)


def test_contradictions_are_told(client: Client) -> None:
    """Reading raises what a source would raise; writing mends what it replaces."""
    client.put(APP + "a", "text")
    client.put(APP + "a/b", "below")
    with pytest.raises(ConflictError, match="/config/app/a"):
        client.get_tree(APP)

    client.put_tree(APP, {"a": "mine"})

    assert {"a": "mine"} == client.get_tree(APP)


def test_writers_who_meet_lose_nothing(client: Client) -> None:
    """Each reads what the others wrote before it decides what to replace: there is never a contradiction."""

    def write(number: int) -> None:
        tree = {"shared": f"text{number}"} if number % 2 else {"shared": {str(number): "x"}}
        client.put_tree(APP, {**tree, "mine": {str(number): "x"}}, timeout=60)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(24)))

    assert {str(number): "x" for number in range(24)} == client.get_tree(APP)["mine"]


class Overtaken(Client):
    """Whenever it has read, somebody else writes."""

    theirs = ""

    def get_prefix(self, prefix: str | bytes, *, revision: int | None = None, timeout: float | None = None) -> Snapshot:
        try:
            return super().get_prefix(prefix, revision=revision, timeout=timeout)
        finally:
            self.put(APP + self.theirs, "{}")


@pytest.mark.parametrize("theirs", ["a", "a.json", "a/b"])
def test_whoever_is_always_overtaken_is_told(client: Client, theirs: str) -> None:
    """In the end, with nothing written."""
    with Overtaken(client.connection) as overtaken:
        overtaken.theirs = theirs
        for tree in ({"a": {"c": "mine"}}, {"a": {str(number): "mine" for number in range(200)}}):
            with pytest.raises(ConcurrentWriteError, match="'/config/app/'"):
                overtaken.put_tree(APP, tree, timeout=60)

        with pytest.raises(UnavailableError):  # the time is for all attempts together
            overtaken.put_tree(APP, {"a": {"c": "mine"}}, timeout=0.05)

    assert {theirs} == set(client.get_prefix(APP))


def test_what_others_write_elsewhere_does_not_matter(client: Client) -> None:
    """A busy prefix holds up nobody who writes to another branch of it."""
    with Overtaken(client.connection) as overtaken:
        overtaken.theirs = "ab"
        overtaken.put_tree(APP, {"a": "mine"})

    assert {"a": "mine", "ab": "{}"} == client.get_tree(APP)

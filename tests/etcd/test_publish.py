"""Plans are carried out on a real etcd, whole or not at all."""

from __future__ import annotations

import random
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from threading import Barrier
from typing import Any

import pytest
from pydantic import BaseModel

from etcd_settings import Snapshot
from etcd_settings.errors import ConcurrentWriteError, MessageTooLargeError, TooManyChangesError, UnavailableError
from etcd_settings.etcd import Client
from etcd_settings.fitting import load
from etcd_settings.publish import apply, plan, sees_deletions, split
from etcd_settings.spelling import as_text
from etcd_settings.testing import EtcdServer
from etcd_settings.tree import build

APP = "/config/app/"


def held(client: Client) -> dict[str, str]:
    return {path: entry.text for path, entry in client.get_prefix(APP).items()}


class Pool(BaseModel):
    size: int
    hosts: list[str]


class Model(BaseModel):
    name: str
    empty: str
    debug: bool
    ratio: float
    nothing: int | None
    started: date
    no_items: list[int]
    matrix: list[list[int]]
    no_members: dict[str, int]
    members: dict[str, dict[str, int]]
    pool: Pool


TREE: dict[str, Any] = {
    "name": "Größe 🦉\n",
    "empty": "",
    "debug": True,
    "ratio": 0.1,
    "nothing": None,
    "started": date(2024, 2, 29),
    "no_items": [],
    "matrix": [[], [1, 2]],
    "no_members": {},
    "members": {"with space": {"a.b": 1}, "dotted.name": {}},
    "pool": {"size": 5, "hosts": ["ü", ""]},
}


@pytest.mark.parametrize("documents", [{}, {"pool.json": '{"size": 4,\n "hosts": []}', "members.toml": ""}], ids=repr)
def test_push_pull_and_push_again(client: Client, documents: dict[str, str]) -> None:
    """The second push writes nothing, and the typed settings are those that were pushed."""
    for path, text in documents.items():
        client.put(APP + path, text)

    revision = apply(plan(client.get_prefix(APP), TREE), client)
    first = client.get_prefix(APP)
    pulled = build(first)
    again = apply(plan(first, pulled, prune=True), client)
    once_more = apply(plan(first, TREE), client)

    assert Model.model_validate(TREE) == load(Model, first)
    assert as_text(TREE) == as_text(pulled)
    assert documents.keys() <= first.keys()
    assert (first.revision, first.revision, first.revision) == (revision, again, once_more)
    assert first == client.get_prefix(APP)


def test_all_of_a_plan_has_one_revision(client: Client) -> None:
    """Writing and deleting; what the tree does not name keeps its revision."""
    client.put(APP + "old", "1")
    kept = client.put(APP + "kept/a", "1")
    before = client.get_prefix(APP)

    made = plan(before, {"old": {"a": 1}, "new": "x"})
    revision = apply(made, client)

    assert {"kept/a": kept, "new": revision, "old/a": revision} == {
        path: entry.mod_revision for path, entry in client.get_prefix(APP).items()
    }
    assert made.outcome(before) == client.get_prefix(APP)


@pytest.mark.parametrize(
    ("path", "value"), [("a", "9"), ("a", None), ("b", "9"), ("b", None), ("new", "9"), ("gone/x", "9")], ids=repr
)
def test_whoever_wrote_meanwhile_has_the_plan_refused(client: Client, path: str, value: str | None) -> None:
    """To a key to write or to delete, one that is as desired, one that must not exist: then nothing is written."""
    for name in ("a", "b", "gone/x"):
        client.put(APP + name, "1")
    made = plan(client.get_prefix(APP), {"a": 2, "b": 1, "new": 1, "gone": 5})
    if value is None:
        client.delete(APP + path)
    else:
        client.put(APP + path, value)
    client.put(APP + "beside", "9")  # which nobody minds
    theirs = client.get_prefix(APP)

    with pytest.raises(ConcurrentWriteError) as caught:
        apply(made, client)

    assert ((APP + path,), theirs.revision) == (caught.value.keys, caught.value.revision)
    assert theirs == client.get_prefix(APP)


SHAPES: list[Any] = ["x", {}, {"host": "x"}, {"host": {"name": "x"}}, {"host": {}}, {"port": "x"}]


@pytest.mark.parametrize("theirs", SHAPES, ids=repr)
@pytest.mark.parametrize("ours", SHAPES, ids=repr)
def test_no_two_writers_contradict_each_other(client: Client, ours: Any, theirs: Any) -> None:
    """A value, a document and keys below are different keys; still the second who creates them is refused."""
    empty = client.get_prefix(APP)
    apply(plan(empty, {"db": theirs}), client)

    with pytest.raises(ConcurrentWriteError):
        apply(plan(empty, {"db": ours}), client)

    assert {"db": theirs} == build(client.get_prefix(APP))


def test_what_the_tree_does_not_name_may_change(client: Client) -> None:
    """Unless the plan prunes: it says what is to become of every key."""
    client.put(APP + "a", "1")
    before = client.get_prefix(APP)
    client.put(APP + "other", "1")

    with pytest.raises(ConcurrentWriteError) as caught:
        apply(plan(before, {"a": 2}, prune=True), client)
    apply(plan(before, {"a": 2}), client)

    assert (APP + "other",) == caught.value.keys
    assert {"a": "2", "other": "1"} == held(client)


SEEDS = 200


def test_of_two_writers_who_race_one_is_refused(etcd_server: EtcdServer) -> None:
    """
    In each of 200 races, and the prefix holds the whole intent of the other, never a mixture.

    Both name the same keys. Mostly they change different ones.
    """
    refusals, sizes = 0, set()
    with Client(etcd_server.url) as one, Client(etcd_server.url) as other, ThreadPoolExecutor(2) as pool:
        for seed in range(SEEDS):
            chance = random.Random(seed)
            size = chance.choice([1, 3, 20, 100, 128, 300])
            prefix, prune, there = f"{APP}{seed}/", chance.random() < 0.5, chance.choice([0.0, 0.5, 1.0])
            names = [f"k{n}" for n in range(size)]
            apply(plan(one.get_prefix(prefix), {name: "0" for name in names if chance.random() < there}), one)
            before = one.get_prefix(prefix)
            intents = [{name: before[name].text if name in before else "0" for name in names} for _ in "12"]
            for who, intent in enumerate(intents, 1):  # few changes, mostly of keys that the other leaves as they are
                intent.update({name: str(who) for name in chance.choices(names, k=chance.choice([1, 2, size]))})
            barrier = Barrier(2)

            def push(
                client: Client,
                intent: dict[str, str],
                *,
                before: Snapshot = before,
                prune: bool = prune,
                barrier: Barrier = barrier,
            ) -> bool:
                made = plan(before, intent, prune=prune)
                barrier.wait(30)
                try:
                    apply(made, client)
                except ConcurrentWriteError:
                    return False
                return True

            won = [*pool.map(push, (one, other), intents)]
            refusals += won.count(False)
            sizes.add((size, prune))
            assert [False, True] == sorted(won), seed
            assert intents[won.index(True)] == build(one.get_prefix(prefix)), seed

    assert SEEDS == refusals
    assert 12 == len(sizes)


def test_four_thousand_keys_come_at_one_revision(client: Client) -> None:
    """In one transaction, and so does their deletion; whoever changed or created one meanwhile has it refused."""
    empty = client.get_prefix(APP)
    made = plan(empty, {f"{n:04}": n for n in range(4096)})
    revision = apply(made, client)
    full = client.get_prefix(APP)

    assert {revision} == {entry.mod_revision for entry in full.values()}
    assert 4096 == len(full)

    cleared = plan(full, {}, prune=True)
    for path in ("new", "0007"):
        client.put(APP + path, "theirs")
        with pytest.raises(ConcurrentWriteError) as caught:
            apply(cleared, client)
        assert APP + path in caught.value.keys
        assert 4097 == len(client.get_prefix(APP))
    apply(plan(client.get_prefix(APP), {"0007": "theirs"}, prune=True), client)
    assert {"0007": "theirs"} == held(client)


def test_beyond_the_limit_a_deletion_goes_unseen_and_the_plan_says_so(client: Client) -> None:
    """One comparison for all keys has nothing to compare where a key is gone; what is written is whole then too."""
    apply(plan(client.get_prefix(APP), {f"{n:03}": "0" for n in range(200)}), client)
    made = plan(client.get_prefix(APP), {f"{n:03}": "1" for n in range(200)})
    client.delete(APP + "007")

    apply(made, client)

    assert not sees_deletions(made)
    assert {f"{n:03}": "1" for n in range(200)} == held(client)


def test_what_one_transaction_cannot_carry_is_refused(client: Client) -> None:
    """Too many keys, or too many bytes: a typed error, and nothing was written."""
    empty = client.get_prefix(APP)

    with pytest.raises(TooManyChangesError) as caught:
        apply(plan(empty, {str(n): n for n in range(4097)}), client)
    for texts in (["x" * 1_600_000], ["x" * 500_000] * 4, ["x" * 5_000] * 1_000):
        with pytest.raises(MessageTooLargeError):
            apply(plan(empty, {str(n): text for n, text in enumerate(texts)}), client)

    assert (4097, 4096) == (caught.value.count, caught.value.limit)
    assert {} == held(client)
    assert empty.revision == client.get_prefix(APP).revision


def test_parts_bring_what_one_transaction_cannot(client: Client) -> None:
    """One after the other, each at its own revision, deletions too; then etcd holds what was desired."""
    apply(plan(client.get_prefix(APP), {"old": {f"{n:04}": n for n in range(3000)}}), client)
    desired = {"a": {f"{n:04}": n for n in range(3000)}, "b": {f"{n:04}": n for n in range(1000)}}
    made = plan(client.get_prefix(APP), desired, prune=True)

    revisions: list[int] = []
    for part in split(made):
        revisions.append(apply(part, client, after=revisions[-1] if revisions else None))

    now = client.get_prefix(APP)
    assert [made.revision + 1, made.revision + 2] == revisions
    assert as_text(desired) == build(now)
    assert (revisions[-1], ()) == (now.revision, plan(now, desired, prune=True).edits)


def test_an_etcd_that_hangs_is_waited_for_as_long_as_was_said(client: Client) -> None:
    """And no longer."""
    made = plan(client.get_prefix(APP), {"a": 1})
    started = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(UnavailableError):
        apply(made, Client(f"etcd://127.0.0.1:{silent.getsockname()[1]}/"), timeout=0.2)

    assert time.monotonic() - started < 4


@pytest.mark.parametrize("seed", range(20))
def test_whoever_writes_between_two_parts_has_the_next_refused(client: Client, seed: int) -> None:
    """Anywhere under the prefix; what was carried out stays, and a new plan has the rest."""
    chance = random.Random(seed)
    before = {name: {f"{n}": "0" for n in range(3)} for name in "abcd"}
    desired = {name: {f"{n}": name * 400_000 for n in range(2)} for name in "abcd"}
    apply(plan(client.get_prefix(APP), before), client)
    parts = split(plan(client.get_prefix(APP), desired))
    done = chance.randrange(len(parts))
    revision = None
    for part in parts[:done]:
        revision = apply(part, client, after=revision)

    theirs = chance.choice([edit.path for part in parts for edit in part.edits] + ["a/2", "other", "b"])
    client.put(APP + theirs, "theirs")
    if chance.random() < 0.5:
        client.put("/elsewhere", "theirs")
    with pytest.raises(ConcurrentWriteError) as caught:
        apply(parts[done], client, after=revision)

    assert (APP + theirs,) == caught.value.keys
    assert {edit.path for part in parts[:done] for edit in part.puts} <= client.get_prefix(APP).keys()
    client.delete(APP + "b")  # a value where a branch is would be a contradiction, and no tree to plan from
    revision = None
    for part in split(plan(client.get_prefix(APP), desired)):
        revision = apply(part, client, after=revision)
    assert () == plan(client.get_prefix(APP), desired).edits

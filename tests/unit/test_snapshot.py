"""Entries and snapshots hold what etcd held, and never change."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Iterator
from itertools import pairwise

import pytest

from etcd_settings.errors import DecodeError
from etcd_settings.etcd.messages import message
from etcd_settings.snapshot import Entries, Entry, Row, Snapshot
from tests.making import PREFIX, PlainRow, make_entries, make_entry, make_layers, make_row, make_snapshot


def test_an_entry_shows_its_value_as_text() -> None:
    """Most values are text, and `text` is where UTF-8 is decoded."""
    assert "größe" == make_entry("a", "größe").text


def test_a_value_that_is_no_text_is_an_error_where_it_is_used_as_text() -> None:
    """The error names key and byte; it does not quote the value, and neither does anything that hangs on it."""
    entry = make_entry("a", b"top\xffsecret")

    with pytest.raises(DecodeError) as caught:
        _ = entry.text

    assert ("/config/app/a", "UTF-8 text", "byte 3") == (
        caught.value.key,
        caught.value.expected,
        caught.value.position,
    )
    assert "secret" not in str(caught.value)
    assert (None, None) == (caught.value.__context__, caught.value.__cause__)


def test_reprs_name_keys_and_revisions_but_no_values() -> None:
    """Whatever is logged by mistake holds no secret."""
    snapshot = make_layers({"common/": {"password": "hunter2"}}, revision=7)

    shown = repr(snapshot) + repr(snapshot.layers) + repr(snapshot["password"])

    assert "hunter2" not in shown
    assert "'/config/app/common/password'" in shown
    assert "<Snapshot at revision 7: 1 entries in layers ['common/']>" in shown


def test_an_entry_is_frozen() -> None:
    """What etcd held cannot be changed after the fact."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_entry("a").value = b"b"  # type: ignore[misc]  # that it is refused is the point


def test_an_entry_copies_its_row() -> None:
    """All that etcd tells about a key is kept."""
    row = PlainRow(b"/config/app/a", b"v", create_revision=2, mod_revision=5, version=3, lease=9)

    assert Entry("/config/app/a", b"v", "common/", 2, 5, 3, 9) == Entry.from_row(row, "common/")


def test_protobufs_messages_are_rows() -> None:
    """Etcd's own answers become entries without a detour."""
    answer = message("RangeResponse")()
    answer.kvs.add(key=b"/config/app/a/b", value=b"v", create_revision=2, mod_revision=5, version=3, lease=9)

    entries = Entries(answer.kvs, prefix=PREFIX, layer="")

    assert {"a/b": Entry("/config/app/a/b", b"v", "", 2, 5, 3, 9)} == dict(entries)


def test_entries_are_found_by_path() -> None:
    """The path is what follows the layer's prefix in the key."""
    entries = make_entries({"database/host": "db1", "debug": "true"}, layer="common/")

    assert {"database/host", "debug"} == set(entries)
    assert 2 == len(entries)
    assert "debug" in entries
    assert "host" not in entries
    assert make_entry("debug", "true", layer="common/") == entries["debug"]
    with pytest.raises(KeyError):
        _ = entries["host"]


def test_an_entry_is_made_once() -> None:
    """Looking twice gives the same object."""
    entries = make_entries({"a": "1"})

    assert entries["a"] is entries["a"]


def test_entries_may_come_from_an_iterator() -> None:
    """A store that reads in pages chains them; they are gone through once only."""

    def pages() -> Iterator[Row]:
        yield make_row("a", "1")
        yield make_row("b", "2")

    entries = Entries(pages(), prefix=PREFIX)

    assert ["a", "b"] == list(entries)
    assert b"2" == entries["b"].value


def test_keys_that_are_no_utf_8_make_paths() -> None:
    """Each odd byte becomes a surrogate escape, from which the key can be made again."""
    entries = Entries([PlainRow(b"/config/app/\xff/b", b"")], prefix=PREFIX)

    assert ["\udcff/b"] == list(entries)
    assert b"/config/app/\xff/b" == entries["\udcff/b"].key.encode("utf-8", "surrogateescape")


def test_a_prefix_is_cut_off_by_its_bytes() -> None:
    """A prefix with characters of several bytes is as good as any."""
    entries = Entries([make_row("a", prefix="/größe/")], prefix="/größe/")

    assert ["a"] == list(entries)


def test_of_several_layers_the_last_wins() -> None:
    """As a mapping a snapshot shows each path once, with the entry of the highest layer that has it."""
    snapshot = make_layers({"common/": {"a": "low", "b": "low"}, "app/": {"b": "high", "c": "high"}})

    assert {"a": b"low", "b": b"high", "c": b"high"} == {path: entry.value for path, entry in snapshot.items()}
    assert 3 == len(snapshot)
    assert "b" in snapshot
    assert "d" not in snapshot
    with pytest.raises(KeyError):
        _ = snapshot["d"]


def test_a_snapshot_keeps_what_lost() -> None:
    """The lower layer's entry is still there for whoever explains."""
    snapshot = make_layers({"common/": {"b": "low"}, "app/": {"b": "high"}})

    assert b"low" == snapshot.layers["common/"]["b"].value
    assert ["common/", "app/"] == list(snapshot.layers)


def test_a_snapshot_of_nothing_is_empty() -> None:
    """No keys, and even no layers, are no error."""
    assert not make_snapshot({})
    assert not Snapshot({}, 1)
    assert {} == dict(Snapshot({}, 1))


def test_layers_cannot_be_replaced() -> None:
    """Neither through the snapshot nor through the mapping that it was made of."""
    layers = {"": make_entries({"a": "1"})}
    snapshot = Snapshot(layers, 1)
    layers["more"] = make_entries({"b": "2"})

    assert ["a"] == list(snapshot)
    with pytest.raises(TypeError):
        snapshot.layers["more"] = {}  # type: ignore[index]  # that it is refused is the point
    with pytest.raises(dataclasses.FrozenInstanceError):
        snapshot.revision = 2  # type: ignore[misc]  # likewise


def test_equal_entries_make_equal_snapshots_whatever_the_revision() -> None:
    """A relist that finds the same is no change, though the cluster has moved on."""
    assert make_snapshot({"a": "1"}, revision=1) == make_snapshot({"a": "1"}, revision=9)


@pytest.mark.parametrize(
    "other",
    [
        make_snapshot({"a": "2"}),
        make_snapshot({"b": "1"}),
        make_snapshot({}),
        make_layers({"": {"a": "1"}, "x/": {}}),
        Snapshot({"": {"a": make_entry("a", "1", revision=2)}}, 1),
        {"a": make_entry("a", "1")},
    ],
    ids=["value", "path", "empty", "layer", "revision of the entry", "mapping"],
)
def test_different_entries_make_different_snapshots(other: object) -> None:
    """Value, path, layers and the entry's revisions count; a mere mapping is no snapshot."""
    assert make_snapshot({"a": "1"}) != other


def test_a_shadowed_entry_counts_for_equality() -> None:
    """Two snapshots with equal winners differ if their losers do: deleting the winner would tell."""
    one = make_layers({"common/": {"a": "1"}, "app/": {"a": "3"}})
    two = make_layers({"common/": {"a": "2"}, "app/": {"a": "3"}})

    assert dict(one) == dict(two)
    assert one != two
    assert {"a"} == two.changed_since(one)


def test_the_order_of_layers_counts_for_equality() -> None:
    """Which layer wins is part of what a snapshot says."""
    assert make_layers({"a/": {"x": "1"}, "b/": {}}) != make_layers({"b/": {}, "a/": {"x": "1"}})


def test_changes_are_told_by_path() -> None:
    """What was written, created or deleted since is listed; what stayed is not."""
    old = make_snapshot({"same": "1", "written": "1", "deleted": "1"})
    new = make_snapshot({"same": "1", "written": "2", "created": "1"})

    assert {"written", "created", "deleted"} == new.changed_since(old)


def test_a_layer_that_came_or_went_has_changed_whole() -> None:
    """Layers are compared by name."""
    one, two = make_layers({"a/": {"x": "1"}}), make_layers({"b/": {"y": "1"}})

    assert {"x", "y"} == two.changed_since(one)


def test_entries_and_plain_mappings_compare_alike() -> None:
    """Whether a store made the entries or somebody else did makes no difference."""
    lazy = make_snapshot({"a": "1", "b": "2"})
    plain = Snapshot({"": {"b": make_entry("b", "2"), "a": make_entry("a", "1")}}, 1)

    assert lazy == plain
    assert frozenset() == plain.changed_since(lazy)


class CountedRow:
    """A row that tells how often any row's key or value was read."""

    reads = 0
    create_revision = mod_revision = version = 1
    lease = 0

    def __init__(self, path: str) -> None:
        self._key = (PREFIX + path).encode()

    @property
    def key(self) -> bytes:
        CountedRow.reads += 1
        return self._key

    @property
    def value(self) -> bytes:
        CountedRow.reads += 1
        return b"x"


def test_one_change_among_many_costs_one_change() -> None:
    """Evolving, telling what changed, and finding the rows of one branch do not go through all rows."""
    snapshot = Snapshot({"": Entries([CountedRow(f"b{n % 100}/k{n}") for n in range(5000)], prefix=PREFIX)}, 1)
    assert 5000 == len(snapshot)
    entries = snapshot.layers[""]
    assert isinstance(entries, Entries)
    assert 50 == len(entries.rows_below("b7"))  # puts all rows in order, once
    assert "b7/k7" in snapshot  # makes the index, once
    CountedRow.reads = 0

    new = snapshot.evolve(2, {"": {"b7/k7": make_entry("b7/k7", "new", revision=2)}})
    evolved = new.layers[""]
    assert isinstance(evolved, Entries)

    assert {"b7/k7"} == new.changed_since(snapshot)
    assert 50 == len(evolved.rows_below("b7"))
    assert CountedRow.reads < 200


def test_layers_without_a_change_are_shared() -> None:
    """Whoever compares two snapshots sees at once that nothing has happened there."""
    snapshot = make_layers({"a/": {"x": "1"}, "b/": {"y": "1"}})

    new = snapshot.evolve(2, {"a/": {"x": None}, "b/": {}})

    assert new.layers["b/"] is snapshot.layers["b/"]
    assert ["y"] == list(new)
    assert 2 == new.revision


def test_many_changes_are_put_in_order() -> None:
    """What was written since the last bulk read is carried beside the rows; when it is much, it is sorted in."""
    entries = make_entries({"m": "1"})
    for number in range(2500):
        path = f"{1500 - number % 1500:04}"
        entries = entries.evolve({path: make_entry(path, str(number), revision=number)})

    keys = [row.key for row in entries.rows]
    assert 1501 == len(entries)
    assert b"2499" == entries["0501"].value
    assert sum(one > two for one, two in pairwise(keys)) <= 1000, "a thousand may wait beside the rows, no more"


def test_a_snapshot_is_not_hashable() -> None:
    """Equal snapshots may be of different revisions, so one must not stand for another in a set."""
    with pytest.raises(TypeError, match="unhashable"):
        hash(make_snapshot({}))


@pytest.mark.parametrize("travel", [lambda s: pickle.loads(pickle.dumps(s)), copy.copy, copy.deepcopy])
def test_a_snapshot_travels(travel: object) -> None:
    """It arrives equal, with its revision and cluster, and without the rows of the store."""
    assert callable(travel)
    answer = message("RangeResponse")()
    answer.kvs.add(key=b"/config/app/a", value=b"v", mod_revision=5)
    snapshot = Snapshot({"": Entries(answer.kvs, prefix=PREFIX)}, 7, 42)

    arrived = travel(snapshot)

    assert snapshot == arrived
    assert (7, 42) == (arrived.revision, arrived.cluster_id)

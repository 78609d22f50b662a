"""What every store does, whatever it keeps entries in."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest

from etcd_settings.connection import Connection
from etcd_settings.errors import ClosedError
from etcd_settings.snapshot import Entry, Snapshot
from etcd_settings.stores.base import Store, StoreWatch
from etcd_settings.stores.etcd import EtcdStore
from etcd_settings.stores.file import FileStore
from etcd_settings.stores.memory import MemoryStore
from etcd_settings.stores.python_etcd3 import Etcd3Client, PythonEtcd3Store
from etcd_settings.testing import EtcdServer

PREFIX = "/config/app/"


class Bench(Protocol):
    """A store under test. What is put lands under `prefix`; keys beside it belong to somebody else."""

    @property
    def store(self) -> Store: ...
    @property
    def prefix(self) -> str: ...
    def put(self, key: str, text: str) -> None: ...
    def delete(self, key: str) -> None: ...


class MemoryBench:
    prefix = PREFIX

    def __init__(self) -> None:
        self.store = self.writable = MemoryStore()

    def put(self, key: str, text: str) -> None:
        self.writable.put(key, text)

    def delete(self, key: str) -> None:
        assert 1 == self.writable.delete(key)


class EtcdBench:
    prefix = PREFIX

    def __init__(self, server: EtcdServer) -> None:
        self.store = EtcdStore(Connection.from_url(server.url))
        self.writable = self.store.client

    def put(self, key: str, text: str) -> None:
        self.writable.put(key, text)

    def delete(self, key: str) -> None:
        assert 1 == self.writable.delete(key)


class GuestBench(EtcdBench):
    """Read through an ``etcd3.client()``; written is by another way."""

    def __init__(self, server: EtcdServer, client: Etcd3Client) -> None:
        super().__init__(server)
        self.store = PythonEtcd3Store(client)  # type: ignore[assignment]  # as good a store


class FileBench:
    """A file that is written anew for every key; the only one who writes it."""

    prefix = ""

    def __init__(self, path: Path) -> None:
        self.store = FileStore(str(path))
        self._texts: dict[str, str] = {}
        self._write()

    def put(self, key: str, text: str) -> None:
        self._texts[key] = text
        self._write()

    def delete(self, key: str) -> None:
        del self._texts[key]
        self._write()

    def _write(self) -> None:
        tree: dict[str, Any] = {}
        for key, text in self._texts.items():
            *above, last = key.split("/")
            node = tree
            for name in above:
                node = node.setdefault(name, {})
            node[last] = text
        fresh = self.store.path.with_suffix(".new")
        fresh.write_text(json.dumps(tree))
        fresh.replace(self.store.path)  # as editors do: whole or not at all


def make(kind: str, request: pytest.FixtureRequest) -> MemoryBench | EtcdBench:
    if kind == "memory":
        return MemoryBench()
    server = request.getfixturevalue("etcd_server")
    bench = EtcdBench(server) if kind == "etcd" else GuestBench(server, request.getfixturevalue("etcd3_client"))
    request.addfinalizer(bench.writable.close)
    return bench


SERVED = [pytest.param(kind, marks=pytest.mark.etcd) for kind in ("etcd", "python-etcd3")]


@pytest.fixture(params=["memory", "file", *SERVED])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Give every kind of store, one after the other."""
    bench: Bench = FileBench(tmp_path / "settings.json") if request.param == "file" else make(request.param, request)
    yield bench
    bench.store.close()


@pytest.fixture(params=["memory", *SERVED])
def key_value(request: pytest.FixtureRequest) -> Iterator[MemoryBench | EtcdBench]:
    """Give the stores that hold any bytes and count as etcd does."""
    bench = make(request.param, request)
    yield bench
    bench.store.close()


def read(bench: Bench, *layers: str) -> Snapshot:
    return bench.store.read({layer: bench.prefix + layer for layer in layers or ("",)}, timeout=10)


def texts(entries: Mapping[str, Entry]) -> dict[str, str]:
    return {path: entry.text for path, entry in entries.items()}


def fill(bench: Bench, *keys: str) -> None:
    for key in keys:
        bench.put(bench.prefix + key, f"text of {key}")


def test_what_was_put_is_read(bench: Bench) -> None:
    """Path → text of every key under the prefix, with the whole key in the entry."""
    fill(bench, "debug", "database/host", "database/port")

    snapshot = read(bench)

    assert {name: f"text of {name}" for name in ("debug", "database/host", "database/port")} == texts(snapshot)
    assert bench.prefix + "database/host" == snapshot["database/host"].key


def test_a_prefix_ends_where_it_ends(bench: Bench) -> None:
    """`a/` reads neither `a` nor `a2/…` nor `A/…` nor `a0`."""
    fill(bench, "a/inside", "a2/x", "A/x", "a0", "b/x")

    assert {"inside": "text of a/inside"} == texts(bench.store.read({"": bench.prefix + "a/"}, timeout=10))


def test_nothing_there_is_an_empty_snapshot(bench: Bench) -> None:
    """A prefix without keys is no error: its layer is there, and empty."""
    fill(bench, "b/x")

    snapshot = bench.store.read({"": bench.prefix + "a/"}, timeout=10)

    assert {"": {}} == {layer: dict(entries) for layer, entries in snapshot.layers.items()}
    assert snapshot.revision >= 0


def test_layers_come_in_the_order_asked_for(bench: Bench) -> None:
    """Each layer holds its own entries under its own name, in the order of the question; later ones win."""
    fill(bench, "common/host", "common/port", "production/host", "other/host")

    snapshot = read(bench, "production/", "common/", "nothing/")

    assert ["production/", "common/", "nothing/"] == list(snapshot.layers)
    assert {"host", "port"} == set(snapshot)
    assert ("common/", "text of common/host") == (snapshot["host"].layer, snapshot["host"].text)
    assert "production/" == snapshot.layers["production/"]["host"].layer


def test_layers_may_lie_within_each_other(bench: Bench) -> None:
    """A key under two of the layers is in both, by its path in each."""
    fill(bench, "a/b/c")

    snapshot = read(bench, "", "a/", "a/b/")

    assert [["a/b/c"], ["b/c"], ["c"]] == [list(entries) for entries in snapshot.layers.values()]


def test_no_layers_are_no_entries(bench: Bench) -> None:
    """Asked for nothing, a store gives nothing."""
    fill(bench, "a")

    assert {} == dict(bench.store.read({}, timeout=10).layers)


def test_a_write_is_in_the_next_read(bench: Bench) -> None:
    """A store does not cache: what was written, written over or deleted shows in the next read."""
    fill(bench, "a", "b")
    before = read(bench)
    bench.put(bench.prefix + "a", "new")
    bench.put(bench.prefix + "c", "added")
    bench.delete(bench.prefix + "b")

    after = read(bench)

    assert {"a": "new", "c": "added"} == texts(after)
    assert {"a", "b", "c"} == after.changed_since(before)


def test_a_snapshot_stays_as_it_was(bench: Bench) -> None:
    """What was read does not change when the store does, even if nobody had looked at it yet."""
    fill(bench, "a", "b")
    snapshot = read(bench)
    bench.put(bench.prefix + "a", "new")
    bench.delete(bench.prefix + "b")

    assert {"a": "text of a", "b": "text of b"} == texts(snapshot)


def test_the_revision_rises_with_every_write_and_only_then(bench: Bench) -> None:
    """Writing and deleting raise the revision; reading does not."""
    fill(bench, "a")
    first = read(bench).revision
    assert first == read(bench).revision
    bench.put(bench.prefix + "a", "new")
    second = read(bench).revision
    bench.delete(bench.prefix + "a")
    third = read(bench).revision

    assert first < second < third


def test_an_entry_knows_when_it_was_written(bench: Bench) -> None:
    """Only what is written gets a new revision, which is not beyond the snapshot's; when it was created stays."""
    fill(bench, "a", "b")
    before = read(bench)
    bench.put(bench.prefix + "a", "new")
    after = read(bench)

    assert before["b"] == after["b"]
    assert before["a"].create_revision == after["a"].create_revision
    assert before["a"].mod_revision < after["a"].mod_revision <= after.revision
    assert (1, 2) == (before["a"].version, after["a"].version)
    assert frozenset({"a"}) == after.changed_since(before)


def test_equal_content_is_an_equal_snapshot(bench: Bench) -> None:
    """Two reads with nothing written in between are equal."""
    fill(bench, "b", "a", "c/d")

    assert read(bench) == read(bench)


def test_a_read_is_at_one_revision(bench: Bench) -> None:
    """Of two keys in two layers that are written one after the other, no read sees the second's write alone."""
    first, second = bench.prefix + "x/n", bench.prefix + "y/n"
    bench.put(first, "0")
    bench.put(second, "0")
    enough = threading.Event()

    def write() -> None:
        number = 0
        while not enough.is_set():
            number += 1
            bench.put(first, str(number))
            bench.put(second, str(number))

    writer = threading.Thread(target=write)
    writer.start()
    seen: set[tuple[int, int]] = set()
    try:
        while len(seen) < 10:
            snapshot = read(bench, "y/", "x/")
            seen.add((int(snapshot.layers["x/"]["n"].text), int(snapshot.layers["y/"]["n"].text)))
    finally:
        enough.set()
        writer.join()

    assert set() == {(x, y) for x, y in seen if not 0 <= x - y <= 1}


def test_many_threads_may_read(bench: Bench) -> None:
    """Readers on many threads all get the whole."""
    fill(bench, *(f"k{number:02}" for number in range(50)))
    found: list[int] = []

    threads = [threading.Thread(target=lambda: found.append(len(read(bench)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [50] * 8 == found


def test_a_watch_brings_every_last_state(bench: Bench) -> None:
    """What was written since the snapshot comes, and what is written later, whole; the revision only rises."""
    fill(bench, "a", "b")
    since = read(bench)
    fill(bench, "c")  # before the watch begins
    told: list[bool] = []

    with bench.store.watch({"": bench.prefix}, since, on_connection=told.append) as watch:
        found = [until(watch, lambda found: "c" in found)]
        assert watch.connected
        bench.delete(bench.prefix + "a")
        bench.put(bench.prefix + "b", "new")
        found.append(until(watch, lambda found: "a" not in found and found["b"].text == "new"))

    assert {"b": "new", "c": "text of c"} == texts(found[-1])
    assert read(bench) == found[-1]
    assert since.revision < found[0].revision < found[1].revision
    assert told[0]


def test_a_watch_of_layers_brings_each_in_its_own(bench: Bench) -> None:
    """A change in one layer leaves the others as they were."""
    fill(bench, "common/a", "prod/a")
    layers = {"common/": bench.prefix + "common/", "prod/": bench.prefix + "prod/"}
    since = bench.store.read(layers, timeout=10)

    with bench.store.watch(layers, since, on_connection=lambda _: None) as watch:
        bench.put(bench.prefix + "prod/a", "new")
        found = until(watch, lambda found: found["a"].text == "new")

    assert ["text of common/a"] == list(texts(found.layers["common/"]).values())
    assert "prod/" == found["a"].layer


def test_a_quiet_watch_gives_nothing(bench: Bench) -> None:
    """Waiting ends with the timeout, and without a snapshot."""
    fill(bench, "a")
    since = read(bench)

    with bench.store.watch({"": bench.prefix}, since, on_connection=lambda _: None) as watch:
        assert None is watch.poll(0.05)


def test_closing_ends_a_watch_that_waits(bench: Bench) -> None:
    """From another thread, and at once."""
    since = read(bench)
    ended: list[type[Exception]] = []
    with bench.store.watch({"": bench.prefix}, since, on_connection=lambda _: None) as watch:
        watch.poll(0.1)

        def wait() -> None:
            try:
                watch.poll(60)
            except ClosedError as e:
                ended.append(type(e))

        waiting = threading.Thread(target=wait)
        waiting.start()
        watch.close()
        waiting.join(10)

    assert [ClosedError] == ended


def until(watch: StoreWatch, condition: Callable[[Snapshot], bool]) -> Snapshot:
    """Give the first snapshot that fulfils a condition."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        snapshot = watch.poll(1)
        if snapshot is not None and condition(snapshot):
            return snapshot
    raise AssertionError("it did not come")


def test_who_answered_is_told(bench: Bench) -> None:
    """After a read the store names who answered, for people to read."""
    read(bench)

    assert bench.store.endpoint


def test_closing_twice_is_harmless(bench: Bench) -> None:
    """`close` may be called at any time, and again; no repr shows a value."""
    fill(bench, "a")
    read(bench)
    assert "text of" not in repr(bench.store)

    bench.store.close()
    bench.store.close()


# --- stores that hold any bytes, and count as etcd does ---


def test_values_and_keys_are_bytes(key_value: MemoryBench | EtcdBench) -> None:
    """All 256 bytes are good in values, and in keys; a text is UTF-8."""
    everything = bytes(range(256))
    writable = key_value.writable
    prefix = key_value.prefix.encode()
    writable.put(prefix + everything, everything)
    writable.put(key_value.prefix + "ü", "ö")

    snapshot = read(key_value)

    assert {everything.decode("utf-8", "surrogateescape"), "ü"} == set(snapshot)
    assert everything == snapshot[everything.decode("utf-8", "surrogateescape")].value
    assert "ö" == snapshot["ü"].text
    assert 1 == writable.delete(prefix + everything)


@pytest.mark.parametrize("prefix", [b"", b"a", b"a\xff", b"\xff", b"\xff\xff", b"b"])
def test_any_prefix_reads_exactly_its_keys(key_value: MemoryBench | EtcdBench, prefix: bytes) -> None:
    """Prefixes that end in 0xff bytes select what starts with them, and nothing else."""
    writable = key_value.writable
    keys = [b"a", b"a\xfe", b"a\xff", b"a\xff\x00", b"a\xff\xff", b"b", b"\xff", b"\xff\xff\x01"]
    for key in keys:
        writable.put(key_value.prefix.encode() + key, "")
    prefix = key_value.prefix.encode() + prefix

    rows = key_value.store.read({"": prefix.decode("utf-8", "surrogateescape")}, timeout=10)

    expected = [key for key in keys if (key_value.prefix.encode() + key).startswith(prefix)]
    assert len(expected) == len(rows)


def test_revisions_count_as_in_etcd(key_value: MemoryBench | EtcdBench) -> None:
    """A put gives its revision and raises it by one; a key that is created again starts at version 1."""
    writable = key_value.writable
    key = key_value.prefix + "a"
    first = writable.put(key, "1")
    second = writable.put(key, "1")

    assert first + 1 == second
    entry = read(key_value)["a"]
    assert (first, second, 2, 0) == (entry.create_revision, entry.mod_revision, entry.version, entry.lease)
    assert 1 == writable.delete(key)
    assert 0 == writable.delete(key)
    assert second + 1 == read(key_value).revision
    third = writable.put(key, "1")
    entry = read(key_value)["a"]
    assert (second + 2, third, third, 1) == (third, entry.create_revision, entry.mod_revision, entry.version)


def test_an_empty_value_is_a_value(key_value: MemoryBench | EtcdBench) -> None:
    """Missing and empty are two things."""
    key_value.put(key_value.prefix + "a", "")

    assert b"" == read(key_value)["a"].value

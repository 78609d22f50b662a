"""One snapshot on disk, so that a program starts while etcd is away."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcd_settings.entries import Entries
from etcd_settings.errors import AuthenticationError, ConfigurationError, UnavailableError
from etcd_settings.last_good import LastGood, dump, parse
from etcd_settings.private_files import Refused, replace_file
from etcd_settings.snapshot import Entry, Snapshot
from etcd_settings.source import Source
from etcd_settings.stores.memory import MemoryStore
from etcd_settings.testing.clocks import FakeClock
from tests.forking import in_child, status
from tests.waiting import eventually

PREFIX = "/config/app/"


def entry(path: str, value: bytes, layer: str = "", *, revision: int = 3) -> Entry:
    return Entry(PREFIX + layer + path, value, layer, 2, revision, 2, 5)


def snapshot(revision: int = 7, value: bytes = b"hunter2", *, layer: str = "") -> Snapshot:
    return Snapshot({layer: {"a/b": entry("a/b", value, layer, revision=revision)}}, revision, 1 << 63)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "settings.last"


@pytest.fixture
def file(path: Path) -> LastGood:
    return LastGood(str(path), PREFIX, ("",))


# --- the format ---


@given(
    entries=st.dictionaries(
        st.binary(min_size=1, max_size=8).map(lambda key: key.decode("utf-8", "surrogateescape")),
        st.tuples(st.binary(max_size=8), st.lists(st.integers(0, (1 << 63) - 1), min_size=4, max_size=4)),
        max_size=5,
    ),
    layers=st.lists(st.sampled_from(["", "a/", "ü/", "\udcff/"]), unique=True, min_size=1),
)
def test_a_snapshot_makes_the_round_trip(entries: dict[str, tuple[bytes, list[int]]], layers: list[str]) -> None:
    """Any keys, any values, any layers: what is parsed equals what was dumped, with revision and cluster."""
    before = Snapshot(
        {
            layer: {
                path: Entry(PREFIX + layer + path, value, layer, *numbers) for path, (value, numbers) in entries.items()
            }
            for layer in layers
        },
        12,
        99,
    )
    after = parse(dump(before, PREFIX), PREFIX, tuple(layers))

    assert before == after
    assert (12, 99) == (after.revision, after.cluster_id)


def test_what_a_store_read_makes_the_round_trip() -> None:
    """Rows as stores deliver them are dumped as their entries are."""
    store = MemoryStore()
    store.put(PREFIX + "a", "1")
    store.put(PREFIX + "b/\udcff", b"\xff")
    read = store.read({"": PREFIX, "b/": PREFIX + "b/"}, timeout=1)
    assert isinstance(read.layers[""], Entries)

    assert read == parse(dump(read, PREFIX), PREFIX, ("", "b/"))


def test_the_format_is_what_is_documented() -> None:
    """Three parts: what it is, the checksum, and the JSON that the documentation shows."""
    head, digest, body = dump(snapshot(), PREFIX).decode().split("\n")

    assert "etcd-settings last good snapshot 1" == head
    assert 64 == len(digest)
    assert {
        "prefix": PREFIX,
        "revision": 7,
        "cluster_id": 1 << 63,
        "layers": {"": [["a/b", "hunter2", 2, 7, 2, 5]]},
    } == json.loads(body)


@given(position=st.integers(0), value=st.integers(1, 255), cut=st.booleans())
def test_damage_is_found(position: int, value: int, cut: bool) -> None:
    """Any byte that changed, and any that is missing at the end, is found, and nothing of the file is quoted."""
    data = bytearray(dump(snapshot(), PREFIX))
    if cut:
        del data[position % len(data) :]
    else:
        data[position % len(data)] ^= value

    with pytest.raises(Refused) as caught:
        parse(bytes(data), PREFIX, ("",))
    assert "hunter2" not in repr(caught.value)


@pytest.mark.parametrize(
    ("prefix", "layers"), [("/config/other/", ("",)), (PREFIX, ("a/",)), (PREFIX, ("", "a/")), (PREFIX, ())]
)
def test_what_is_of_something_else_is_refused(prefix: str, layers: tuple[str, ...]) -> None:
    """A file belongs to one prefix and its layers."""
    with pytest.raises(Refused, match="another prefix or other layers"):
        parse(dump(snapshot(), PREFIX), prefix, layers)


def test_the_order_of_layers_counts() -> None:
    """Who wins is a matter of order, so that the same layers in another order are others."""
    both = Snapshot({"a/": {}, "b/": {}}, 7)

    with pytest.raises(Refused):
        parse(dump(both, PREFIX), PREFIX, ("b/", "a/"))


def test_a_later_format_is_refused() -> None:
    """A file that a later version wrote is not guessed at."""
    data = dump(snapshot(), PREFIX).replace(b"snapshot 1\n", b"snapshot 2\n", 1)

    with pytest.raises(Refused, match="another version"):
        parse(data, PREFIX, ("",))


# --- loading and saving ---


def test_nothing_saved_is_nothing_said(file: LastGood, caplog: pytest.LogCaptureFixture) -> None:
    """Before the first good read there is no file, which is normal."""
    assert file.load() is None
    assert "" == caplog.text


def test_the_age_counts_from_the_last_good_read(path: Path) -> None:
    """A read that found the same entries makes the file younger, without writing it anew."""
    clock = FakeClock()
    file = LastGood(str(path), PREFIX, ("",), wall=clock.clock.wall)
    file.offer(snapshot(7))
    inode = path.stat().st_ino
    clock.tick(100)
    file.offer(Snapshot(dict(snapshot(7).layers), 9, 1 << 63))
    clock.tick(10)
    found = file.load()

    assert found is not None
    assert (snapshot(7), 10.0) == found
    assert inode == path.stat().st_ino


def test_a_file_that_vanished_is_written_again(file: LastGood, path: Path) -> None:
    """Whoever deleted the file gets it back with the next good read."""
    file.offer(snapshot())
    path.unlink()
    file.offer(snapshot())

    assert path.exists()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.write_bytes(b"hunter2"), "it is not a file of last good settings"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "it is damaged: its checksum is wrong"),
        (lambda path: path.chmod(0o644), "others may read or write it"),
    ],
    ids=["foreign", "damaged", "open"],
)
def test_what_cannot_be_used_is_named_once(
    file: LastGood, path: Path, spoil: Callable[[Path], object], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that is damaged, foreign or open to others is not served, and the log names it and the reason, once."""
    file.offer(snapshot())
    spoil(path)

    assert [None, None] == [file.load(), file.load()]
    assert 1 == len(caplog.records)
    assert str(path) in caplog.text
    assert reason in caplog.text
    assert "hunter2" not in caplog.text


def test_what_is_too_old_is_named(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """`max_age` bounds what may be served, across processes."""
    clock = FakeClock()
    file = LastGood(str(path), PREFIX, ("",), max_age=60, wall=clock.clock.wall)
    file.offer(snapshot())
    clock.tick(60)
    assert file.load() is not None
    clock.tick(1)

    assert file.load() is None
    assert "they are 61 s old, and max_stale is 60 s" in caplog.text


def test_unwritable_is_told_and_harms_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A directory that is not there is a line in the log, once, and not an error."""
    file = LastGood(str(tmp_path / "missing" / "file"), PREFIX, ("",))
    file.offer(snapshot(7))
    file.offer(snapshot(8))

    assert [logging.WARNING] == [record.levelno for record in caplog.records]
    assert "cannot be saved" in caplog.text


def test_somebody_elses_file_is_left_alone(file: LastGood, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong path in the configuration destroys nothing."""
    path.write_bytes(b"precious")
    file.offer(snapshot())

    assert b"precious" == path.read_bytes()
    assert "another file is in its place" in caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes in the file system here")
def test_a_pipe_in_its_place_does_not_hang(file: LastGood, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is no file is left alone, without waiting for whoever is at its other end."""
    os.mkfifo(path)
    file.offer(snapshot())

    assert path.is_fifo()
    assert "cannot be saved" in caplog.text


def test_a_damaged_file_of_ours_is_mended(file: LastGood, path: Path) -> None:
    """The next good read replaces what a disk error left."""
    file.offer(snapshot(7))
    path.write_bytes(path.read_bytes()[:-1])
    file = LastGood(str(path), PREFIX, ("",))
    file.offer(snapshot(8))

    found = file.load()
    assert found is not None
    assert 8 == found[0].revision


# --- judges ---


def saved(path: Path) -> int | None:
    """Give the revision in the file."""
    return json.loads(path.read_bytes().split(b"\n", 2)[2])["revision"] if path.exists() else None


def test_while_somebody_judges_only_what_is_accepted_is_saved(file: LastGood, path: Path) -> None:
    """What was read is not written while a judge is there; what it accepts is; without it everything is as before."""
    judge = object()
    file.judge(judge)
    file.offer(snapshot(7))
    assert saved(path) is None
    file.accept(judge, snapshot(7))
    file.offer(snapshot(8))
    assert 7 == saved(path)
    file.dismiss(judge)
    file.offer(snapshot(9))

    assert 9 == saved(path)


def test_every_judge_has_to_accept(file: LastGood, path: Path) -> None:
    """A snapshot that one of two judges rejects is never written; the next one that both accept is."""
    first, second = object(), object()
    file.judge(first)
    file.judge(second)
    file.accept(first, snapshot(7))
    assert saved(path) is None
    file.accept(second, snapshot(7))
    assert 7 == saved(path)
    file.accept(first, snapshot(8))  # and the second rejects it
    file.accept(second, snapshot(9))
    assert 7 == saved(path)
    file.accept(first, snapshot(9))

    assert 9 == saved(path)


# --- many at once ---


def test_nobody_waits_for_anothers_disk(file: LastGood, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one thread writes, others leave what they have and go; the writer writes the newest of it."""
    writing, go_on = threading.Event(), threading.Event()
    written: list[int] = []

    def slow(place: str, data: bytes, *, modified: float) -> None:
        writing.set()
        assert go_on.wait(10)
        written.append(json.loads(data.split(b"\n", 2)[2])["revision"])
        replace_file(place, data, modified=modified)

    monkeypatch.setattr("etcd_settings.last_good.replace_file", slow)
    writer = threading.Thread(target=file.offer, args=(snapshot(1),))
    writer.start()
    eventually(writing.is_set)
    for revision in range(2, 20):
        file.offer(snapshot(revision))  # does not wait
    go_on.set()
    writer.join()

    assert [1, 19] == written
    assert 19 == saved(path)


def test_a_child_of_a_writer_writes(file: LastGood, path: Path) -> None:
    """A fork while another thread writes, or judges, leaves a child that saves for itself."""

    def child() -> None:
        file.judge("me")
        file.accept("me", snapshot(7))
        assert 7 == saved(path)

    file._writers[None] = object()
    with file._lock:
        pid = in_child(child)
    assert 0 == status(pid)


# --- with a source ---


class Away:
    """An etcd that is away, or refuses."""

    endpoint = None

    def __init__(self, error: Exception) -> None:
        self.error = error

    def read(self, layers: object, *, timeout: float) -> Snapshot:
        raise self.error

    def watch(self, layers: object, since: Snapshot, *, on_connection: object) -> object:
        raise self.error

    def close(self) -> None: ...


OUTAGE = UnavailableError({"a:2379": "connection refused"})


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.put(PREFIX + "a", "1")
    return store


def away(path: Path, error: Exception = OUTAGE, **options: object) -> Source:
    return Source(store=Away(error), prefix=PREFIX, last_good=path, **options)  # type: ignore[arg-type]  # of any kind


def test_a_start_in_an_outage_succeeds(store: MemoryStore, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What one process read the next one starts with, if etcd is away; log and status say so."""
    Source(store=store, prefix=PREFIX, last_good=path).snapshot()
    source = away(path)

    assert {"a": "1"} == source.tree()
    assert {"a": "1"} == source.tree()
    status = source.status()
    assert ("last_good", 2) == (status.state, status.revision)
    assert isinstance(status.error, UnavailableError)
    assert ["WARNING"] == [record.levelname for record in caplog.records]
    assert "the last good settings, saved at revision 2, are served" in caplog.text


def test_a_good_read_ends_last_good(store: MemoryStore, path: Path) -> None:
    """Once the store answers its state counts, whatever was saved."""
    clock = FakeClock()
    Source(store=store, prefix=PREFIX, last_good=path).snapshot()
    gone = Away(OUTAGE)
    source = Source(store=gone, prefix=PREFIX, last_good=path, clock=clock.clock)  # type: ignore[arg-type]  # partial
    source.snapshot()
    other = MemoryStore()
    gone.read = other.read  # type: ignore[assignment]  # it is back
    clock.tick(1)

    assert {} == source.tree()
    assert ("fresh", 1) == (source.status().state, source.status().revision)
    assert 1 == saved(path)


def test_it_belongs_to_prefix_and_layers_not_to_endpoints(store: MemoryStore, path: Path) -> None:
    """Another etcd with the same prefix and layers may use it, another prefix may not."""
    Source(store=store, prefix=PREFIX, last_good=path).snapshot()

    assert 1 == len(Source(f"etcd://127.0.0.1:1{PREFIX}?timeout=1", last_good=path).snapshot())
    for other in (
        Source(store=Away(OUTAGE), prefix="/other/", last_good=path),  # type: ignore[arg-type]  # partial
        away(path, layers=["a/"]),
    ):
        with pytest.raises(UnavailableError):
            other.snapshot()


def test_refused_credentials_are_served_from_disk_and_told_as_an_error(
    store: MemoryStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A program restarts although its password was changed meanwhile, and the log says so as an error."""
    Source(store=store, prefix=PREFIX, last_good=path).snapshot()

    assert 1 == len(away(path, AuthenticationError(endpoint="a:2379", user="u")).snapshot())
    assert ["ERROR"] == [record.levelname for record in caplog.records]


def test_a_wrong_configuration_is_an_error_all_the_same(store: MemoryStore, path: Path) -> None:
    """The disk does not hide what only a person can mend, here at the very start."""
    Source(store=store, prefix=PREFIX, last_good=path).snapshot()

    with pytest.raises(ConfigurationError):
        away(path, ConfigurationError("no such certificate")).snapshot()


def test_without_a_file_required_decides(path: Path) -> None:
    """No file: an outage is an error, or an empty snapshot if settings are not required."""
    with pytest.raises(UnavailableError):
        away(path).snapshot()
    assert 0 == len(away(path, required=False).snapshot())


def test_max_stale_counts_across_processes(store: MemoryStore, path: Path) -> None:
    """What may not be served after an hour may not be served by a new process either."""
    Source(store=store, prefix=PREFIX, last_good=path).snapshot()
    os.utime(path, (1e9, 1e9))

    with pytest.raises(UnavailableError):
        away(path, max_stale=3600).snapshot()
    assert 1 == len(away(path).snapshot())


def test_the_url_names_it(store: MemoryStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`last_good` is an option of the URL as well; a relative path is fixed when the source is made."""
    monkeypatch.chdir(path.parent)
    source = Source("memory://test_last_good/p/?last_good=settings.last")
    monkeypatch.chdir("/")
    source.snapshot()

    assert path.exists()
    assert Source.shared("memory://lg/p/", last_good=path) is Source.shared(f"memory://lg/p/?last_good={path}")


@pytest.mark.parametrize("wrong", ["", b"x", 7, "a\0b"])
def test_a_wrong_path_is_an_error(wrong: object) -> None:
    """What is no path is refused by name."""
    with pytest.raises(ConfigurationError, match="last_good is the path of a file"):
        Source("memory://lg/p/", last_good=wrong)  # type: ignore[arg-type]  # on purpose


def test_without_it_nothing_is_written(store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default nothing is kept on disk."""
    monkeypatch.chdir(tmp_path)
    Source(store=store, prefix=PREFIX).snapshot()

    assert [] == list(tmp_path.iterdir())

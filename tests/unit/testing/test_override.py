"""An override is seen by one source alone, whole, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from pydantic import BaseModel

from etcd_settings import Source
from etcd_settings.errors import ConfigurationError
from etcd_settings.stores.memory import MemoryStore
from etcd_settings.testing import override

PREFIX = "/config/app/"


class Database(BaseModel):
    host: str
    port: int


PLAIN = {"debug": "false", "database": {"host": "db", "port": "5432"}}


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    for path, text in (("debug", "false"), ("database/host", "db"), ("database/port", "5432")):
        store.put(PREFIX + path, text)
    return store


@pytest.fixture
def source(store: MemoryStore) -> Source:
    return Source(store=store, prefix=PREFIX)


def test_what_is_named_is_replaced_and_all_else_stays(source: Source) -> None:
    """It merges deep, with Python values spelled as etcd would hold them; afterwards all is as before."""
    with override(source, {"debug": True, "database": {"port": 1, "tags": ["a"]}, "new": None}):
        assert {
            "debug": "true",
            "database": {"host": "db", "port": "1", "tags": '["a"]'},
            "new": "null",
        } == source.tree()
        assert {"host": "db", "port": "1", "tags": '["a"]'} == source.tree("database")
    assert PLAIN == source.tree()


def test_every_way_of_reading_sees_it(source: Source) -> None:
    """Snapshots that are held, read anew, or awaited, and typed objects."""
    source.snapshot()
    with override(source, {"database": {"port": 1}}):
        for snapshot in (source.snapshot(), source.refresh(), asyncio.run(source.snapshot_async())):
            assert "1" == snapshot["database/port"].text
        assert Database(host="db", port=1) == source.load(Database, "database")
        origin = source.explain("database/port").winner
        assert origin is not None
        assert ("override/database/port", "override") == (origin.key, origin.layer)


def test_blocks_nest_and_may_end_in_any_order(source: Source) -> None:
    """The last one begun wins, and each takes away what it brought, and no more."""
    outer, inner = override(source, {"debug": 1, "a": 1}), override(source, {"debug": 2})
    outer.__enter__()
    inner.__enter__()
    assert ("2", "1") == (source.tree()["debug"], source.tree()["a"])
    outer.__exit__(None, None, None)
    assert "2" == source.tree()["debug"]
    assert "a" not in source.tree()
    inner.__exit__(None, None, None)
    assert PLAIN == source.tree()


def test_an_exception_ends_it_too(source: Source) -> None:
    """Whatever ends the block, nothing of the override stays."""
    with pytest.raises(ZeroDivisionError), override(source, {"debug": True}):
        raise ZeroDivisionError
    assert PLAIN == source.tree()


def test_its_argument_is_copied(source: Source) -> None:
    """What is done to the mapping afterwards, before or within the block, changes nothing."""
    values: dict[str, Any] = {"database": {"port": 1}}
    block = override(source, values)
    values["database"]["port"] = 2
    with block:
        values["database"]["port"] = 3
        assert "1" == source.tree()["database"]["port"]


def test_other_sources_see_nothing(source: Source, store: MemoryStore) -> None:
    """A source that reads the same goes on as it was, and the store holds what it held."""
    with override(source, {"debug": True}):
        assert PLAIN == Source(store=store, prefix=PREFIX).tree()
        assert 4 == store.revision


def test_it_is_above_all_layers(store: MemoryStore) -> None:
    """Whatever layer a value is in, the override covers it."""
    store.put(PREFIX + "b/debug", "in b")
    with Source(store=store, prefix=PREFIX, layers=["", "b/"]) as source:
        assert "in b" == source.tree()["debug"]
        with override(source, {"debug": "mine"}):
            assert "mine" == source.tree()["debug"]


def test_for_those_who_watch_it_is_a_change(source: Source, store: MemoryStore) -> None:
    """Its begin and its end are told, and what etcd tells meanwhile is told with the override on it."""
    with source, source.watch() as snapshots:
        assert "false" == next(snapshots)["debug"].text
        with override(source, {"debug": True}):
            assert "true" == next(snapshots)["debug"].text
            store.put(PREFIX + "database/host", "other")
            told = next(snapshots)
            assert ("true", "other") == (told["debug"].text, told["database/host"].text)
            with source.watch() as late:
                assert "true" == next(late)["debug"].text
        assert "false" == next(snapshots)["debug"].text


def test_other_threads_see_it_whole_or_not_at_all(source: Source) -> None:
    """Two values that are overridden together are never seen apart."""
    seen: set[tuple[str, str]] = set()
    enough = threading.Event()

    def read() -> None:
        while not enough.is_set():
            database = source.tree("database")
            seen.add((database["host"], database["port"]))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(300):
        with override(source, {"database": {"host": "x", "port": "x"}}):
            pass
    enough.set()
    for reader in readers:
        reader.join()

    assert seen <= {("db", "5432"), ("x", "x")}


@pytest.mark.parametrize("values", [{"a/b": 1}, {"": 1}, {"a": object()}])
def test_what_cannot_be_a_setting_is_refused_at_once(source: Source, values: dict[str, Any]) -> None:
    """The error comes before anything is shown."""
    with pytest.raises(ConfigurationError):
        override(source, values)
    assert PLAIN == source.tree()

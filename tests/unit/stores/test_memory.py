"""The store in memory: what is its own. What it shares with all stores is in the contract suite."""

from __future__ import annotations

import threading

import pytest

from etcd_settings.errors import ConfigurationError
from etcd_settings.stores import memory
from etcd_settings.stores.memory import MemoryStore
from tests.forking import in_child, status


def test_one_name_is_one_store() -> None:
    """A shared store is found by its name; another name is another store, and `MemoryStore()` is nobody else's."""
    store = MemoryStore.shared("test_one_name")
    store.put("a", "1")

    assert store is MemoryStore.shared("test_one_name")
    assert 0 == len(MemoryStore.shared("test_another_name").read({"": ""}, timeout=1))
    assert MemoryStore() is not MemoryStore()


def test_many_threads_that_share_a_name_share_a_store() -> None:
    """A name asked for the first time by many threads at once makes one store."""
    found: list[MemoryStore] = []
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        found.append(MemoryStore.shared("test_many_threads"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 1 == len({id(store) for store in found})


def test_a_new_store_is_at_revision_1() -> None:
    """As a new etcd is: the first write is revision 2."""
    store = MemoryStore()

    assert 1 == store.revision
    assert 2 == store.put("a", "1")


def test_an_empty_key_is_refused() -> None:
    """As etcd refuses it."""
    with pytest.raises(ConfigurationError, match="at least one character"):
        MemoryStore().put("", "1")


def test_a_lease_is_kept() -> None:
    """The lease of a write is in the entry, and gone with a write without one."""
    store = MemoryStore()
    store.put("a", "1", lease=7)
    leased = store.read({"": ""}, timeout=1)["a"]
    store.put("a", "1")

    assert [7, 0] == [leased.lease, store.read({"": ""}, timeout=1)["a"].lease]


def test_reading_costs_what_is_read() -> None:
    """A prefix with three keys touches three rows, whatever else the store holds."""
    store = MemoryStore()
    for number in range(2_000):
        store.put(f"/other/{number}", "x")
        store.put(f"/zzz/{number}", "x")
    for name in "abc":
        store.put(f"/mine/{name}", "x")
    touched: list[bytes] = []

    class Rows(dict[bytes, memory._Row]):
        def __getitem__(self, key: bytes) -> memory._Row:
            touched.append(key)
            return super().__getitem__(key)

    store._rows = Rows(store._rows)
    store.read({"": "/mine/"}, timeout=1)

    assert [b"/mine/a", b"/mine/b", b"/mine/c"] == touched


def test_a_child_does_not_inherit_a_held_lock() -> None:
    """A fork while a thread writes leaves a child that can read and write, and find stores by name."""
    store = MemoryStore.shared("test_fork")
    store.put("a", "1")

    def child() -> None:
        assert MemoryStore.shared("test_fork") is store
        assert 3 == store.put("b", "2")

    with store._lock, memory._shared._lock:
        pid = in_child(child)
    assert 0 == status(pid)
    assert 2 == store.revision

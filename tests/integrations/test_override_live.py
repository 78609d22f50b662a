"""An override reaches whoever follows a source: a Live builds with it, and without it again."""

from __future__ import annotations

from etcd_settings import Live, Source
from etcd_settings.stores.memory import MemoryStore
from etcd_settings.testing import override
from tests.waiting import eventually

PREFIX = "/config/app/"


def test_an_override_is_a_change_for_a_live() -> None:
    """Its begin and its end each make a candidate, and what does not change stays."""
    store = MemoryStore()
    store.put(PREFIX + "debug", "false")
    store.put(PREFIX + "host", "db")
    with Source(store=store, prefix=PREFIX) as source, Live(source.tree, debounce=(0, 0)) as live:
        assert {"debug": "false", "host": "db"} == live.current
        with override(source, {"debug": True}):
            eventually(lambda: {"debug": "true", "host": "db"} == live.current)
        eventually(lambda: {"debug": "false", "host": "db"} == live.current)


def test_a_live_that_starts_within_sees_it_at_once() -> None:
    """The first settings are built with the override on them."""
    store = MemoryStore()
    store.put(PREFIX + "debug", "false")
    with Source(store=store, prefix=PREFIX) as source, override(source, {"debug": True}), Live(source.tree) as live:
        assert {"debug": "true"} == live.current

"""The proxy stands for the newest settings."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from etcd_settings import Live
from etcd_settings.errors import NotStartedError
from tests.living import App, Database, Settings


def test_it_is_always_the_newest(app: App) -> None:
    """One object, held from the start, sees every reload."""
    live = Live(app.load)
    settings = live.proxy
    with live:
        assert "localhost" == settings.database.host
        live.wait(app.put("database/host", "db2"))

        assert "db2" == settings.database.host
        assert settings is live.proxy


def test_it_passes_for_the_settings(app: App) -> None:
    """Type, text, equality, iteration and methods are theirs."""
    with Live(app.load) as live:
        proxy, current = live.proxy, live.current

        assert isinstance(proxy, Settings)
        assert not isinstance(proxy, Database)
        assert repr(current) == repr(proxy)
        assert str(current) == str(proxy)
        assert proxy == current
        assert current == proxy
        assert proxy == live.proxy
        assert proxy != Settings(debug=True)
        assert dict(current) == dict(proxy)
        assert current.model_dump() == proxy.model_dump()
        assert dir(current) == dir(proxy)
        assert bool(proxy)
        assert current == copy.deepcopy(proxy) == pickle.loads(pickle.dumps(proxy))


def test_it_passes_for_a_mapping(app: App) -> None:
    """Settings may be a dict."""
    app.put("a", "1")
    with Live(app.source.tree) as live:
        assert ("1", 1, True, False) == (live.proxy["a"], len(live.proxy), "a" in live.proxy, "b" in live.proxy)


def test_it_has_no_hash_and_takes_nothing(app: App) -> None:
    """What it equals changes, and what it holds comes from etcd."""
    with Live(app.load) as live:
        proxy: Any = live.proxy
        with pytest.raises(TypeError):
            hash(proxy)
        with pytest.raises(AttributeError, match="read-only"):
            proxy.debug = True
        with pytest.raises(AttributeError, match="read-only"):
            del proxy.debug
        with pytest.raises(AttributeError, match="read-only"):
            proxy.__class__ = Database
        with pytest.raises(AttributeError):
            proxy.nothing  # noqa: B018

    assert live.current.debug is False


def test_before_the_start_it_can_be_looked_at(app: App) -> None:
    """Tools that go through the names of a module must not fail; whoever wants a setting is told."""
    proxy: Any = Live(app.load).proxy

    assert not isinstance(proxy, (type, Settings))
    assert not hasattr(proxy, "__wrapped__")
    assert "not been loaded" in repr(proxy)
    with pytest.raises(NotStartedError):
        proxy.debug  # noqa: B018

"""Whatever comes in the way of a start, a reload or an end, `current` is right and nothing is left running."""

from __future__ import annotations

import asyncio
import functools
import threading
from pathlib import Path
from typing import Any

import pytest

from etcd_settings import Live, Source
from etcd_settings.errors import ClosedError, ConfigurationError, RejectedUpdateError, UnavailableError
from etcd_settings.live.dispatching import Dispatcher
from etcd_settings.snapshot import Snapshot
from etcd_settings.stores.memory import MemoryStore
from tests.forking import in_child, status
from tests.living import App, Settings
from tests.waiting import eventually

QUICK = (0.0, 0.0)


def test_a_change_in_the_midst_of_the_start_is_not_lost(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the thread puts into use at once is not replaced by what the start had built."""
    start = threading.Thread.start
    live = Live(app.load, debounce=QUICK)

    def slow_start(thread: threading.Thread) -> None:
        start(thread)
        if thread.name == "etcd-settings-live":
            app.put("debug", "true")
            eventually(lambda: live._dispatcher.settings.debug)

    monkeypatch.setattr(threading.Thread, "start", slow_start)
    with live:
        assert live.current.debug is True


def test_a_start_without_room_for_a_thread_can_be_repeated(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """It raises, and the next one follows etcd as any other."""

    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    live = Live(app.load)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError):
            live.start()
    with live:
        assert "applied" == live.wait(app.put("debug", "true"))
        assert live.current.debug is True


def test_closing_while_sources_change_hands(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread turns to another source in the moment of the end: neither is followed any more."""
    other = Source("memory://live-races/")
    entered, leave = threading.Event(), threading.Event()
    subscribe = other.reflector.subscribe

    def slow(*args: Any, **kwargs: Any) -> Any:
        entered.set()
        leave.wait(10)
        return subscribe(*args, **kwargs)

    monkeypatch.setattr(other.reflector, "subscribe", slow)
    live = Live(lambda: (app.load().debug and other.tree(), 1), debounce=QUICK).start()
    app.put("debug", "true")
    assert entered.wait(10)
    live.close()
    leave.set()
    thread = live._dispatcher._thread
    assert thread is not None
    thread.join(10)

    assert () == other.reflector.listeners == app.source.reflector.listeners
    other.close()


def test_closing_while_it_starts(app: App) -> None:
    """Whoever starts is told that it is closed; nothing runs."""
    entered, leave = threading.Event(), threading.Event()
    raised: list[BaseException] = []

    def factory() -> Settings:
        entered.set()
        leave.wait(10)
        return app.load()

    live = Live(factory)

    def start() -> None:
        try:
            live.start()
        except ClosedError as e:
            raised.append(e)

    starting = threading.Thread(target=start)
    starting.start()
    assert entered.wait(10)
    live.close()
    leave.set()
    starting.join(10)

    assert 1 == len(raised)
    assert () == app.source.reflector.listeners


def test_nothing_is_built_after_the_end(app: App) -> None:
    """What came while it waited for a burst to end is left alone: no factory, no rejection, no line in the log."""
    calls: list[int] = []

    def factory() -> Settings:
        calls.append(1)
        return app.load()

    with Live(factory, debounce=(30.0, 30.0)) as live:
        app.put("debug", "perhaps")
        eventually(lambda: not live._dispatcher._inbox._news)
    thread = live._dispatcher._thread
    assert thread is not None
    thread.join(10)

    assert 1 == len(calls)
    assert live.rejection is None


def test_a_child_that_only_closes_keeps_the_settings(app: App) -> None:
    """As when a ``with`` is left in a child that never looked at them."""
    app.put("debug", "true")
    with Live(app.load) as live:

        def child() -> None:
            live.close()
            assert live.current.debug is True

        assert 0 == status(in_child(child))


def test_asking_what_a_proxy_is_wakes_nobody_up(app: App) -> None:
    """gevent asks every object in memory, in a child that it is about to patch: no thread may be started by that."""
    with Live(app.load) as live:

        def child() -> None:
            proxy: Any = live.proxy
            assert proxy.__class__ is Settings  # what `isinstance` asks; pydantic 2.7's own asks for more
            assert 1 == threading.active_count()
            assert "current" not in vars(live)

        assert 0 == status(in_child(child))


def test_a_child_of_a_thread_follows_too(app: App) -> None:
    """Threads fork as well, callbacks among them; the child has that one thread."""
    statuses: list[int] = []

    def child() -> None:
        assert live.current.debug
        assert "applied" == live.wait(app.put("database/port", "7"))
        assert 7 == live.current.database.port

    with Live(app.load, debounce=QUICK) as live:
        live.on_change("debug")(lambda _: statuses.append(status(in_child(child))))
        live.wait(app.put("debug", "true"))
        live.wait(app.put("database/host", "later"), timeout=30)

    assert [0] == statuses


def test_a_cancelled_start_leaves_nothing_running(app: App) -> None:
    """``async with`` that is cancelled while the settings load has no end that would close them."""
    entered, leave = threading.Event(), threading.Event()

    def factory() -> Settings:
        entered.set()
        leave.wait(10)
        return app.load()

    live = Live(factory)

    async def main() -> None:
        async def use() -> None:
            async with live:
                raise AssertionError

        using = asyncio.create_task(use())
        while not entered.is_set():
            await asyncio.sleep(0.001)
        using.cancel()
        with pytest.raises(asyncio.CancelledError):
            await using
        leave.set()

    asyncio.run(main())

    assert "closed" == live.status().state
    eventually(lambda: app.source.reflector.listeners == ())


def test_an_older_state_from_a_watch_that_lags_is_left_out(app: App) -> None:
    """A second Live reads ahead of the watch that both share, and must not go back with it."""
    with Live(app.load, debounce=QUICK) as live:
        stale = app.source.snapshot()
        live.wait(app.put("debug", "true"))
        seen: list[bool] = []
        live.on_change(lambda change: seen.append(change.new.debug))
        (follower,) = app.source.reflector.listeners
        follower.take(stale)
        eventually(lambda: not live._dispatcher._inbox._news)
        live.wait(app.put("database/port", "7"))

        assert live.current.debug is True
    assert all(seen)


@pytest.mark.parametrize("leaves", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_a_factory_that_wants_to_leave_is_refused(app: App, leaves: type[BaseException]) -> None:
    """Programs like to exit where settings are wrong; after the start that would end the thread without a word."""

    def factory() -> Settings:
        if app.load().debug:
            raise leaves
        return app.load()

    with Live(factory) as live:
        assert "rejected" == live.wait(app.put("debug", "true"))
        assert live.rejection is not None
        assert leaves.__name__ in str(live.rejection)
        assert "applied" == live.wait(app.put("debug", "false"))


def test_a_factory_that_leaves_at_the_start_does(app: App, tmp_path: Path) -> None:
    """There it is the program's own business, and the source is nobody's any more."""
    with Source(store=app.store, prefix="/config/app/", last_good=tmp_path / "file") as source:

        def factory() -> Settings:
            source.snapshot()
            raise SystemExit(3)

        with pytest.raises(SystemExit):
            Live(factory).start()
        source.refresh()

        assert (tmp_path / "file").exists()


def test_an_error_that_cannot_be_told_is_a_rejection_all_the_same(app: App) -> None:
    """Somebody's exception may fail when it is asked what it says."""

    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def factory() -> Settings:
        if app.load().debug:
            raise MuteError
        return app.load()

    with Live(factory) as live:
        assert "rejected" == live.wait(app.put("debug", "true"))
        assert "Mute" in str(live.rejection)


def test_a_factory_that_reads_nothing_any_more_is_refused(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """A cached function gives the old settings for ever; it does not end the following."""
    cached = functools.cache(app.load)
    with Live(cached) as live:
        assert "rejected" == live.wait(app.put("debug", "true"))
        assert live.rejection is not None
        assert isinstance(live.rejection.error, ConfigurationError)
        assert "cache" in str(live.rejection)
        cached.cache_clear()
        assert "applied" == live.wait(app.put("database/port", "7"))

        assert (True, 7) == (live.current.debug, live.current.database.port)


def test_a_source_that_may_be_missing_is_tried_again(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """A factory that makes do without a source which is away gets it when it is there, though nothing else changes."""
    monkeypatch.setattr("etcd_settings.live.dispatching._FIRST_RETRY", 0.01)
    away = MemoryStore()
    away.put("/config/value", "2")
    read = away.read

    def fail(*_: Any, **__: Any) -> Any:
        raise UnavailableError({"elsewhere": "connection refused"})

    monkeypatch.setattr(away, "read", fail)

    def factory() -> str:
        app.source.tree()
        try:
            return str(other.tree()["value"])
        except UnavailableError:
            return ""

    with Source(store=away, prefix="/config/") as other, Live(factory) as live:
        assert "" == live.current
        monkeypatch.setattr(away, "read", read)

        eventually(lambda: live.current == "2")


def test_a_source_that_comes_in_can_be_waited_for(app: App) -> None:
    """What it held when it was first read is in use, and so are its earlier revisions."""
    store = MemoryStore.shared("live-comes-in")
    revision = store.put("/value", "2")
    with (
        Source("memory://live-comes-in/") as other,
        Live(lambda: other.tree() if app.load().debug else app.source.tree()) as live,
    ):
        live.wait(app.put("debug", "true"))

        assert "applied" == live.wait(revision, timeout=0, source=other)


def test_what_was_refused_for_another_s_sake_is_applied_with_it(app: App) -> None:
    """Of two sources one is wrong; when it is mended, what came from the other meanwhile is in use."""
    store = MemoryStore.shared("live-sake")
    with Source("memory://live-sake/") as other, Live(lambda: (app.load(), other.tree())) as live:
        live.wait(app.put("debug", "perhaps"))
        revision = store.put("/value", "2")
        assert "rejected" == live.wait(revision, source=other)
        live.wait(app.put("debug", "true"))

        assert {"value": "2"} == live.current[1]
        assert "applied" == live.wait(revision, timeout=0, source=other)


def test_settings_that_cannot_be_compared_are_a_change(app: App) -> None:
    """Somebody's mapping may fail when it is gone through: that keeps no settings out."""

    class Odd(dict[str, str]):
        def __iter__(self) -> Any:
            raise RuntimeError

        keys = __iter__

    with Live(lambda: Odd(app.source.tree())) as live:
        before = live.current
        assert "applied" == live.wait(app.put("a", "1"))

        assert before is not live.current


def test_losing_every_key_of_every_layer_at_once_is_refused(app: App) -> None:
    """One layer may go; the last one may not, and the factory is not even asked."""
    with (
        Source(store=app.store, prefix="/config/app/", layers=["low/", "high/"]) as source,
        Live(lambda: source.load(Settings)) as live,
    ):
        live.wait(app.put("low/debug", "true"))
        live.wait(app.put("high/database/host", "db1"))
        assert "applied" == live.wait(app.delete("high/database/host"))
        assert "rejected" == live.wait(app.delete("low/debug"))

        assert live.rejection is not None
        assert isinstance(live.rejection.error, RejectedUpdateError)
        assert live.current.debug is True


def test_an_infinite_quiet_time_is_refused(app: App) -> None:
    """There would never be a reload."""
    with pytest.raises(ConfigurationError, match="debounce"):
        Live(app.load, debounce=(float("inf"), float("inf")))


def test_a_restore_to_the_same_settings_starts_counting_anew(app: App) -> None:
    """The revisions of before the restore are answers no more."""
    dispatcher: Dispatcher[Settings] = Dispatcher(
        app.load,
        Live(app.load)._dispatcher._timing,
        allow_empty=False,
        on_reject=None,
        swap=lambda _: None,
    )
    decisions, source = dispatcher.decisions, app.source
    at_13, at_8 = (Snapshot(app.source.snapshot().layers, revision, 7) for revision in (13, 8))
    decisions.record(source, at_13, "applied")
    decisions.confirm(source, at_8)

    assert "applied" == decisions.on(source, 8)
    assert None is decisions.on(source, 9)

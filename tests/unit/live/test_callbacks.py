"""Who wants to know of changes is told, each where it wants to be told."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from collections.abc import Sized
from functools import partial
from typing import Any

import pytest

from etcd_settings import Change, Live, Rejection
from etcd_settings.errors import ClosedError, NotStartedError
from etcd_settings.integrations.pydantic_settings import EtcdBaseSettings, EtcdSettingsConfigDict
from etcd_settings.live import Changes
from tests.living import App, Database, Settings
from tests.waiting import eventually

QUICK = (0.0, 0.0)


def _is_longer(what: Sized, than: int) -> bool:
    return len(what) > than


def test_a_change_says_what_changed(app: App) -> None:
    """Old and new settings, whole, with the paths that differ and the revision."""
    changes: list[Change[Settings]] = []
    with Live(app.load) as live:
        live.on_change(changes.append)
        revision = app.put("database/host", "db2")
        eventually(lambda: changes)

    assert ("localhost", "db2") == (changes[0].old.database.host, changes[0].new.database.host)
    assert (frozenset({"database.host"}), revision) == (changes[0].paths, changes[0].revision)
    assert "db2" not in repr(changes[0])


def test_every_spelling_registers(app: App) -> None:
    """Bare, with parentheses, with paths; what comes back is called as the function was."""
    told: list[str] = []
    live = Live(app.load, debounce=QUICK)

    @live.on_change
    def bare(change: Change[Settings]) -> str:
        """Say bare."""
        told.append("bare")
        return "bare"

    @live.on_change()
    def empty(change: Change[Settings]) -> None:
        told.append("empty")

    @live.on_change("database", "hosts")
    def branch(change: Change[Settings]) -> None:
        told.append("branch")

    @live.on_change("database.port")
    def leaf(change: Change[Settings]) -> None:
        told.append("leaf")

    with live:
        app.put("database/host", "db2")
        eventually(lambda: len(told) >= 3)
        app.put("database/port", "1")
        eventually(lambda: len(told) >= 7)

    assert ["bare", "empty", "branch", "bare", "empty", "branch", "leaf"] == told
    assert "bare" == bare(Change(live.current, live.current, frozenset(), 1))
    assert ("bare", "Say bare.") == (bare.__name__, bare.__doc__)


def test_what_is_no_function_and_no_path_is_refused(app: App) -> None:
    """A number is neither."""
    with pytest.raises(TypeError):
        Live(app.load).on_change(1)  # type: ignore[call-overload]  # that is the point


def test_a_cancelled_one_is_not_called(app: App) -> None:
    """Also if it is cancelled by one that is called before it, and twice."""
    told: list[str] = []
    with Live(app.load, debounce=QUICK) as live:

        @live.on_change
        def first(change: Change[Settings]) -> None:
            told.append("first")
            second.cancel()
            second.cancel()

        @live.on_change
        def second(change: Change[Settings]) -> None:
            told.append("second")

        for value in ("true", "false"):
            count = len(told)
            app.put("debug", value)
            eventually(partial(_is_longer, told, count))

    assert {"first"} == set(told)


def test_one_that_raises_harms_nobody(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """The others are told, the next change comes, and the log has its name and place and no message."""
    told: list[int] = []
    with Live(app.load, debounce=QUICK) as live:

        @live.on_change
        def broken(change: Change[Settings]) -> None:
            raise ValueError(f"port is {change.new.database.port}")

        @live.on_change
        def leaves(change: Change[Settings]) -> None:
            raise SystemExit(1)

        live.on_change(lambda change: told.append(change.new.database.port))
        for port in (4711, 4712):
            app.put("database/port", str(port))
            eventually(partial(told.__contains__, port))

    assert [4711, 4712] == told
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert 4 == len(errors)
    assert "broken" in errors[0]
    assert "ValueError" in errors[0]
    assert "test_callbacks.py" in errors[0]
    assert "4711" not in caplog.text


def test_callbacks_run_on_one_thread_that_is_not_the_watch_s(app: App) -> None:
    """One after the other, and so does the factory, after the start."""
    threads: list[str] = []

    def factory() -> Settings:
        threads.append(threading.current_thread().name)
        return app.load()

    with Live(factory, debounce=QUICK) as live:
        live.on_change(lambda _: threads.append(threading.current_thread().name))
        app.put("debug", "true")
        eventually(lambda: len(threads) == 3)

    assert ["etcd-settings-live"] * 2 == threads[1:]


@pytest.mark.parametrize("what", ["close", "wait"])
def test_closing_and_waiting_within_a_callback_raise(app: App, what: str) -> None:
    """They would wait for the callback itself."""
    raised: list[BaseException] = []
    with Live(app.load, debounce=QUICK) as live:

        @live.on_change
        def deadlock(change: Change[Settings]) -> None:
            try:
                live.close() if what == "close" else live.wait(change.revision)
            except RuntimeError as e:
                raised.append(e)

        app.put("debug", "true")
        eventually(lambda: raised)

    assert what in str(raised[0])


def test_closing_does_not_wait_for_a_callback(app: App) -> None:
    """It takes at most a second; those that have not begun are not called any more."""
    entered, leave, told = threading.Event(), threading.Event(), list[str]()
    live = Live(app.load, debounce=QUICK).start()

    @live.on_change
    def slow(change: Change[Settings]) -> None:
        entered.set()
        leave.wait(30)

    live.on_change(lambda _: told.append("late"))
    app.put("debug", "true")
    assert entered.wait(10)

    closing = threading.Thread(target=live.close)
    closing.start()
    closing.join(5)
    assert not closing.is_alive()
    assert not leave.is_set()
    thread = live._dispatcher._thread
    leave.set()
    assert thread is not None
    thread.join(10)

    assert [] == told


def test_closing_ends_those_who_wait(app: App) -> None:
    """They are told that it is closed."""
    raised: list[BaseException] = []
    live = Live(app.load).start()

    def wait() -> None:
        try:
            live.wait(1_000, timeout=30)
        except ClosedError as e:
            raised.append(e)

    waiting = threading.Thread(target=wait)
    waiting.start()
    eventually(lambda: live._dispatcher.decisions._waiting)
    live.close()
    waiting.join(10)

    assert 1 == len(raised)


def test_a_rejection_is_told_by_the_same_thread(app: App) -> None:
    """One that raises there is logged too."""
    threads: list[str] = []

    def complain(rejection: Rejection) -> None:
        threads.append(threading.current_thread().name)
        raise ValueError

    with Live(app.load, on_reject=complain) as live:
        app.put("debug", "perhaps")
        eventually(lambda: threads)
        live.wait(app.put("debug", "true"))

    assert ["etcd-settings-live"] == threads


def test_pydantic_settings_own_cache_is_cleared(app: App) -> None:
    """`settings_cached()` gives what `current` gives, after a change, also when asked in a callback."""

    class Cached(EtcdBaseSettings):
        model_config = EtcdSettingsConfigDict(etcd_url=app.source)
        debug: bool = False

    if not hasattr(Cached, "settings_cached"):
        pytest.skip("this pydantic-settings has no such cache")
    with Live(Cached) as live:
        assert Cached.settings_cached().debug is False

        live.wait(app.put("debug", "true"))

        assert Cached.settings_cached().debug is True


def test_async_callbacks_run_on_the_loop_that_registered_them(app: App) -> None:
    """One after the other, in order; one that raises harms nobody."""

    async def main() -> list[tuple[int, bool]]:
        told: list[tuple[int, bool]] = []
        done, loop = asyncio.Event(), asyncio.get_running_loop()
        async with Live(app.load, debounce=QUICK) as live:

            @live.on_change
            async def broken(change: Change[Settings]) -> None:
                raise ValueError

            @live.on_change("database")
            async def slow(change: Change[Settings]) -> None:
                await asyncio.sleep(0)
                told.append((change.new.database.port, asyncio.get_running_loop() is loop))
                if change.new.database.port == 3:
                    done.set()

            for port in (1, 2, 3):
                assert "applied" == await live.wait_async(app.put("database/port", str(port)))
            await asyncio.wait_for(done.wait(), 10)
        return told

    assert [(1, True), (2, True), (3, True)] == asyncio.run(main())


def test_closing_and_waiting_within_an_async_callback_raise(app: App) -> None:
    """As in the others."""

    async def main() -> list[str]:
        raised: list[str] = []
        done = asyncio.Event()
        async with Live(app.load) as live:

            @live.on_change
            async def deadlock(change: Change[Settings]) -> None:
                for call in (live.close, lambda: live.wait(change.revision)):
                    try:
                        call()
                    except RuntimeError as e:
                        raised.append(str(e).partition("(")[0])
                try:
                    await live.wait_async(change.revision)
                except RuntimeError as e:
                    raised.append(str(e).partition("(")[0])
                done.set()

            app.put("debug", "true")
            await asyncio.wait_for(done.wait(), 10)
        return raised

    assert ["close", "wait", "wait_async"] == asyncio.run(main())


def test_an_async_callback_that_waits_for_its_turn_is_not_called_after_close(app: App) -> None:
    """The one that runs goes on to its end."""

    async def main() -> list[int]:
        told: list[int] = []
        running, closed = asyncio.Event(), asyncio.Event()
        async with Live(app.load, debounce=QUICK) as live:

            @live.on_change
            async def slow(change: Change[Settings]) -> None:
                running.set()
                await closed.wait()
                told.append(change.new.database.port)

            await live.wait_async(app.put("database/port", "1"))
            await asyncio.wait_for(running.wait(), 10)
            await live.wait_async(app.put("database/port", "2"))
        closed.set()
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.01)
        return told

    assert [1] == asyncio.run(main())


def test_an_async_callback_without_a_loop_is_a_mistake(app: App) -> None:
    """It is told where it is registered, for rejections too."""

    async def callback(_: Any) -> None: ...

    with pytest.raises(TypeError, match="callback"):
        Live(app.load).on_change(callback)
    with pytest.raises(TypeError, match="callback"):
        Live(app.load, on_reject=callback)


def test_a_loop_that_is_gone_harms_nobody(app: App) -> None:
    """Its callbacks and iterations are left out, and the others are told."""
    told: list[int] = []
    live = Live(app.load, debounce=QUICK)

    async def register() -> Any:
        async def callback(_: Any) -> None:
            told.append(-1)

        live.on_change(callback)
        return live.changes()

    kept = asyncio.run(register())
    with live:
        live.on_change(lambda change: told.append(change.new.database.port))
        for port in (1, 2):
            app.put("database/port", str(port))
            eventually(partial(told.__contains__, port))

    assert [1, 2] == told
    assert kept is not None


def test_iterating_over_changes(app: App) -> None:
    """Whoever is slow gets one change for all that happened meanwhile; it ends with the Live."""

    async def main() -> list[Change[Settings]]:
        async with Live(app.load, debounce=QUICK) as live:
            changes = live.changes("database")
            for port in (1, 2, 3):
                await live.wait_async(app.put("database/port", str(port)))
            last = app.put("database/host", "db2")
            seen: list[Change[Settings]] = []
            async for change in changes:
                seen.append(change)
                if change.revision == last:
                    break
            closing = asyncio.get_running_loop().run_in_executor(None, live.close)
            assert [] == [change async for change in changes]
            await closing
            assert [] == [change async for change in live.changes()]
        return seen

    seen = asyncio.run(main())

    assert (5432, "localhost") == (seen[0].old.database.port, seen[0].old.database.host)
    assert (3, "db2") == (seen[-1].new.database.port, seen[-1].new.database.host)
    assert "database.port" in seen[0].paths
    assert len(seen) < 4


def test_there_and_back_again_is_no_change_for_who_is_slow(app: App) -> None:
    """Of what happened while nobody looked, only what is left of it comes; paths that do not matter are left out."""

    async def main() -> list[Change[Settings]]:
        async with Live(app.load, debounce=QUICK) as live:
            changes: Changes[Settings] = live.changes("database", "hosts")
            old, other = live.current, Settings(debug=True)
            changed = Settings(database=Database(port=1))
            for before, after, path in [(old, changed, "database.port"), (changed, old, "database.port")]:
                changes.offer(Change(before, after, frozenset({path}), 2))
            changes.offer(Change(old, other, frozenset({"debug"}), 3))
            changes.end()
            return [change async for change in changes]

    assert [] == asyncio.run(main())


def test_leaving_an_iteration_leaves_nothing_behind(app: App) -> None:
    """Nobody has to close it."""

    async def main() -> int:
        async with Live(app.load, debounce=QUICK) as live:
            changes = live.changes()
            await changes.aclose()
            assert [] == [change async for change in changes]
            del changes
            return len(live._dispatcher.callbacks._iterations)

    assert 0 == asyncio.run(main())


def test_waiting_on_a_loop(app: App) -> None:
    """It gives what waiting gives, and does not hold up the loop."""

    async def main() -> None:
        live = Live(app.load)
        with pytest.raises(NotStartedError):
            await live.wait_async(1)
        async with live:
            assert "rejected" == await live.wait_async(app.put("debug", "perhaps"))
            assert "applied" == await live.wait_async(app.put("debug", "true"))
            assert "applied" == await live.wait_async(app.store.put("/elsewhere", "1"))
            with pytest.raises(TimeoutError):
                await live.wait_async(1_000, 0.01)

    asyncio.run(main())


def test_one_function_may_be_registered_twice(app: App) -> None:
    """Decorators stack: each has paths of its own, and is cancelled by itself."""
    told: list[frozenset[str]] = []
    with Live(app.load, debounce=QUICK) as live:

        @live.on_change("debug")
        @live.on_change("database")
        def both(change: Change[Settings]) -> None:
            told.append(change.paths)

        app.put("debug", "true")
        eventually(lambda: len(told) == 1)
        app.put("database/port", "1")
        eventually(lambda: len(told) == 2)
        both.cancel()
        live.wait(app.put("debug", "false"))
        app.put("database/port", "2")
        eventually(lambda: len(told) == 3)

    assert [{"debug"}, {"database.port"}, {"database.port"}] == told


def test_an_async_function_may_be_registered_twice(app: App) -> None:
    """The outer one runs on the loop too."""

    async def main() -> list[frozenset[str]]:
        told: list[frozenset[str]] = []
        async with Live(app.load, debounce=QUICK) as live:
            done = asyncio.Event()

            @live.on_change("debug")
            @live.on_change("database")
            async def both(change: Change[Settings]) -> None:
                told.append(change.paths)
                done.set()

            app.put("debug", "true")
            await asyncio.wait_for(done.wait(), 20)
        return told

    assert [{"debug"}] == asyncio.run(main())


def test_an_async_callback_that_awaited_something_cancelled_harms_nobody(app: App) -> None:
    """Its own task is not cancelled, so those that wait behind it are called."""

    async def main() -> None:
        async with Live(app.load, debounce=QUICK) as live:
            done = asyncio.Event()

            @live.on_change
            async def broken(_: Change[Settings]) -> None:
                raise asyncio.CancelledError

            @live.on_change
            async def behind(_: Change[Settings]) -> None:
                done.set()

            app.put("debug", "true")
            await asyncio.wait_for(done.wait(), 20)

    asyncio.run(main())


def test_loops_that_are_gone_are_not_kept(app: App) -> None:
    """A program that makes a loop for each task, and cancels what it registered there, keeps none of them."""
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []
    with Live(app.load, debounce=QUICK) as live:

        async def main(port: int) -> None:
            loops.append(weakref.ref(asyncio.get_running_loop()))
            done = asyncio.Event()

            async def callback(_: Change[Settings]) -> None:
                done.set()

            subscription = live.on_change(callback)
            app.put("database/port", str(port))
            await asyncio.wait_for(done.wait(), 20)
            subscription.cancel()

        for port in range(3):
            asyncio.run(main(port))
        gc.collect()

        assert [None] * 3 == [loop() for loop in loops]

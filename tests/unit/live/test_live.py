"""`Live` gives whole and valid settings, follows changes, and refuses what is wrong."""

from __future__ import annotations

import gc
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel

from etcd_settings import Change, InvalidSettingsError, Live, Rejection, Source, UnavailableError
from etcd_settings.errors import ClosedError, ConfigurationError, NotStartedError, RejectedUpdateError
from etcd_settings.stores.memory import MemoryStore
from tests.forking import in_child, status
from tests.living import App, Database, Settings
from tests.waiting import eventually

QUICK = (0.0, 0.0)


def test_a_change_becomes_the_current_settings(app: App) -> None:
    """What is written is in use soon, and the old object stays as it was."""
    app.put("database/host", "db1")
    with Live(app.load) as live:
        before = live.current

        assert "applied" == live.wait(app.put("database/host", "db2"))

        assert "db2" == live.current.database.host
        assert "db1" == before.database.host


def test_before_the_start_there_is_nothing(app: App) -> None:
    """Whatever needs settings says that they have not been loaded; nothing is read."""
    live = Live(app.load)

    for access in (lambda: live.current, lambda: live.proxy.debug, lambda: live.wait(1)):
        with pytest.raises(NotStartedError):
            access()
    assert "empty" == live.status().state == app.source.status().state
    assert not hasattr(type(live), "current")


def test_after_the_end_the_settings_stay_readable(app: App) -> None:
    """Closing ends the following, and nothing else: not the source, not what was read."""
    with Live(app.load) as live:
        live.wait(app.put("debug", "true"))
    app.put("debug", "false")

    assert live.current.debug is True
    assert "closed" == live.status().state
    assert app.source.load(Settings).debug is False or app.source.refresh()
    with pytest.raises(ClosedError):
        live.start()
    with pytest.raises(ClosedError):
        live.wait(10_000)


def test_starting_and_closing_twice_is_harmless(app: App) -> None:
    """Only one thread runs, and it is gone in the end."""
    before = threading.active_count()
    live = Live(app.load)

    assert live is live.start() is live.start()
    assert before + 2 == threading.active_count()
    live.close()
    live.close()
    Live(app.load).close()

    assert "etcd-settings-live" not in {thread.name for thread in threading.enumerate()}


def test_starting_within_the_factory_is_a_mistake(app: App) -> None:
    """It would wait for itself; afterwards it can be started as ever."""
    starts: list[Callable[[], object]] = [lambda: live.start(), lambda: None]

    def factory() -> Settings:
        starts.pop(0)()
        return app.load()

    live = Live(factory)
    with pytest.raises(RuntimeError, match="within the factory"):
        live.start()
    with live:
        assert live.current.debug is False


def test_many_threads_may_start_it(app: App) -> None:
    """The factory is called once, and everybody finds settings."""
    calls: list[int] = []
    gate = threading.Barrier(8)

    def factory() -> Settings:
        calls.append(1)
        return app.load()

    live = Live(factory)
    found: list[Settings] = []

    def use() -> None:
        gate.wait()
        found.append(live.start().current)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    live.close()

    assert 1 == len(calls)
    assert [found[0]] * 8 == found


def test_settings_that_are_wrong_at_the_start_are_an_error(app: App) -> None:
    """It raises, holds nothing, and may be started again when they are right."""
    app.put("database/port", "hunter2")
    live = Live(app.load)

    with pytest.raises(InvalidSettingsError, match="port") as caught:
        live.start()
    app.put("database/port", "1")
    live.start()
    live.close()

    assert "hunter2" not in f"{caught.value!r}{caught.value.__context__!r}{caught.value.__cause__!r}"
    assert 1 == live.current.database.port


def test_an_outage_at_the_start_is_an_error() -> None:
    """Nothing is served that was never read."""
    with Source("etcd://127.0.0.1:1/config/app/?timeout=1") as source, pytest.raises(UnavailableError):
        Live(source.tree).start()


def test_a_wrong_update_is_refused(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """The settings in use stay; the rejection is kept, told once and logged in one line; no input shows."""
    told: list[Rejection] = []
    with Live(app.load, on_reject=told.append) as live:
        kept = live.current
        revision = app.put("database/port", "hunter2")

        assert "rejected" == live.wait(revision)

        assert kept is live.current
        assert live.rejection is not None
        assert revision == live.rejection.revision
        assert isinstance(live.rejection.error, InvalidSettingsError)
        assert ("database", "port") == live.rejection.error.errors[0]["loc"]
        assert live.rejection == live.status().rejection
        live.wait(app.put("debug", "true"))  # rejections come one after the other
    assert told
    assert [live.rejection] == told[-1:]
    records = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == len(records) == 2
    assert not any("\n" in record.getMessage() for record in records)
    assert "/config/app/database/port" in records[0].getMessage()
    assert "hunter2" not in f"{caplog.text}{told!r}{told[0].error.args}{vars(told[0].error)}"


def test_the_next_good_update_clears_a_rejection(app: App) -> None:
    """Also if that only takes the wrong value away, so that nothing changed in the end."""
    changes: list[Change[Settings]] = []
    with Live(app.load) as live:
        live.on_change(changes.append)
        live.wait(app.put("debug", "perhaps"))
        assert live.rejection is not None

        assert "applied" == live.wait(app.delete("debug"))

        assert live.status().rejection is None
        assert "applied" == live.wait(app.put("debug", "true"))
    assert [frozenset({"debug"})] == [change.paths for change in changes]


def test_the_same_wrong_state_is_told_once(app: App) -> None:
    """Reading everything again, as after a lost connection, finds the same and is silent."""
    told: list[Rejection] = []
    with Live(app.load, on_reject=told.append, relist=0.02) as live:
        live.wait(app.put("debug", "perhaps"))
        reads = _count_reads(app)
        eventually(lambda: reads() > 5)

        assert 1 == len(told)
        assert live.rejection is told[0]


def test_a_relist_that_finds_the_same_is_silent(app: App) -> None:
    """The factory is not even called."""
    calls: list[int] = []

    def factory() -> Settings:
        calls.append(1)
        return app.load()

    with Live(factory, relist=0.02) as live:
        reads = _count_reads(app)
        eventually(lambda: reads() > 5)

        assert 0 == live.status().reloads
    assert 1 == len(calls)


def test_a_relist_finds_what_the_watch_missed(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch may go on and tell nothing; hence everything is read again now and then."""
    monkeypatch.setattr(MemoryStore, "_tell", lambda self: None)
    with Live(app.load, relist=0.02) as live:
        app.put("debug", "true")

        eventually(lambda: live.current.debug)


def _count_reads(app: App) -> Callable[[], int]:
    count, read = [0], app.store.read

    def counted(*args: Any, **kwargs: Any) -> Any:
        count[0] += 1
        return read(*args, **kwargs)

    app.store.read = counted  # type: ignore[method-assign]  # only here
    return lambda: count[0]


def test_losing_every_key_is_refused(app: App) -> None:
    """A deletion of everything is mostly a mistake; writing something again mends it."""
    app.put("debug", "true")
    with Live(app.load) as live:
        assert "rejected" == live.wait(app.delete("debug"))

        assert live.rejection is not None
        assert isinstance(live.rejection.error, RejectedUpdateError)
        assert "allow_empty" in str(live.rejection.error)
        assert live.current.debug is True
        assert "applied" == live.wait(app.put("hosts", '["a"]'))
        assert (False, ["a"]) == (live.current.debug, live.current.hosts)


def test_losing_every_key_may_be_allowed(app: App) -> None:
    """Then the defaults are in use. An empty start is nothing wrong in any case."""
    with Live(app.load, allow_empty=True) as live:
        live.wait(app.put("debug", "true"))

        assert "applied" == live.wait(app.delete("debug"))

        assert live.current.debug is False


def test_an_emptied_source_is_not_let_in_with_another_change(app: App) -> None:
    """A change elsewhere does not make the loss of every key right."""
    with Source("memory://live-other/config/") as other:
        other.store.put("/config/debug", "true")
        with Live(lambda: (app.load(), other.load(Settings))) as live:
            live.wait(app.put("debug", "true"))
            live.wait(app.delete("debug"))

            written = other.store.put("/config/debug", "false")

            assert "rejected" == live.wait(written, source=other)
            assert live.current[0].debug is True
        MemoryStore.shared("live-other").delete("/config/debug")


def test_a_burst_is_one_reload(app: App) -> None:
    """Within the debounce time, a hundred writes make one candidate, the last."""
    calls: list[int] = []

    def factory() -> Settings:
        calls.append(1)
        return app.load()

    with Live(factory, debounce=(0.2, 10.0)) as live:
        for number in range(100):
            revision = app.put("database/port", str(number))
        live.wait(revision)

        assert 99 == live.current.database.port
    assert 2 == len(calls)


def test_an_endless_burst_does_not_hold_up_reloads(app: App) -> None:
    """After the longest time a candidate is built, quiet or not."""
    with Live(app.load, debounce=(0.1, 0.2)) as live:
        ports = iter(range(1, 1_000_000))

        def write_and_look() -> bool:
            app.put("database/port", str(next(ports)))
            return live.current.database.port > 0

        eventually(write_and_look)  # it writes every few milliseconds, more often than the quiet time


def test_a_change_of_keys_that_no_setting_takes_is_no_change(app: App) -> None:
    """It is applied, and nobody is told."""
    changes: list[Change[Settings]] = []
    with Live(app.load) as live:
        live.on_change(changes.append)

        assert "applied" == live.wait(app.put("of/others", "1"))
        assert "applied" == live.wait(app.put("debug", "true"))

        assert 1 == live.status().reloads
    assert 1 == len(changes)


def test_a_revision_that_touches_nothing_of_ours(app: App) -> None:
    """It counts as applied once the store says that nothing up to it is missing."""
    with Live(app.load) as live:
        assert "applied" == live.wait(app.store.put("/elsewhere", "1"))


def test_an_old_revision_is_answered_at_once(app: App) -> None:
    """Each gets the decision that covered it."""
    with Live(app.load, debounce=QUICK) as live:
        bad = app.put("debug", "perhaps")
        assert "rejected" == live.wait(bad)
        good = app.put("debug", "true")
        assert "applied" == live.wait(good)

        assert ["applied", "rejected", "applied"] == [live.wait(r, timeout=0) for r in (bad - 1, bad, good)]


def test_a_revision_that_does_not_come(app: App) -> None:
    """Waiting ends in time."""
    with Live(app.load) as live, pytest.raises(TimeoutError):
        live.wait(1_000, timeout=0.01)


class Pair(NamedTuple):
    left: str
    right: str


def test_a_factory_sees_one_state_of_a_source_however_often_it_reads(app: App) -> None:
    """What is written while it runs is seen by the next candidate alone, whole."""
    app.put("left", "1")
    app.put("right", "1")
    writing = threading.Event()

    def factory() -> Pair:
        left = app.source.tree()["left"]
        if writing.is_set():
            writing.clear()
            for path in ("left", "right"):
                app.put(path, "3")
        return Pair(left, app.source.snapshot(max_age=0)["right"].text + app.source.refresh()["right"].text)

    with Live(factory, debounce=QUICK) as live:
        seen: list[Pair] = []
        live.on_change(lambda change: seen.append(change.new))
        writing.set()
        live.wait(app.put("left", "2"))
        live.wait(app.put("end", "1"))

        assert Pair("3", "33") == live.current
    assert Pair("2", "11") == seen[0]


def test_two_sources(app: App) -> None:
    """Each is followed, and keeps its own revisions."""
    other = Source("memory://live-two/config/")
    store = MemoryStore.shared("live-two")
    with other, Live(lambda: Pair(app.source.tree().get("a", ""), other.tree().get("b", ""))) as live:
        live.wait(app.put("a", "1"))
        assert "applied" == live.wait(store.put("/config/b", "2"), source=other)

        assert Pair("1", "2") == live.current
        with Source("memory://live-three/") as third, pytest.raises(ConfigurationError):
            live.wait(1, source=third)


def test_sources_are_found_anew_at_every_build(app: App) -> None:
    """One that settings lead to is followed from then on, and no longer when they lead elsewhere."""
    others = {name: Source(f"memory://live-{name}/") for name in ("x", "y")}
    for name in others:
        MemoryStore.shared(f"live-{name}").put("/value", f"{name}1")
    app.put("name", "x")

    with Live(lambda: others[app.source.tree()["name"]].tree()["value"], debounce=QUICK) as live:
        assert "x1" == live.current
        live.wait(MemoryStore.shared("live-x").put("/value", "x2"), source=others["x"])
        assert "x2" == live.current
        live.wait(app.put("name", "y"))
        assert "y1" == live.current
        live.wait(MemoryStore.shared("live-y").put("/value", "y2"), source=others["y"])

        assert "y2" == live.current
        eventually(lambda: others["x"].status().state != "live")
    for other in others.values():
        other.close()


def test_several_lives_share_a_source(app: App) -> None:
    """Closing one leaves the others, and the source, alone."""
    with Live(app.load) as first, Live(app.source.tree) as second:
        first.close()

        assert "applied" == second.wait(app.put("debug", "true"))

        assert {"debug": "true"} == second.current
        assert first.current.debug is False


def test_init_arguments_and_frozen_models_are_kept(app: App) -> None:
    """Every candidate is a new object from the factory; nothing is changed in place."""

    class Frozen(BaseModel, frozen=True):
        x: int
        debug: bool

    with Live(lambda: Frozen(x=1, debug=app.load().debug)) as live:
        before = live.current
        live.wait(app.put("debug", "true"))

        assert (1, True) == (live.current.x, live.current.debug)
        assert before is not live.current


def test_a_factory_may_raise_anything_and_quote_anything(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """The rejection has the type, and the message with what came from etcd masked."""

    def factory() -> Settings:
        host = app.source.tree().get("host", "")
        if host.startswith("bad"):
            raise LookupError(f"no such host: {host!r}, {host.upper()[:3]}")
        return Settings()

    with Live(factory) as live:
        assert "rejected" == live.wait(app.put("host", "bad-hunter2"))

        assert live.rejection is not None
        assert "LookupError: no such host: '**********'" in str(live.rejection.error)
        assert live.rejection.error.__traceback__ is None
    assert "hunter2" not in caplog.text


def test_an_async_factory_is_a_mistake() -> None:
    """It is told at the start."""

    async def factory() -> Settings:
        return Settings()

    with pytest.raises(ConfigurationError, match="async"):
        Live(factory).start()


@pytest.mark.parametrize("arguments", [{"debounce": 1}, {"debounce": (2, 1)}, {"debounce": (-1, 1)}, {"relist": 0}])
def test_wrong_arguments_are_told_at_once(arguments: dict[str, Any]) -> None:
    """Before anything is read."""
    with pytest.raises(ConfigurationError):
        Live(Settings, **arguments)


def test_the_status_tells_how_it_is_doing(app: App) -> None:
    """What a source says, and connected, reloads and rejection beside it."""
    with Live(app.load) as live:
        eventually(lambda: live.status().connected)
        revision = app.put("debug", "true")
        live.wait(revision)
        status = live.status()

    assert ("live", revision, True, 1, None) == (
        status.state,
        status.revision,
        status.connected,
        status.reloads,
        status.rejection,
    )
    assert live.status().connected is False


def test_a_source_that_is_closed_takes_nothing_away(app: App) -> None:
    """The settings stay, and the status tells."""
    with Live(app.load) as live:
        app.source.close()

        assert live.current.debug is False
        assert live.status().connected is False


def test_after_a_change_the_cache_is_as_new(app: App) -> None:
    """Whoever reads the source in a callback finds at least the revision of the change."""
    seen: list[bool] = []
    with Live(app.load, debounce=QUICK) as live:
        live.on_change(lambda change: seen.append(app.source.snapshot().revision >= change.revision))
        for number in range(20):
            live.wait(app.put("database/port", str(number)))
        live.wait(app.put("debug", "true"))

    assert seen
    assert all(seen)


def test_a_forked_child_goes_on_by_itself(app: App) -> None:
    """It has the same settings at once, hears of changes, and the parent goes on too."""
    app.put("database/host", "db1")
    with Live(app.load) as live:

        def child() -> None:
            assert "current" not in vars(live)
            assert "db1" == live.current.database.host
            assert type(live) is Live
            assert "applied" == live.wait(app.put("database/host", "db2"))
            assert "db2" == live.current.database.host

        assert 0 == status(in_child(child))
        assert "applied" == live.wait(app.put("database/host", "db3"))
        assert "db3" == live.current.database.host


def test_reading_current_is_an_attribute_read(app: App) -> None:
    """Neither a property nor ``__getattr__`` stands in between once it runs."""
    live = Live(app.load)
    asleep = type(live)
    with live:
        assert Live is type(live) is not asleep
        assert live.current is vars(live)["current"]
        assert not hasattr(Live, "__getattr__")


def test_subclasses_stay_what_they_are(app: App) -> None:
    """A class of a user's own keeps its methods, before and after the start."""

    class Mine(Live[Settings]):
        def host(self) -> str:
            return self.current.database.host

    mine = Mine(app.load)
    assert isinstance(mine, Mine)
    with pytest.raises(NotStartedError):
        mine.host()
    with pytest.raises(AttributeError, match="nothing"):
        mine.nothing  # type: ignore[attr-defined]  # noqa: B018
    with mine:
        assert "localhost" == mine.host()
        assert Mine is type(mine)


def test_one_that_is_dropped_unstarted_is_collected(app: App) -> None:
    """Only one that runs is held."""
    import weakref

    gone = weakref.ref(Live(app.load))
    gc.collect()

    assert gone() is None


@pytest.fixture
def _busy_switching() -> Iterator[None]:
    """Have threads take turns more often, which finds more and takes less time."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("_busy_switching")
def test_no_reader_ever_sees_half_of_two(app: App) -> None:
    """Four threads read `current` and `proxy` through a thousand reloads, and each object is whole."""

    def factory() -> Settings:
        port = app.load().database.port
        return Settings(database=Database(port=port, host=str(port)), hosts=[str(port)])

    mixed: list[object] = []
    stop = threading.Event()
    with Live(factory, debounce=QUICK) as live:
        live.wait(app.put("database/port", "0"))

        def read() -> None:
            last = 0
            try:
                while not stop.is_set():
                    for settings in (live.current, live.proxy.model_copy()):
                        port = settings.database.port
                        if not str(port) == settings.database.host == settings.hosts[0] or port < last:
                            mixed.append(settings)
                        last = port
            except Exception as e:  # noqa: BLE001  # it would be lost with the thread
                mixed.append(e)

        readers = [threading.Thread(target=read) for _ in range(4)]
        for reader in readers:
            reader.start()
        for number in range(1, 1_001):
            live.wait(app.put("database/port", str(number)), timeout=30)
        stop.set()
        for reader in readers:
            reader.join(10)

        assert [] == mixed
        assert live.status().reloads >= 1_000

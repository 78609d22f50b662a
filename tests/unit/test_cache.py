"""Freshness, one read at a time, and stale-if-error."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etcd_settings.cache import Cache
from etcd_settings.errors import AuthenticationError, EtcdSettingsError, PermissionDeniedError, UnavailableError
from etcd_settings.freshness import Held, Policy
from etcd_settings.snapshot import Entry, Snapshot
from etcd_settings.testing.clocks import FakeClock
from tests.forking import in_child, status
from tests.waiting import eventually

OUTAGE = UnavailableError({"a:2379": "connection refused"})
REFUSED = AuthenticationError(endpoint="a:2379", user="u")


def snapshot_at(revision: int, *, cluster_id: int = 7) -> Snapshot:
    return Snapshot({"": {"a": Entry("a", b"%d" % revision)}}, revision, cluster_id)


@dataclass
class Script:
    """A store that answers as told; by default with the number of the read as revision."""

    reads: int = 0
    answer: Callable[[int], Snapshot | BaseException] = snapshot_at
    timeouts: list[float] = field(default_factory=list)

    def read(self, timeout: float) -> Snapshot:
        self.reads += 1
        self.timeouts.append(timeout)
        answer = self.answer(self.reads)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def say(self, answer: Snapshot | BaseException) -> None:
        self.answer = lambda _: answer


@pytest.fixture
def time_() -> FakeClock:
    return FakeClock()


@pytest.fixture
def script() -> Script:
    return Script()


def make(
    script: Script,
    time_: FakeClock,
    *,
    ttl: float = 30.0,
    max_stale: float | None = None,
    substitute: Callable[[Exception], Held | None] = lambda _: None,
    accepted: Callable[[Snapshot], None] = lambda _: None,
) -> Cache:
    return Cache(
        script.read,
        Policy(ttl, max_stale),
        name="etcd://a/p/",
        substitute=substitute,
        accepted=accepted,
        clock=time_.clock,
    )


@pytest.fixture
def cache(script: Script, time_: FakeClock) -> Cache:
    return make(script, time_)


def revision(cache: Cache, max_age: float | None = None) -> int:
    return cache.get(timeout=5, max_age=max_age).revision


def name_of(cache: Cache) -> str:
    return cache.state.name


class Gate:
    """A store whose reads wait until the test lets them go; answers in order, the last one for ever."""

    def __init__(self, *answers: Snapshot | BaseException) -> None:
        self.answers = list(answers)
        self.reads = 0
        self.entered, self.leave = threading.Event(), threading.Event()

    def read(self, timeout: float) -> Snapshot:
        answer = self.answers[min(self.reads, len(self.answers) - 1)]
        self.reads += 1
        self.entered.set()
        assert self.leave.wait(10)
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Waiters:
    """Count the threads that wait for another's read."""

    def __init__(self) -> None:
        self.count = 0
        waiters = self

        class CountingEvent(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                waiters.count += 1  # under the GIL of a test that is exact enough: a lost one only makes it wait longer
                return super().wait(timeout)

        self.Event = CountingEvent


@pytest.fixture
def waiters(monkeypatch: pytest.MonkeyPatch) -> Waiters:
    waiters = Waiters()
    monkeypatch.setattr("etcd_settings.cache.threading", waiters)
    return waiters


# --- freshness ---


def test_within_the_ttl_nothing_is_read(cache: Cache, script: Script, time_: FakeClock) -> None:
    """While the snapshot is younger than the TTL it is the very same object, and the store is not asked."""
    first = cache.get(timeout=5)
    time_.tick(29.9)

    assert first is cache.get(timeout=5)
    assert 1 == script.reads


def test_after_the_ttl_it_is_read_once(cache: Cache, script: Script, time_: FakeClock) -> None:
    """The TTL over, the next caller reads, and the TTL begins anew."""
    revision(cache)
    time_.tick(30)

    assert [2, 2] == [revision(cache), revision(cache)]
    time_.tick(29.9)
    assert 2 == revision(cache)
    assert 2 == script.reads


def test_max_age_decides_for_one_call(cache: Cache, time_: FakeClock) -> None:
    """`max_age` takes the place of the TTL for that call: shorter reads earlier, longer reads later, 0 reads always."""
    revision(cache)
    time_.tick(10)

    assert 1 == revision(cache, max_age=11)
    assert 2 == revision(cache, max_age=10)
    assert 3 == revision(cache, max_age=0)
    time_.tick(100)
    assert 3 == revision(cache, max_age=101)


def test_without_a_ttl_every_call_reads(script: Script, time_: FakeClock) -> None:
    """A TTL of 0 caches nothing."""
    cache = make(script, time_, ttl=0)

    assert [1, 2, 3] == [revision(cache) for _ in range(3)]


def test_with_an_endless_ttl_only_max_age_reads(script: Script, time_: FakeClock) -> None:
    """An infinite TTL never ends by itself."""
    cache = make(script, time_, ttl=float("inf"))
    revision(cache)
    time_.tick(1e9)

    assert 1 == revision(cache)
    assert 2 == revision(cache, max_age=5)


def test_the_read_gets_the_callers_time(cache: Cache, script: Script) -> None:
    """The store is told how much time the caller has."""
    cache.get(timeout=1.5)

    assert [1.5] == script.timeouts


def test_age_counts_from_the_question(script: Script, time_: FakeClock) -> None:
    """What took three seconds to read is three seconds old: it may be as old as the question."""

    def slow(number: int) -> Snapshot:
        time_.tick(3)
        return snapshot_at(number)

    script.answer = slow
    cache = make(script, time_)
    revision(cache)

    assert cache.state.held is not None
    assert 3 == time_.clock.timer() - cache.state.held.read_at
    assert 2 == revision(cache, max_age=2)


def test_peeking_never_reads(cache: Cache, script: Script, time_: FakeClock) -> None:
    """A peek gives what `get` would give without I/O, and None where `get` would read."""
    assert cache.peek() is None
    revision(cache)
    peeked = cache.peek()
    assert peeked is not None
    assert 1 == peeked.revision
    assert cache.peek(0) is None
    time_.tick(30)

    assert cache.peek() is None
    assert 1 == script.reads


# --- one read at a time ---


def test_fifty_threads_make_one_read(time_: FakeClock, waiters: Waiters) -> None:
    """Whoever asks while a read is under way waits for it, and gets the same object."""
    gate = Gate(snapshot_at(1), snapshot_at(2))
    cache = Cache(gate.read, Policy(), name="x", clock=time_.clock)
    with ThreadPoolExecutor(50) as pool:
        futures = [pool.submit(cache.get, timeout=10) for _ in range(50)]
        eventually(lambda: waiters.count == 49)
        gate.leave.set()
        found = {id(future.result()) for future in futures}

    assert 1 == len(found)
    assert 1 == gate.reads


def test_a_failure_is_everybodys_and_each_gets_an_error_of_its_own(time_: FakeClock, waiters: Waiters) -> None:
    """Threads that wait for a read that fails raise equal errors, not one object that they would all write to."""
    gate = Gate(OUTAGE)
    cache = Cache(gate.read, Policy(), name="x", clock=time_.clock)
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(cache.get, timeout=10) for _ in range(8)]
        eventually(lambda: waiters.count == 7)
        gate.leave.set()
        errors = [future.exception() for future in futures]

    assert {str(OUTAGE)} == {str(error) for error in errors}
    assert 8 == len({id(error) for error in errors})
    assert 1 == gate.reads


def test_a_forced_read_is_not_satisfied_by_one_that_began_before(time_: FakeClock, waiters: Waiters) -> None:
    """`max_age=0` promises what was there when it was called: a read under way may be older, so another follows."""
    gate = Gate(snapshot_at(1), snapshot_at(2))
    cache = Cache(gate.read, Policy(), name="x", clock=time_.clock)
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(cache.get, timeout=10)
        eventually(gate.entered.is_set)
        time_.tick(1)
        forced = [pool.submit(cache.get, timeout=10, max_age=0) for _ in range(4)]
        eventually(lambda: waiters.count == 4)
        gate.leave.set()

        assert 1 == first.result().revision
        assert {2} == {future.result().revision for future in forced}
    assert 2 == gate.reads


def test_a_read_that_ends_just_before_one_begins_is_enough(
    cache: Cache, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who found nothing fresh, and was then overtaken by a whole read of another thread, does not read again."""
    peek, looks = cache.peek, 0

    def slow_peek(max_age: float | None = None) -> Snapshot | None:
        nonlocal looks
        looks += 1
        found = peek(max_age)
        if looks == 2:  # the last look before it begins
            cache.get(timeout=5)
        return found

    monkeypatch.setattr(cache, "peek", slow_peek)

    assert 1 == cache.get(timeout=5).revision
    assert 1 == script.reads


def test_a_waiter_has_a_timeout_of_its_own(time_: FakeClock) -> None:
    """Who waits for another's read waits as long as it said: then it gets what is stale, or an error."""
    gate = Gate(snapshot_at(1))
    cache = Cache(gate.read, Policy(), name="etcd://a/p/", clock=time_.clock)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(cache.get, timeout=10)
        eventually(gate.entered.is_set)
        with pytest.raises(UnavailableError, match="etcd://a/p/: another thread's read did not end within 0 s"):
            cache.get(timeout=0)
        gate.leave.set()
        first.result()

        gate.entered.clear()
        gate.leave.clear()
        time_.tick(31)
        second = pool.submit(cache.get, timeout=10)
        eventually(gate.entered.is_set)
        assert 1 == cache.get(timeout=0).revision
        gate.leave.set()
        second.result()


def test_who_has_no_time_left_does_not_begin_a_read(time_: FakeClock, waiters: Waiters) -> None:
    """A read that was abandoned when a waiter's time was over leaves that waiter an error; nothing counts as failed."""
    gate = Gate(Killed(), snapshot_at(5))
    cache = Cache(gate.read, Policy(), name="x", clock=time_.clock)
    with ThreadPoolExecutor(2) as pool:
        killed = pool.submit(cache.get, timeout=10)
        eventually(gate.entered.is_set)
        other = pool.submit(cache.get, timeout=10)
        eventually(lambda: waiters.count == 1)
        time_.tick(11)
        gate.leave.set()

        assert isinstance(killed.exception(), Killed)
        assert isinstance(other.exception(), UnavailableError)
    assert 1 == gate.reads
    assert cache.state.outage is None


class Killed(BaseException):
    """What KeyboardInterrupt and gevent.Timeout are."""


def test_who_waits_takes_over_from_one_that_was_interrupted(time_: FakeClock, waiters: Waiters) -> None:
    """A reader that is killed in mid-read leaves the read to one of those who wait, and counts as no failure."""
    gate = Gate(Killed(), snapshot_at(5))
    cache = Cache(gate.read, Policy(), name="x", clock=time_.clock)
    with ThreadPoolExecutor(5) as pool:
        killed = pool.submit(cache.get, timeout=10)
        eventually(gate.entered.is_set)
        others = [pool.submit(cache.get, timeout=10) for _ in range(4)]
        eventually(lambda: waiters.count == 4)
        gate.leave.set()

        assert isinstance(killed.exception(), Killed)
        assert {5} == {other.result().revision for other in others}
    assert 2 == gate.reads
    assert cache.state.outage is None


# --- stale if error ---


def test_a_failed_read_serves_what_is_held(cache: Cache, script: Script, time_: FakeClock) -> None:
    """When the store fails the old snapshot is served, and the state says so until a read succeeds."""
    first = cache.get(timeout=5)
    assert "fresh" == name_of(cache)
    script.say(OUTAGE)
    time_.tick(31)

    assert first is cache.get(timeout=5)
    assert "stale" == name_of(cache)
    assert cache.state.outage is not None
    assert str(OUTAGE) == str(cache.state.outage.error)

    script.say(snapshot_at(9))
    time_.tick(1)
    assert 9 == revision(cache)
    assert "fresh" == name_of(cache)


def test_while_the_next_attempt_waits_stale_costs_nothing(cache: Cache, script: Script, time_: FakeClock) -> None:
    """After a failure a second passes before the store is asked again; meanwhile stale is served at once."""
    revision(cache)
    script.say(OUTAGE)
    time_.tick(30)
    revision(cache)
    time_.tick(0.99)

    for _ in range(100):
        revision(cache)
    assert 2 == script.reads
    time_.tick(0.01)
    revision(cache)
    assert 3 == script.reads


def attempts(cache: Cache, script: Script, time_: FakeClock, count: int) -> list[float]:
    """Give the seconds between attempts, for a caller who asks all the time."""
    gaps = []
    for _ in range(count):
        before = script.reads
        assert cache.state.outage is not None
        gap = cache.state.outage.retry_at - time_.clock.timer()
        time_.tick(gap * 0.999)
        revision(cache)
        assert before == script.reads
        time_.tick(gap * 0.001 + 1e-9)
        revision(cache)
        assert before + 1 == script.reads
        gaps.append(gap)
    return gaps


def test_attempts_double_up_to_the_ttl(cache: Cache, script: Script, time_: FakeClock) -> None:
    """The pause between attempts doubles from 1 s to the TTL, and stays there."""
    revision(cache)
    script.say(OUTAGE)
    time_.tick(30)
    revision(cache)

    assert [1, 2, 4, 8, 16, 30, 30] == pytest.approx(attempts(cache, script, time_, 7))


def test_the_first_pause_is_no_longer_than_the_ttl(script: Script, time_: FakeClock) -> None:
    """With a TTL below a second the pause is the TTL."""
    cache = make(script, time_, ttl=0.25)
    revision(cache)
    script.say(OUTAGE)
    time_.tick(1)
    revision(cache)

    assert [0.25, 0.25] == pytest.approx(attempts(cache, script, time_, 2))


def test_pauses_are_spread(script: Script) -> None:
    """The dice take up to half of a pause away, so that processes that failed together do not come back together."""
    time_ = FakeClock(chance=0.0)
    cache = make(script, time_)
    revision(cache)
    script.say(OUTAGE)
    time_.tick(30)
    revision(cache)

    assert [0.5, 1, 2] == pytest.approx(attempts(cache, script, time_, 3))


def test_a_long_outage_does_not_overflow(script: Script, time_: FakeClock) -> None:
    """After thousands of failures a pause is still a number."""
    cache = make(script, time_, ttl=float("inf"))
    revision(cache)
    script.say(OUTAGE)
    for _ in range(1100):
        revision(cache, max_age=0)

    assert cache.state.outage is not None
    assert 1100 == cache.state.outage.failures


def test_force_does_not_wait(cache: Cache, script: Script, time_: FakeClock) -> None:
    """`max_age=0` and `refresh` ask the store whatever pause there is: one serves stale, the other raises."""
    revision(cache)
    script.say(OUTAGE)
    time_.tick(30)
    revision(cache)

    assert 1 == revision(cache, max_age=0)
    with pytest.raises(UnavailableError):
        cache.refresh(timeout=5)
    assert 4 == script.reads


def test_what_is_fresh_is_served_through_a_failed_refresh(cache: Cache, script: Script, time_: FakeClock) -> None:
    """A refresh that fails takes nothing away: within the TTL the snapshot is served as before, and nobody asks."""
    revision(cache)
    script.say(OUTAGE)
    with pytest.raises(UnavailableError):
        cache.refresh(timeout=5)
    time_.tick(29)

    assert 1 == revision(cache)
    assert 2 == script.reads
    assert "stale" == name_of(cache)


def test_a_refresh_gives_what_it_read(cache: Cache) -> None:
    """`refresh` reads in any case, and everybody gets the new snapshot."""
    revision(cache)

    assert 2 == cache.refresh(timeout=5).revision == revision(cache)


def test_max_stale_is_the_end(script: Script, time_: FakeClock) -> None:
    """Until `max_stale` seconds after it was read the snapshot is served, afterwards the error is raised."""
    cache = make(script, time_, max_stale=60)
    revision(cache)
    script.say(OUTAGE)
    time_.tick(60)
    assert 1 == revision(cache)
    time_.tick(0.1)

    with pytest.raises(UnavailableError):
        revision(cache)
    script.say(snapshot_at(3))
    assert 3 == revision(cache)


def test_with_nothing_to_serve_every_call_tries(cache: Cache, script: Script) -> None:
    """Before the first good read there is nothing to serve: each call asks the store, and raises what it raised."""
    script.say(OUTAGE)
    for _ in range(3):
        with pytest.raises(UnavailableError):
            revision(cache)

    assert 3 == script.reads
    assert "empty" == name_of(cache)


def test_a_foreign_error_counts_as_a_failure(cache: Cache, script: Script, time_: FakeClock) -> None:
    """A store that raises something that is not ours is out of order as well."""
    script.say(OSError("disk on fire"))
    with pytest.raises(OSError, match="disk on fire"):
        revision(cache)
    script.say(snapshot_at(1))
    revision(cache)
    script.say(OSError("disk on fire"))
    time_.tick(31)

    assert 1 == revision(cache)


def test_a_substitute_is_served_while_there_is_nothing_else(script: Script, time_: FakeClock) -> None:
    """What stands in for the first read is served like a stale snapshot, with pauses, and gives way to a good read."""
    caches: list[Cache] = []
    cache = make(script, time_, substitute=lambda _: caches[0].hold(snapshot_at(99), age=7, kind="last_good", ttl=0))
    caches.append(cache)
    script.say(OUTAGE)

    assert [99, 99] == [revision(cache), revision(cache)]
    assert 1 == script.reads
    assert "last_good" == name_of(cache)
    time_.tick(1)
    script.say(snapshot_at(5))
    assert 5 == revision(cache)  # a lower revision, but the first that was read
    assert "fresh" == name_of(cache)


def test_emptiness_hides_an_outage_and_nothing_else(script: Script, time_: FakeClock) -> None:
    """An empty stand-in is served in an outage; refused credentials are raised in spite of it."""
    caches: list[Cache] = []
    cache = make(
        script,
        time_,
        substitute=lambda e: (
            caches[0].hold(Snapshot({"": {}}, 0), kind="empty", ttl=0) if isinstance(e, UnavailableError) else None
        ),
    )
    caches.append(cache)
    script.say(OUTAGE)

    assert [0, 0] == [revision(cache), revision(cache)]
    assert ("empty", 1) == (name_of(cache), script.reads)
    script.say(REFUSED)
    time_.tick(1)
    with pytest.raises(AuthenticationError):
        revision(cache)


def test_who_accepted_is_told_of_reads_only(script: Script, time_: FakeClock) -> None:
    """Every snapshot that is read and served is handed on, once; a failure is not."""
    told: list[int] = []
    cache = make(script, time_, accepted=lambda snapshot: told.append(snapshot.revision))
    revision(cache)
    revision(cache)
    script.say(OUTAGE)
    time_.tick(31)
    revision(cache)

    assert [1] == told


# --- what the log says ---


def test_an_outage_is_logged_once_and_so_is_its_end(
    cache: Cache, script: Script, time_: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning for a whole outage, however many attempts fail, and one line when it is over."""
    caplog.set_level(logging.INFO, "etcd_settings")
    revision(cache)
    script.say(OUTAGE)
    for _ in range(20):
        time_.tick(31)
        revision(cache)
    script.say(snapshot_at(2))
    time_.tick(31)
    revision(cache)

    assert [logging.WARNING, logging.INFO] == [record.levelno for record in caplog.records]
    warning, info = (record.getMessage() for record in caplog.records)
    assert "etcd://a/p/" in warning
    assert "revision 1 are served" in warning
    assert str(OUTAGE) in warning
    assert "Reading etcd://a/p/ works again; it is at revision 2." == info


def test_a_second_outage_is_logged_again(
    cache: Cache, script: Script, time_: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Once per outage, not once per process."""
    for answer in (snapshot_at(1), OUTAGE, snapshot_at(2), OUTAGE):
        script.say(answer)
        time_.tick(31)
        revision(cache)

    assert 2 == sum(record.levelno == logging.WARNING for record in caplog.records)


@pytest.mark.parametrize(
    "error", [REFUSED, PermissionDeniedError(endpoint="a:2379", user="u", prefix="/p/")], ids=["password", "permission"]
)
def test_refused_credentials_are_stale_and_an_error_in_the_log(
    cache: Cache, script: Script, time_: FakeClock, caplog: pytest.LogCaptureFixture, error: EtcdSettingsError
) -> None:
    """What no waiting mends is served stale like an outage, and logged as an error, also in the middle of an outage."""
    revision(cache)
    for answer in (OUTAGE, error, OUTAGE, error):
        script.say(answer)
        time_.tick(31)
        assert 1 == revision(cache)

    assert [logging.WARNING, logging.ERROR] == [record.levelno for record in caplog.records]


def test_what_is_raised_is_not_logged(cache: Cache, script: Script, caplog: pytest.LogCaptureFixture) -> None:
    """An error that its caller gets needs no line in the log; the end of such an outage neither."""
    script.say(OUTAGE)
    with pytest.raises(UnavailableError):
        revision(cache)
    script.say(snapshot_at(1))
    revision(cache)

    assert [] == caplog.records


def test_a_foreign_errors_text_is_not_logged(
    cache: Cache, script: Script, time_: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The text of an error that is not ours may hold a value, so that the log tells its type alone."""
    revision(cache)
    script.say(ValueError("hunter2"))
    time_.tick(31)
    revision(cache)

    assert "ValueError" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_closed_cache_does_not_complain(
    cache: Cache, script: Script, time_: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A read that is under way when everything is closed may fail without a line in the log."""
    revision(cache)
    script.say(OUTAGE)
    time_.tick(31)
    cache.close()
    revision(cache)

    assert [] == caplog.records


def test_since_tells_when_the_state_began(cache: Cache, script: Script, time_: FakeClock) -> None:
    """`since` moves when the state's name changes, and not with every read or failure."""
    started = time_.clock.wall()
    assert started == cache.state.since
    time_.tick(5)
    revision(cache)
    time_.tick(31)
    revision(cache)
    assert started + 5 == cache.state.since
    script.say(OUTAGE)
    time_.tick(31)
    revision(cache)
    time_.tick(31)
    revision(cache)

    assert started + 67 == cache.state.since


# --- revisions that go back ---


def test_an_older_revision_does_not_replace_a_newer_one(
    cache: Cache, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    """A member that lags after a failover is not believed at once; soon afterwards the store is asked again."""
    caplog.set_level(logging.DEBUG, "etcd_settings")
    script.say(snapshot_at(10))
    revision(cache)
    script.say(snapshot_at(8))

    assert 10 == revision(cache, max_age=0)
    script.say(snapshot_at(11))
    assert 11 == revision(cache, max_age=0)
    assert [logging.DEBUG] == [record.levelno for record in caplog.records]


def test_after_an_older_revision_the_next_read_comes_soon(cache: Cache, script: Script, time_: FakeClock) -> None:
    """Whether a member lags or the cluster was restored is not left open for a whole TTL."""
    script.say(snapshot_at(10))
    revision(cache)
    script.say(snapshot_at(8))
    time_.tick(30)
    revision(cache)
    time_.tick(1)

    assert 8 == revision(cache)


def test_a_restored_cluster_is_believed_the_second_time(
    cache: Cache, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    """An older revision twice in a row means that the cluster was restored: its state counts, and a warning says so."""
    script.say(snapshot_at(13))
    revision(cache)
    script.say(snapshot_at(8))
    revision(cache, max_age=0)

    assert 8 == revision(cache, max_age=0)
    assert "went back from revision 13 to 8" in caplog.text
    script.say(snapshot_at(7))
    assert 8 == revision(cache, max_age=0)  # and from there it counts anew


@pytest.mark.parametrize("cluster_id", [0, 8])
def test_revisions_of_different_stores_do_not_compare(cache: Cache, script: Script, cluster_id: int) -> None:
    """Another cluster, and a store that is none, may have lower revisions."""
    script.say(snapshot_at(10, cluster_id=cluster_id and 7))
    revision(cache)
    script.say(snapshot_at(3, cluster_id=cluster_id))

    assert 3 == revision(cache, max_age=0)


# --- forks, memory, laws ---


def test_a_child_forked_in_mid_read_reads_for_itself(time_: FakeClock) -> None:
    """A fork while another thread reads leaves a child that neither waits for that thread nor has lost the snapshot."""
    gate = Gate(snapshot_at(1), snapshot_at(2), snapshot_at(3))
    cache = Cache(gate.read, Policy(), name="x", clock=time_.clock)
    gate.leave.set()
    cache.get(timeout=5)
    gate.leave.clear()
    gate.entered.clear()
    time_.tick(31)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(cache.get, timeout=10)
        eventually(gate.entered.is_set)

        def child() -> None:
            assert cache.state.held is not None
            assert 1 == cache.state.held.snapshot.revision
            gate.leave.set()
            assert 3 == cache.get(timeout=5).revision

        assert 0 == status(in_child(child))
        gate.leave.set()
        assert 2 == future.result().revision


def test_a_cache_is_collected(script: Script, time_: FakeClock) -> None:
    """The fork hook keeps no cache alive."""
    cache = make(script, time_)
    reference = weakref.ref(cache)
    del cache
    gc.collect()

    assert reference() is None


def test_a_kept_error_holds_no_frames(cache: Cache, script: Script, time_: FakeClock) -> None:
    """The error in the state has no traceback, which would keep whatever the failed read had in hand."""
    revision(cache)
    script.say(UnavailableError({}))
    time_.tick(31)
    revision(cache)

    assert cache.state.outage is not None
    assert cache.state.outage.error.__traceback__ is None


@settings(max_examples=60)
@given(
    ttl=st.sampled_from([0.0, 0.5, 30.0]),
    max_stale=st.sampled_from([None, 0.0, 45.0]),
    steps=st.lists(
        st.one_of(
            st.floats(0, 40).map(lambda seconds: ("tick", seconds)),
            st.sampled_from([("up", 0.0), ("down", 0.0), ("get", 0.0), ("force", 0.0)]),
        ),
        max_size=30,
    ),
)
def test_what_is_served_is_never_older_than_allowed(
    ttl: float, max_stale: float | None, steps: list[tuple[str, float]]
) -> None:
    """
    Whatever happens: while the store answers nothing older than the TTL is served; while it does not, nothing older
    than `max_stale`; and what is served is never older than what was served before.
    """
    time_, script = FakeClock(), Script()
    cache = make(script, time_, ttl=ttl, max_stale=max_stale)
    read_at: dict[int, float] = {}
    is_up, last = True, 0

    def answer(number: int) -> Snapshot | BaseException:
        read_at[number] = time_.clock.timer()
        return snapshot_at(number) if is_up else OUTAGE

    script.answer = answer
    for step, seconds in steps:
        if step == "tick":
            time_.tick(seconds)
        elif step in ("up", "down"):
            is_up = step == "up"
        else:
            try:
                found = revision(cache, max_age=0 if step == "force" else None)
            except UnavailableError:
                assert not is_up
                continue
            age = time_.clock.timer() - read_at[found]
            assert found >= last
            assert age <= max(ttl, float("inf") if max_stale is None else max_stale) or (is_up and age < ttl)
            if is_up and cache.state.outage is None:
                assert age == 0 or (step == "get" and age < ttl)
            last = found

"""
Keep one snapshot fresh.

A cache stands between a store and everyone who asks for settings. While the snapshot is younger than *ttl* it answers
from memory; afterwards one caller reads again and the others wait for that result. When reading fails, the old snapshot
is served, the outage is logged once, and the next attempt waits.

It knows ages, and what to do when a read fails. It knows nothing of etcd, key names or types.

Invariant: everything that a reader sees is in one frozen state, which is swapped by one reference and never edited.
Only the one that reads from the store swaps it, and `dict.setdefault`, which is atomic, decides who that is. So there
is no lock: nothing to be inherited locked by a child process, to be held across a greenlet's switch, or to deadlock
with a signal handler.
"""

from __future__ import annotations

import copy
import itertools
import logging
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from cachetools import TTLCache

from etcd_settings import hooks
from etcd_settings.errors import (
    AuthenticationError,
    ConfigurationError,
    EtcdSettingsError,
    PermissionDeniedError,
    TLSError,
    UnavailableError,
)
from etcd_settings.forks import tell_after_fork
from etcd_settings.freshness import CLOCK, Clock, Held, Kind, Outage, Policy, State
from etcd_settings.snapshot import Snapshot

__all__ = ["Cache"]

log = logging.getLogger("etcd_settings")

_REFUSALS = (AuthenticationError, ConfigurationError, PermissionDeniedError, TLSError)
"""Failures that no waiting mends: they are logged as errors, an outage as a warning."""


class Cache:
    """
    Serve one snapshot to everybody.

    Thread-safe and fork-safe. It works under gevent, also if gevent patches after the cache was made.

    Args:
        read: Reads a snapshot in at most the given number of seconds.

        policy: How long a snapshot is good.

        name: What is read, for the log; must not contain a password.

        substitute: Asked for something to serve when reading failed and nothing is held, or nothing that may still be
            served; may give None. It must not raise.

        accepted: Told of every snapshot that was read and is now served. It must not raise.

        clock: Time and chance.
    """

    def __init__(
        self,
        read: Callable[[float], Snapshot],
        policy: Policy,
        *,
        name: str,
        substitute: Callable[[Exception], Held | None] = lambda _: None,
        accepted: Callable[[Snapshot], None] = lambda _: None,
        clock: Clock = CLOCK,
    ) -> None:
        self._read, self._policy, self._name, self._clock = read, policy, name, clock
        self._substitute, self._accepted = substitute, accepted
        self._state = State(since=clock.wall())
        self._is_closed = False
        self._flights: dict[None, _Flight] = {}  # the read under way, or nothing
        self._landed: _Flight | None = None  # the last read that ended
        self._numbers = itertools.count(1)
        tell_after_fork(self)

    @property
    def state(self) -> State:
        """What is known at this moment; whole, and never changing."""
        return self._state

    def hold(self, snapshot: Snapshot, *, age: float = 0.0, kind: Kind = "read", ttl: float | None = None) -> Held:
        """Make a snapshot servable; only one that was just read counts as fresh."""
        fresh: TTLCache[str, bool] = TTLCache(1, self._policy.ttl if ttl is None else ttl, self._clock.timer)
        fresh["snapshot"] = True
        return Held(snapshot, self._clock.timer() - age, fresh, kind)

    def peek(self, max_age: float | None = None) -> Snapshot | None:
        """Give the snapshot if that takes no I/O: it is fresh, or stands in for one while the next attempt waits."""
        state, now = self._state, self._clock.timer()
        held, outage = state.held, state.outage
        if held is None:
            return None
        if (held.is_fresh or state.live) if max_age is None else now - held.read_at < max_age:
            return held.snapshot
        if outage is None or max_age == 0 or now >= outage.retry_at:
            return None
        return held.snapshot if self._policy.may_serve(held, outage.error, now) else None

    def get(self, *, timeout: float, max_age: float | None = None) -> Snapshot:
        """
        Give a snapshot: from memory, or read, or the old one if reading fails.

        Args:
            timeout: How many seconds the call may take.

            max_age: Serve from memory only what is younger, in seconds; None means the TTL.

        Raises:
            Exception: What the read raised, if there is nothing to serve.
        """
        ready = self.peek(max_age)
        if ready is not None:  # by far the most calls end here
            return ready
        ask = self._ask(timeout, max_age)
        ready = self.peek(max_age)  # what landed until now is seen here, what lands from now on is seen through `ask`
        if ready is not None:
            return ready
        error = self._refetch(ask)
        held = self._state.held if error is None else self._stand_in(error)
        if held is not None:
            return held.snapshot
        assert error is not None  # after a good read something is held
        raise error

    def refresh(self, *, timeout: float) -> Snapshot:
        """
        Read again now.

        Raises:
            Exception: What the read raised; what is served to others stays.
        """
        error = self._refetch(self._ask(timeout, max_age=0))
        if error is not None:
            raise error
        held = self._state.held
        assert held is not None  # a read succeeded
        return held.snapshot

    def feed(self, snapshot: Snapshot) -> None:
        """
        Take in a snapshot that a watch made, as if it had been read.

        One that is older than what is held is left out: somebody read ahead of the watch. It says nothing of a restore;
        that ends the watch.
        """
        with self._alone():
            held = self._state.held
            is_older = held is not None and _is_older(snapshot, held)
            accepted = None if is_older else self._arrived(snapshot, self._clock.timer())
        self._hand_on(accepted)

    def set_live(self, live: bool) -> None:
        """Note whether a watch is connected: while one is, what is held is fresh."""
        with self._alone():
            before = self._state.live
            self._become(held=self._state.held, outage=None if live else self._state.outage, live=live)
        if hooks.observed() and live is not before:
            hooks.tell(hooks.Connected(self._name) if live else hooks.Disconnected(self._name))

    def expect_restore(self) -> None:
        """Believe the next read, also if it is older than what is held: the cluster was restored from a backup."""
        with self._alone():
            self._become(held=self._state.held, outage=self._state.outage, regressed=True)

    def close(self) -> None:
        """Tell the log of no more failures: a read under way is expected to fail now."""
        self._is_closed = True

    def after_fork(self) -> None:
        """Forget the read and the watch under way, whose threads are not in this process; the snapshot stays."""
        self._flights = {}
        self._state = replace(self._state, live=False)

    def _ask(self, timeout: float, max_age: float | None) -> _Ask:
        return _Ask(next(self._numbers), self._clock.timer(), timeout, max_age, self._landed)

    def _refetch(self, ask: _Ask) -> Exception | None:
        """Read, or wait for somebody's read that is recent enough; give the error if it failed."""
        while True:
            mine = _Flight(self._clock.timer())
            flight = self._flights.setdefault(None, mine)
            left = ask.at + ask.timeout - mine.started
            if flight is mine:
                error = self._fly(mine, ask, left)
                self._hand_on(mine.accepted)
                return error
            if not flight.landed.wait(max(0.0, left)):
                return self._too_late(ask)
            if ask.is_answered_by(flight):
                return _copy(flight.error)
            # It was abandoned, or began before what was asked for: take the next one, or lead it.

    def _too_late(self, ask: _Ask) -> UnavailableError:
        return UnavailableError({self._name: f"another thread's read did not end within {ask.timeout:g} s"})

    @contextmanager
    def _alone(self) -> Generator[None]:
        """Be the one that may change the state; a read that is under way comes first."""
        flights, mine = self._flights, _Flight(self._clock.timer())
        while (flight := flights.setdefault(None, mine)) is not mine:
            flight.landed.wait()
        try:
            yield
        finally:
            flights.clear()
            mine.landed.set()

    def _fly(self, flight: _Flight, ask: _Ask, timeout: float) -> Exception | None:
        flights, landed = self._flights, self._landed
        try:
            if landed is not None and landed is not ask.landed and ask.is_answered_by(landed):
                return _copy(landed.error)  # it came in between looking at the state and getting here
            flight.number = next(self._numbers)
            if timeout <= 0:  # it waited for a read that was abandoned, and has no time left for one of its own
                return self._too_late(ask)
            error = self._attempt(flight, timeout)
            flight.is_done, flight.error, self._landed = True, _copy(error), flight
            return error
        finally:  # also when interrupted: then is_done is False, and one of those who wait takes over
            flights.clear()
            flight.landed.set()

    def _attempt(self, flight: _Flight, timeout: float) -> Exception | None:
        try:
            snapshot = self._read(timeout)
        except Exception as e:  # noqa: BLE001  # any store's failure is an outage; what interrupts us passes through
            self._failed(e)
            return e
        flight.accepted = self._arrived(snapshot, flight.started)
        if hooks.observed():
            hooks.tell(hooks.Read(self._name, snapshot.revision, self._clock.timer() - flight.started))
        return None

    def _hand_on(self, accepted: Snapshot | None) -> None:
        if accepted is not None:  # only now, since it may take its time, and nobody else should wait for that
            self._accepted(accepted)

    def _arrived(self, snapshot: Snapshot, started: float) -> Snapshot | None:
        """Take in what was read, and give it, unless it is older than what we have."""
        state = self._state
        if state.held is not None and _is_older(snapshot, state.held):
            if not state.regressed:
                self._keep(state.held, snapshot.revision)
                return None
            log.warning(
                "%s went back from revision %d to %d: the cluster was restored from a backup. Taking its state over.",
                self._name,
                state.held.snapshot.revision,
                snapshot.revision,
            )
        held = self.hold(snapshot, age=self._clock.timer() - started)
        self._become(held=held, outage=None, regressed=False)
        if state.outage is not None and hooks.observed():
            hooks.tell(hooks.OutageEnded(self._name, state.outage.failures))
        if state.outage is not None and state.outage.logged:
            log.info("Reading %s works again; it is at revision %d.", self._name, snapshot.revision)
        return snapshot

    def _keep(self, held: Held, revision: int) -> None:
        # A member that lags after a failover, or a restored cluster: the next read, soon, tells which.
        log.debug("%s answered with revision %d, older than %d: kept.", self._name, revision, held.snapshot.revision)
        again = self.hold(held.snapshot, age=self._clock.timer() - held.read_at, ttl=self._policy.first_pause)
        self._become(held=again, outage=None, regressed=True)

    def _failed(self, error: Exception) -> None:
        """Remember the failure, find what to serve meanwhile, and tell the log once."""
        outage, kind = self._state.outage, type(error)
        failures, logged = (outage.failures, outage.logged) if outage else (0, frozenset[type[Exception]]())
        held = self._stand_in(error)
        if held is not None and kind not in logged and not self._is_closed:
            self._log(held, error)
            logged |= {kind}
        if failures == 0 and hooks.observed():
            hooks.tell(hooks.OutageBegan(self._name, kind.__name__))
        retry_at = self._clock.timer() + self._policy.pause(failures, self._clock.chance())
        self._become(held=held or self._state.held, outage=Outage(_copy(error), failures + 1, retry_at, logged))

    def _stand_in(self, error: Exception) -> Held | None:
        held = self._state.held
        return (
            held
            if held is not None and self._policy.may_serve(held, error, self._clock.timer())
            else self._substitute(error)
        )

    def _log(self, held: Held, error: Exception) -> None:
        # A foreign error's text may hold anything, so that only its type is told; `refresh()` raises it whole.
        reason = str(error) if isinstance(error, EtcdSettingsError) else type(error).__name__
        level = logging.ERROR if isinstance(error, _REFUSALS) else logging.WARNING
        what = {
            "read": f"the settings of revision {held.snapshot.revision}",
            "last_good": f"the last good settings, saved at revision {held.snapshot.revision},",
            "empty": "no settings at all (required is false)",
        }[held.kind]
        log.log(level, "Reading %s failed, and %s are served until it works again. %s", self._name, what, reason)

    def _become(
        self, *, held: Held | None, outage: Outage | None, regressed: bool = False, live: bool | None = None
    ) -> None:
        # Only the one that reads changes the state, so that nothing can come between reading and replacing it.
        old = self._state
        live = old.live if live is None else live
        new = replace(old, held=held, outage=outage, regressed=regressed, live=live)
        self._state = new if new.name == old.name else replace(new, since=self._clock.wall())


class _Flight:
    """
    One read under way, and all who wait for it.

    The event is looked up and made when the read begins: in a process that gevent has patched it is a green one.
    """

    __slots__ = ("accepted", "error", "is_done", "landed", "number", "started")

    def __init__(self, started: float) -> None:
        self.started = started
        self.landed = threading.Event()
        self.number = 0
        self.is_done = False  # stays False if the one that reads was interrupted
        self.error: Exception | None = None
        self.accepted: Snapshot | None = None


@dataclass(frozen=True, slots=True)
class _Ask:
    """
    What one caller wants.

    Args:
        number: Tells which of two things began first, where the timer shows one time for both.

        at: When it asked, on the timer.

        timeout: Seconds that it has.

        max_age: How old an answer may be; None: any read that ends after it asked will do.

        landed: The last read that had ended when it asked.
    """

    number: int
    at: float
    timeout: float
    max_age: float | None
    landed: _Flight | None

    def is_answered_by(self, flight: _Flight) -> bool:
        """Whether a read that ended after this was asked is recent enough."""
        if not flight.is_done or self.max_age is None:
            return flight.is_done
        return flight.number > self.number or flight.started > self.at - self.max_age


def _is_older(snapshot: Snapshot, held: Held) -> bool:
    """Whether it is an older state of the same cluster; stores of our own have no cluster, and count as they like."""
    mine = held.snapshot
    same = held.kind == "read" and snapshot.cluster_id == mine.cluster_id != 0
    return same and snapshot.revision < mine.revision


_E = TypeVar("_E", bound=Exception | None)


def _copy(error: _E) -> _E:
    """Give each thread an error of its own to raise, and keep none whose traceback holds on to frames."""
    return copy.copy(error) if isinstance(error, EtcdSettingsError) else error

"""What is lost stays lost, whoever noticed first: the clock, or somebody who knew."""

from __future__ import annotations

import threading
import time

from etcd_settings.etcd import Lost


def test_it_is_lost_when_the_time_is_over() -> None:
    """Nobody has to say so."""
    assert not Lost(time.monotonic() + 60)
    assert Lost(time.monotonic()).is_set()
    assert Lost(time.monotonic() + 0.01).wait(60)


def test_it_is_lost_when_somebody_says_so() -> None:
    """Who waits is woken."""
    lost = Lost(time.monotonic() + 60)
    threading.Timer(0.01, lost.set).start()

    assert lost.wait(60)
    assert lost


def test_waiting_ends_in_time() -> None:
    """Without a loss the answer is no."""
    assert not Lost(time.monotonic() + 60).wait(0.01)
    assert not Lost(time.monotonic() + 60).wait(0)


def test_who_waits_learns_of_more_time() -> None:
    """An extension while somebody waits counts, and the end is the last one."""
    started = time.monotonic()
    lost = Lost(started + 0.1)
    threading.Timer(0.05, lost.extend, [started + 0.4]).start()

    assert lost.wait()
    assert time.monotonic() >= started + 0.4


def test_what_was_lost_is_not_found_again() -> None:
    """A renewal that comes too late would contradict what others were told."""
    lost = Lost(time.monotonic())
    lost.extend(time.monotonic() + 60)
    assert lost

    told = Lost(time.monotonic() + 60)
    told.set()
    told.extend(time.monotonic() + 120)
    assert told

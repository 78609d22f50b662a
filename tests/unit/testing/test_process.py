"""A guarded program does what programs do, and ends when it is told."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from etcd_settings.errors import ConfigurationError
from etcd_settings.testing.process import GuardedProcess
from tests.waiting import eventually


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def run(log: Path) -> Iterator[Callable[[str], GuardedProcess]]:
    started: list[GuardedProcess] = []

    def shell(script: str) -> GuardedProcess:
        started.append(GuardedProcess(["/bin/sh", "-c", script], environ={"A": "b"}, log=log))
        return started[-1]

    yield shell
    for process in started:
        process.close()


def test_it_has_its_pid_its_environment_and_its_log(run: Callable[[str], GuardedProcess], log: Path) -> None:
    """The pid is the program's own; of the environment it has what it was given; both its outputs go to the log."""
    process = run("echo $$ $A; echo error >&2")

    eventually(lambda: not process.alive)

    assert f"{process.pid} b\nerror\n" == log.read_text()


def test_the_log_is_added_to(run: Callable[[str], GuardedProcess], log: Path) -> None:
    """A second run does not wipe out what the first one said."""
    one = run("echo one")
    eventually(lambda: not one.alive)
    two = run("echo two")
    eventually(lambda: not two.alive)

    assert "one\ntwo\n" == log.read_text()


def test_it_reads_nothing(run: Callable[[str], GuardedProcess], log: Path) -> None:
    """Its standard input is empty, and not the pipe on which the guard gets its orders."""
    process = run("cat; echo end")

    eventually(lambda: not process.alive)

    assert "end\n" == log.read_text()


def test_it_may_end_politely(run: Callable[[str], GuardedProcess], log: Path) -> None:
    """With SIGTERM a program has the time to clean up."""
    process = run("trap 'echo bye; exit' TERM; echo ready; while :; do sleep 0.01; done")
    eventually(lambda: log.read_text())

    process.end(signal.SIGTERM, grace=10)

    assert ("ready\nbye\n", False) == (log.read_text(), process.alive)


def test_who_does_not_listen_is_killed(run: Callable[[str], GuardedProcess], log: Path) -> None:
    """After the grace there is no more asking."""
    process = run("trap '' TERM; echo ready; while :; do sleep 0.01; done")
    eventually(lambda: log.read_text())
    started = time.monotonic()

    process.end(signal.SIGTERM, grace=0.05)

    assert not process.alive
    assert 0.05 <= time.monotonic() - started < 5


def test_signals_to_the_dead_are_harmless(run: Callable[[str], GuardedProcess]) -> None:
    """Before and after somebody noticed."""
    process = run("exit 3")
    process.send(signal.SIGTERM)

    eventually(lambda: not process.alive)

    process.pause()
    process.resume()
    process.end(signal.SIGTERM, grace=1)
    process.send(signal.SIGTERM)


def test_closing_ends_it(run: Callable[[str], GuardedProcess]) -> None:
    """To let go of the pipes is to end the program, at once."""
    process = run("sleep 600")

    process.close()

    assert not process.alive
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_a_program_that_cannot_run_says_so_in_its_log(log: Path) -> None:
    """There is a process, for a moment, and its only words are why it cannot be that program."""
    process = GuardedProcess(["/nowhere/program"], environ={}, log=log)

    eventually(lambda: not process.alive)

    process.close()
    assert "cannot run /nowhere/program: [Errno 2] No such file or directory" in log.read_text()


def test_a_python_that_cannot_guard_is_an_error(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ``sys.executable`` is no Python, the error names it and the log."""
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(ConfigurationError, match=f"/bin/false could not start /bin/true.*{log}"):
        GuardedProcess(["/bin/true"], environ={}, log=log)

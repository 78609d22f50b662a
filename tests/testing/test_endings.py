"""A server ends with the program that started it, however that program ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from etcd_settings.testing import EtcdServer
from tests.waiting import eventually

pytestmark = pytest.mark.etcd

PROGRAM = """
import os, sys, time
from etcd_settings.testing import EtcdServer, EtcdCluster

def tell(*facts):
    print(*facts, flush=True)

{body}
"""

WITH_BLOCK = """
with EtcdServer() as server:
    tell(server.pid, server.site.folder)
    time.sleep(600)
"""

PAUSED = """
with EtcdServer() as server:
    server.pause()
    tell(server.pid, server.site.folder)
    time.sleep(600)
"""

CLUSTER = """
with EtcdCluster(size=1) as cluster:
    tell(cluster.members[0].pid, cluster.site.folder)
    time.sleep(600)
"""

FORGOTTEN = """
server = EtcdServer()
server.start()
tell(server.pid, server.site.folder)
"""

RAISES = """
server = EtcdServer()
server.start()
tell(server.pid, server.site.folder)
raise SystemExit(3)
"""

HARD_EXIT = """
server = EtcdServer()
server.start()
tell(server.pid, server.site.folder)
os._exit(0)
"""

# A worker that was forked from the test holds copies of all its pipes, and lives on.
WITH_A_SIBLING = """
server = EtcdServer()
server.start()
if not os.fork():
    time.sleep(60)
    os._exit(0)
tell(server.pid, server.site.folder)
time.sleep(600)
"""


@pytest.fixture
def run() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start programs in a session of their own, so that those that they fork can be ended with them."""
    started: list[subprocess.Popen[str]] = []

    def start(body: str) -> subprocess.Popen[str]:
        program = [sys.executable, "-c", PROGRAM.format(body=body)]
        started.append(subprocess.Popen(program, stdout=subprocess.PIPE, text=True, start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def facts(process: subprocess.Popen[str]) -> tuple[int, Path]:
    assert process.stdout is not None
    pid, folder = process.stdout.readline().split()
    return int(pid), Path(folder)


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
@pytest.mark.parametrize(
    "body", [WITH_BLOCK, PAUSED, CLUSTER, WITH_A_SIBLING], ids=["server", "paused", "cluster", "sibling"]
)
def test_a_signal_that_ends_the_program_ends_the_server(
    run: Callable[[str], subprocess.Popen[str]], body: str, number: signal.Signals
) -> None:
    """Also one that gives the program no time, and also when a forked sibling holds its pipes open."""
    program = run(body)
    pid, folder = facts(program)
    assert (True, True) == (is_there(pid), folder.is_dir())

    program.send_signal(number)

    program.wait()
    eventually(lambda: not is_there(pid) and not folder.exists())


def test_all_of_them_may_be_ended_at_once(run: Callable[[str], subprocess.Popen[str]]) -> None:
    """A machine that shuts down tells everybody: program, guard and server."""
    program = run(WITH_BLOCK)
    pid, folder = facts(program)
    guard = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

    for each in (guard, pid, program.pid):
        with suppress(ProcessLookupError):  # one may have taken the next with it already
            os.kill(each, signal.SIGTERM)

    program.wait()
    eventually(lambda: not is_there(guard) and not is_there(pid) and not folder.exists())


@pytest.mark.parametrize("body", [FORGOTTEN, RAISES, HARD_EXIT], ids=["forgotten", "raises", "hard exit"])
def test_a_program_that_forgets_the_server_leaves_none(run: Callable[[str], subprocess.Popen[str]], body: str) -> None:
    """Reaching the end, or an exception, without `close` is enough."""
    program = run(body)
    pid, folder = facts(program)

    program.wait()

    eventually(lambda: not is_there(pid) and not folder.exists())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child when its parent's parent is gone")
def test_the_server_does_not_outlive_its_guard(etcd_server: EtcdServer) -> None:
    """Should the process in between be killed, the server goes with it, and can be started again."""
    assert etcd_server.pid is not None
    pid = etcd_server.pid
    stat = Path(f"/proc/{pid}/stat").read_text()

    os.kill(int(stat.rpartition(")")[2].split()[1]), signal.SIGKILL)

    eventually(lambda: not is_there(pid))
    assert "down" == etcd_server.state
    etcd_server.start()
    assert etcd_server.health()


def test_the_server_outlives_the_thread_that_started_it() -> None:
    """A thread is not the program: it may start a server for others, and end."""
    server = EtcdServer()
    starter = threading.Thread(target=server.start)
    starter.start()
    starter.join()

    assert server.health()
    server.close()

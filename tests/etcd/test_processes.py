"""Forks, threads, greenlets, signals and exits: a source works in all of them, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from etcd_settings import Source
from etcd_settings.etcd import Client
from etcd_settings.testing import EtcdServer, Proxy
from tests.filling import fill
from tests.forking import in_child, status
from tests.waiting import eventually

APP = "/config/app/"


def run(program: str, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a program as a process of its own, warnings being errors."""
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def sockets() -> int:
    """Count this process's sockets."""
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists the folder is gone
            found += str(descriptor.readlink()).startswith("socket:")
    return found


def test_twenty_children_serve_what_the_parent_read_and_read_for_themselves(etcd_server: EtcdServer) -> None:
    """A child has the parent's snapshot at once, and a connection of its own for the next; the parent's goes on."""
    fill(etcd_server, {"a": "1"})
    with Source(etcd_server.url, timeout=30) as source:
        assert "1" == source.snapshot()["a"].text
        fill(etcd_server, {"a": "2"})

        def child() -> None:
            assert "1" == source.snapshot()["a"].text
            assert "2" == source.refresh()["a"].text

        pids = [in_child(child) for _ in range(20)]

        assert [0] * 20 == [status(pid) for pid in pids]
        assert "2" == source.refresh()["a"].text


def test_a_fork_in_the_middle_of_a_read(etcd_server: EtcdServer) -> None:
    """The thread that reads does not exist in the child, which waits for nobody and reads for itself."""
    fill(etcd_server, {"a": "1"})
    with Proxy(etcd_server.endpoint) as proxy, Source(f"etcd://{proxy.endpoint}{APP}?timeout=20") as source:
        proxy.delay(0.3)
        reading = threading.Thread(target=source.snapshot)
        reading.start()
        eventually(lambda: proxy.connections)

        def child() -> None:
            assert "1" == source.snapshot()["a"].text

        pids = [in_child(child) for _ in range(3)]

        assert [0] * 3 == [status(pid) for pid in pids]
        reading.join(20)
        assert "1" == source.snapshot()["a"].text


def test_children_of_children(etcd_server: EtcdServer) -> None:
    """A grandchild is no worse off."""
    fill(etcd_server, {"a": "1"})
    with Source(etcd_server.url, timeout=30) as source:
        source.snapshot()

        def child() -> None:
            source.refresh()
            assert 0 == status(in_child(source.refresh))

        assert 0 == status(in_child(child))


def test_a_fork_beside_a_watch(etcd_server: EtcdServer) -> None:
    """The child drops the parent's watch and may open one of its own; both hear of the change."""
    fill(etcd_server, {"a": "1"})
    with Source(etcd_server.url) as source, source.watch() as snapshots:
        next(snapshots)
        told, tell = os.pipe()

        def child() -> None:
            os.write(tell, b".")
            while next(snapshots)["a"].text != "2":
                pass

        pid = in_child(child)
        os.read(told, 1)
        os.close(told)
        os.close(tell)
        fill(etcd_server, {"a": "2"})

        assert "2" == next(snapshots)["a"].text
        assert 0 == status(pid)


def test_a_spawned_process_reads(etcd_server: EtcdServer, tmp_path: Path) -> None:
    """Nothing has to be inherited, and a source's options can be handed over."""
    fill(etcd_server, {"a": "1"})
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            """
            import multiprocessing, sys
            from etcd_settings import Source

            def read(url):
                with Source(url) as source:
                    assert source.snapshot()["a"].text == "1"

            if __name__ == "__main__":
                read(sys.argv[1])
                child = multiprocessing.get_context("spawn").Process(target=read, args=sys.argv[1:])
                child.start()
                child.join()
                sys.exit(child.exitcode)
            """
        )
    )
    done = subprocess.run(
        [sys.executable, program, etcd_server.url], capture_output=True, text=True, timeout=60, check=False
    )

    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize("patched", ["early", "late", "late, after a read", "late, after a fork"])
def test_gevent(etcd_server: EtcdServer, patched: str) -> None:
    """Whenever gevent patches, fifty greenlets that read over a slow line hold up nobody else."""
    fill(etcd_server, {"a": "1"})
    with Proxy(etcd_server.endpoint) as proxy:
        proxy.delay(0.1)
        done = _run_under_gevent(f"etcd://{proxy.endpoint}{APP}?timeout=20", patched)

    assert 0 == done.returncode, done.stderr


def _run_under_gevent(url: str, patched: str) -> subprocess.CompletedProcess[str]:
    return run(
        """
        import os, sys, warnings
        url, patched = sys.argv[1:]
        warnings.simplefilter("default")  # gevent warns of patching late, which is what is tested
        if patched == "early":
            from gevent import monkey; monkey.patch_all()
        from etcd_settings import Source
        source = Source(url, ttl=1000)
        if patched in ("late, after a read", "late, after a fork"):
            assert source.snapshot()["a"].text == "1"
        if patched == "late, after a fork" and (child := os.fork()):
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        if patched != "early":
            from gevent import monkey; monkey.patch_all()
        import gevent, time
        ticks = 0
        def tick():
            global ticks
            while True:
                ticks += 1; gevent.sleep(0.002)
        ticking = gevent.spawn(tick)
        jobs = [gevent.spawn(lambda: source.snapshot(max_age=0)["a"].text) for _ in range(50)]
        assert [job.get(timeout=20) for job in jobs] == ["1"] * 50
        assert ticks > 20, f"the loop stood still, {ticks} ticks in 0.2 s at least"
        with source.watch() as snapshots:
            assert next(snapshots)["a"].text == "1"
        ticking.kill()
        source.close()
        """,
        url,
        patched,
    )


def test_an_interrupted_call_leaves_a_working_source(etcd_server: EtcdServer) -> None:
    """KeyboardInterrupt in mid-call discards the connection, whose state nobody knows; the next call has a new one."""
    fill(etcd_server, {"a": "1"})
    with Proxy(etcd_server.endpoint) as proxy, Client(f"etcd://{proxy.endpoint}/?timeout=30") as client:
        client.get(APP + "a")
        proxy.swallow()
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            client.get(APP + "a")
        proxy.heal()

        entry = client.get(APP + "a")

    assert entry is not None
    assert "1" == entry.text


EXITS = {
    "after a read": "source.snapshot()",
    "with a watch": "snapshots = source.watch(); next(snapshots)",
    "with a watch in a thread": """
        import threading
        snapshots = source.watch(); next(snapshots)
        threading.Thread(target=lambda: list(snapshots), daemon=True).start()
        """,
    "with a read under way": """
        import threading
        for _ in range(5):
            threading.Thread(target=source.refresh, daemon=True).start()
        """,
    "from an exception": "source.snapshot(); snapshots = source.watch(); next(snapshots); raise SystemExit(0)",
    "closed": "source.snapshot(); source.close()",
}


@pytest.mark.parametrize("state", EXITS)
def test_the_interpreter_ends_at_once_in_every_state(etcd_server: EtcdServer, state: str) -> None:
    """No thread of ours holds it up, and none complains while the interpreter goes down."""
    fill(etcd_server, {"a": "1"})
    program = "import sys\nfrom etcd_settings import Source\nsource = Source(sys.argv[1])\n" + textwrap.dedent(
        EXITS[state]
    )
    done = subprocess.run(
        [sys.executable, "-c", program, etcd_server.url], capture_output=True, text=True, timeout=10, check=False
    )

    assert (0, "") == (done.returncode, done.stderr)


def test_nothing_is_left_behind(etcd_server: EtcdServer) -> None:
    """A hundred sources, each read and watched and closed, leave no socket and no thread."""
    fill(etcd_server, {"a": "1"})
    before = sockets(), threading.active_count()

    for _ in range(100):
        with Source(etcd_server.url) as source, source.watch() as snapshots:
            next(snapshots)

    eventually(lambda: before == (sockets(), threading.active_count()))

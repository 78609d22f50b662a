"""
Run the programs of a project as its README says: to their end, or as servers that are asked over HTTP and stopped.

It knows processes and their groups, and that servers write where they listen. It knows nothing of settings, and of etcd
only how an example project is seeded.

Invariant: nothing that was started outlives the block that started it, and whoever fails in there shows what it wrote.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from etcd_settings.testing import EtcdServer
from tests.waiting import PATIENCE, eventually

QUICKLY = 20.0
"""Seconds in which a server ends if none of its workers hangs."""

GUNICORN = ("-m", "gunicorn", "--bind", "127.0.0.1:0", "--graceful-timeout", "25")  # more than `QUICKLY`
UVICORN = ("-m", "uvicorn", "--port", "0")

IN_A_ROW = 12
"""Answers that must be good, one after the other, before workers are believed to agree."""

Answer = dict[str, Any]
Answers = dict[int, Answer]
"""By the process id that each has in it; what has none is worker 0."""

_CLIENT = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), timeout=PATIENCE)


@dataclass(frozen=True)
class Program:
    """A program that runs; its log is all that it and its children write."""

    process: subprocess.Popen[bytes]
    file: Path

    @property
    def log(self) -> str:
        return self.file.read_text()

    def ask(self, path: str = "/", **options: Any) -> httpx.Response:
        """Ask on a new connection, which any worker may take, as soon as it listens."""
        eventually(self._addresses)
        return _CLIENT.get(self._addresses()[-1] + path, **options)

    def agree(self, good: Callable[[Answer], bool], *, workers: int = 1, path: str = "/", **options: Any) -> Answers:
        """
        Ask until a dozen answers in a row are good and all workers are among them; give the last one of each.

        An answer that does not come, as while it reloads, is not good.
        """
        answers: Answers = {}
        answer: Answer | None = None
        row = 0
        deadline = time.monotonic() + PATIENCE
        while row < IN_A_ROW or len(answers) < workers:
            assert time.monotonic() < deadline, (answers, answer)
            try:
                answer = self.ask(path, **options).raise_for_status().json()
            except httpx.HTTPError:
                answer = None
            if answer is not None and good(answer):
                row += 1
                answers[answer.get("worker") or answer.get("pid", 0)] = answer
            else:
                row = 0
                answers.clear()
                time.sleep(0.01)
        assert workers == len(answers), answers
        return answers

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it in good order, and give its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(QUICKLY)
        assert not re.search("WORKER TIMEOUT|SIGKILL|Traceback", self.log)
        return code

    def _addresses(self) -> list[str]:
        assert self.process.poll() is None, "it has ended"
        return re.findall(r"http://127\.0\.0\.1:\d+", self.log)


@dataclass(frozen=True)
class Project:
    """A folder with programs in Python, and what they find in their environment."""

    folder: Path
    environment: dict[str, str]

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Python with these arguments, to its end."""
        return subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            env={**os.environ, **self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @contextmanager
    def start(self, *command: str, **environment: str) -> Iterator[Program]:
        """Run Python with these arguments, to the end of the block."""
        # gunicorn 27 puts a socket into the home; what nobody flushes would not be in the log.
        with TemporaryDirectory(ignore_cleanup_errors=True) as home, Path(home, "log").open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=self.folder,
                env={**os.environ, **self.environment, "HOME": home, "PYTHONUNBUFFERED": "1", **environment},
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
            program = Program(process, Path(sink.name))
            try:
                yield program
                if process.poll() is None:
                    program.stop()
            except BaseException as e:
                e.add_note(f"What {' '.join(command)!r} wrote:\n{program.log}")
                raise
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def seeded(server: EtcdServer, folder: str, name: str, query: str = "") -> Project:
    """Seed etcd with the own script of an example project; give it with the environment that its README sets."""
    prefix = f"/config/{name}/"
    server.delete_prefix(prefix)
    environment = {
        "PATH": f"{server.site.binaries.etcdctl.parent}{os.pathsep}{os.environ['PATH']}",
        "ETCDCTL_ENDPOINTS": server.endpoint,
        f"{name.upper()}_ETCD_URL": f"etcd://{server.endpoint}{prefix}{query}",
    }
    project = Project(Path(__file__).parents[2] / "integrations" / folder, environment)
    subprocess.run([project.folder / "seed.sh"], check=True, env={**os.environ, **environment}, timeout=60)
    return project

"""The example site does what its README says, under real servers, on a real etcd."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from etcd_settings.testing import EtcdServer
from tests.waiting import eventually

PROJECT = Path(__file__).parents[2] / "integrations" / "django"
PATIENCE = 30.0

GUNICORN = ["-m", "gunicorn", "--workers", "2", "--bind", "127.0.0.1:0", "--graceful-timeout", "5"]
SERVERS = {
    "sync": [*GUNICORN, "storefront.wsgi"],
    "sync, preloaded": [*GUNICORN, "--preload", "storefront.wsgi"],
    "gthread": [*GUNICORN, "--worker-class", "gthread", "--threads", "2", "storefront.wsgi"],
    "gevent": [*GUNICORN, "--worker-class", "gevent", "storefront.wsgi"],
    "gevent, preloaded": [*GUNICORN, "--worker-class", "gevent", "--preload", "storefront.wsgi"],
    "uvicorn": ["-m", "uvicorn", "--port", "0", "storefront.asgi:application"],
}
RELOADED = ("sync", "gevent, preloaded")
"""Those that get new workers: from a master that imported nothing, and from one that read everything. It takes time."""


class Server:
    """The site under a server, on a port that the system chose."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self._log = process, log

    @property
    def log(self) -> str:
        return self._log.read_text()

    def ask(self) -> dict[str, Any]:
        """Ask on a new connection, which any worker may take."""
        found = re.findall(r"(?:Listening at:|running on|server at) (http://127\.0\.0\.1:\d+)", self.log)
        assert found, self.log
        answer: dict[str, Any] = httpx.get(found[-1], timeout=PATIENCE).raise_for_status().json()
        return answer

    def answers(self, workers: int, good: Callable[[dict[str, Any]], bool]) -> dict[int, dict[str, Any]]:
        """Ask until that many workers gave a good answer, and give it by worker."""
        answers: dict[int, dict[str, Any]] = {}
        deadline = time.monotonic() + PATIENCE
        while len(answers) < workers:
            assert time.monotonic() < deadline, (answers, self.log)
            try:
                answer = self.ask()
            except (AssertionError, httpx.HTTPError):
                assert self.process.poll() is None, self.log
                time.sleep(0.02)
                continue
            answers.pop(answer["worker"], None)
            if good(answer):
                answers[answer["worker"]] = answer
        return answers

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@contextmanager
def serving(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, project: Path = PROJECT
) -> Iterator[Server]:
    log = folder / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=project,
            env={**environment, "HOME": str(folder)},  # gunicorn 27 puts a socket there
            stderr=sink,
            stdout=sink,
        )
    try:
        yield Server(process, log)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def environment(etcd_server: EtcdServer) -> dict[str, str]:
    """Seed etcd with the project's own script; give the environment that the README sets."""
    etcd_server.delete_prefix("/config/storefront/")
    etcdctl = etcd_server.site.binaries.etcdctl
    environment = {
        **os.environ,
        "PATH": f"{etcdctl.parent}{os.pathsep}{os.environ['PATH']}",
        "ETCDCTL_ENDPOINTS": etcd_server.endpoint,
        "STOREFRONT_ETCD_URL": f"etcd://{etcd_server.endpoint}/config/storefront/",
    }
    subprocess.run([PROJECT / "seed.sh"], check=True, env=environment, timeout=60)
    return environment


def manage(environment: Mapping[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=PROJECT,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


@pytest.mark.parametrize("kind", SERVERS)
def test_a_change_reaches_every_worker(
    kind: str,
    environment: dict[str, str],
    etcd_server: EtcdServer,
    tmp_path: Path,
) -> None:
    """All workers tell the new flag and one revision; a wrong one is refused; reloading and stopping hang nowhere."""
    workers = 1 if kind == "uvicorn" else 2
    with serving(SERVERS[kind], environment, tmp_path) as server:
        first = server.answers(workers, lambda answer: answer["checkout"] is False and answer["page_size"] == 50)
        etcd_server.etcdctl("put", "/config/storefront/FEATURE_CHECKOUT", "true")
        began = time.monotonic()
        changed = server.answers(workers, lambda answer: answer["checkout"] is True)
        took = time.monotonic() - began
        print(f"{kind}: {took:.2f} s until every worker told the change")  # noqa: T201  # the figure, with -s

        assert took < PATIENCE
        assert first.keys() == changed.keys()
        assert 1 == len({answer["revision"] for answer in changed.values()})
        etcd_server.etcdctl("put", "/config/storefront/FEATURE_CHECKOUT", "certainly")
        etcd_server.etcdctl("put", "/config/storefront/FEATURE_CHECKOUT", "true")
        etcd_server.etcdctl("put", "/config/storefront/FEATURE_BANNER/text", "Bye")
        server.answers(workers, lambda answer: answer["checkout"] is True and answer["banner"]["text"] == "Bye")
        if kind in RELOADED:
            server.process.send_signal(signal.SIGHUP)
            server.answers(workers, lambda answer: answer["worker"] not in first and answer["checkout"] is True)
        # Uvicorn stops in good order, and then ends by the signal that it was sent.
        assert (-signal.SIGTERM if kind == "uvicorn" else 0) == server.stop(), server.log
    assert "certainly" not in server.log


def test_the_autoreloader_starts_the_site_anew(
    environment: dict[str, str], etcd_server: EtcdServer, tmp_path: Path
) -> None:
    """Under ``runserver`` live settings follow etcd, and a changed file brings all that etcd holds by then."""
    project = shutil.copytree(PROJECT, tmp_path / "project")
    command = ["-u", "manage.py", "runserver", "127.0.0.1:0"]
    with serving(command, environment, tmp_path, project) as server:
        try:
            first = server.answers(1, lambda answer: answer["checkout"] is False)
            etcd_server.etcdctl("put", "/config/storefront/FEATURE_CHECKOUT", "true")
            etcd_server.etcdctl("put", "/config/storefront/PAGE_SIZE", "70")
            same = server.answers(1, lambda answer: answer["checkout"] is True)
            (project / "storefront" / "urls.py").touch()

            anew = server.answers(1, lambda answer: answer["worker"] not in first)
        finally:
            stopped = server.stop()  # a kill would leave the child that serves
    assert (first.keys(), 50) == (same.keys(), *(answer["page_size"] for answer in same.values()))
    assert [(True, 70)] == [(answer["checkout"], answer["page_size"]) for answer in anew.values()]
    assert 0 == stopped


def test_a_refused_update_is_logged_without_the_value(
    environment: dict[str, str], etcd_server: EtcdServer, tmp_path: Path
) -> None:
    """The log names the key; the workers go on with what they had, through an outage too, and take what comes after."""
    with serving(SERVERS["sync"], environment, tmp_path) as server:
        server.answers(2, lambda answer: True)
        etcd_server.etcdctl("put", "/config/storefront/FEATURE_CHECKOUT", "certainly")
        eventually(lambda: "/config/storefront/FEATURE_CHECKOUT" in server.log)
        server.answers(2, lambda answer: answer["checkout"] is False)
        etcd_server.restart()
        etcd_server.etcdctl("put", "/config/storefront/FEATURE_CHECKOUT", "true")

        server.answers(2, lambda answer: answer["checkout"] is True)
        assert 0 == server.stop()
    assert "certainly" not in server.log


def test_the_commands_tell_what_etcd_says(environment: dict[str, str], etcd_server: EtcdServer) -> None:
    """``check``, ``show``, ``explain`` and ``diff``; secrets are masked."""
    assert 0 == manage(environment, "check").returncode
    shown = manage(environment, "etcd_settings", "show")
    explained = manage(environment, "etcd_settings", "explain", "FEATURE_BANNER/text")
    different = manage(environment, "etcd_settings", "diff")

    assert "FEATURE_BANNER = {'text': 'Hello', 'percent': 100}\n" in shown.stdout
    assert "SECRET_KEY = '**********'\n" in shown.stdout
    assert "FEATURE_BANNER/text comes from /config/storefront/FEATURE_BANNER/text" in explained.stdout
    assert (1, True) == (different.returncode, "PAGE_SIZE: 20 -> 50\n" in different.stdout)
    assert "FEATURE_CHECKOUT" not in different.stdout
    assert "change me" not in shown.stdout + different.stdout


def test_watch_prints_changes_until_it_is_interrupted(
    environment: dict[str, str], etcd_server: EtcdServer, tmp_path: Path
) -> None:
    """One line a change, and exit code 130."""
    log = tmp_path / "watch"
    with log.open("wb") as sink:
        command = [sys.executable, "manage.py", "etcd_settings", "watch"]
        process = subprocess.Popen(command, cwd=PROJECT, env=environment, stderr=sink, stdout=sink)
    try:
        eventually(lambda: "Watching" in log.read_text())
        etcd_server.etcdctl("put", "/config/storefront/PAGE_SIZE", "70")
        eventually(lambda: "PAGE_SIZE = 70" in log.read_text())
        process.send_signal(signal.SIGINT)
        assert 130 == process.wait(PATIENCE)
    finally:
        process.kill()
        process.wait()


def test_the_commands_while_etcd_is_away(environment: dict[str, str], tmp_path: Path) -> None:
    """With a ``last_good`` file they work and say so; without, the error names the endpoint."""
    saved = tmp_path / "last"
    there = environment["STOREFRONT_ETCD_URL"]
    assert 0 == manage({**environment, "STOREFRONT_ETCD_URL": f"{there}?last_good={saved}"}, "check").returncode
    gone = "etcd://127.0.0.1:1/config/storefront/"

    kept = manage({**environment, "STOREFRONT_ETCD_URL": f"{gone}?last_good={saved}"}, "etcd_settings", "show")
    failed = manage({**environment, "STOREFRONT_ETCD_URL": gone}, "check")

    assert "PAGE_SIZE = 50" in kept.stdout
    assert "Etcd does not answer" in kept.stderr
    assert 0 != failed.returncode
    assert "127.0.0.1:1: connection refused" in failed.stderr

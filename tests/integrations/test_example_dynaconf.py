"""The example service does what its README says, under a real gunicorn with several workers, on a real etcd."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from etcd_settings.testing import EtcdServer
from tests.waiting import eventually

PROJECT = Path(__file__).parents[2] / "integrations" / "dynaconf"
WORKERS = 3


class Service:
    """The greeter under gunicorn, on a free port."""

    def __init__(self, environment: dict[str, str], *options: str) -> None:
        command = [sys.executable, "-m", "gunicorn", "--workers", str(WORKERS), "--bind", "127.0.0.1:0", *options]
        self.process = subprocess.Popen(
            [*command, "--graceful-timeout", "5", "greeter.service:app"],
            cwd=PROJECT,
            env=environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def log(self) -> str:
        return "".join(self.lines)

    @property
    def url(self) -> str:
        found = re.search(r"http://127\.0\.0\.1:\d+", self.log)
        return found[0] if found else ""

    def workers(self) -> dict[int, dict[str, Any]]:
        """Ask until every worker has answered, or many times: pid → what it said last; a new connection each time."""
        answers: dict[int, dict[str, Any]] = {}
        for _ in range(60):
            answer = self.ask()
            if answer is not None:
                answers[answer["pid"]] = answer
            if len(answers) == WORKERS:
                break
        return answers

    def ask(self) -> dict[str, Any] | None:
        try:
            answer = httpx.get(f"{self.url}/worker", headers={"token": "change me"}, timeout=10)
        except (httpx.HTTPError, httpx.UnsupportedProtocol):
            return None
        return dict(answer.json()) if answer.status_code == 200 else None

    def stop(self) -> int:
        self.process.terminate()
        try:
            return self.process.wait(30)
        finally:
            self.process.kill()
            self._reader.join(20)

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stderr:
            for line in stderr:
                self.lines.append(line)  # read while it comes


@pytest.fixture
def environment(etcd_server: EtcdServer) -> dict[str, str]:
    """Seed etcd with the project's own script; give the environment that the README sets."""
    etcd_server.delete_prefix("/config/greeter/")
    etcdctl = etcd_server.site.binaries.etcdctl
    environment = {
        **os.environ,
        "PATH": f"{etcdctl.parent}{os.pathsep}{os.environ['PATH']}",
        "ETCDCTL_ENDPOINTS": etcd_server.endpoint,
        "GREETER_ETCD_URL": f"etcd://{etcd_server.endpoint}/config/greeter/",
    }
    subprocess.run([PROJECT / "seed.sh"], check=True, env=environment, timeout=60)
    return environment


@pytest.fixture(
    params=[[], ["--preload"], ["--worker-class", "gthread", "--threads", "4"], ["--worker-class", "gevent"]],
    ids=" ".join,
)
def service(environment: dict[str, str], request: pytest.FixtureRequest) -> Iterator[Service]:
    service = Service(environment, *request.param)
    try:
        eventually(lambda: len(service.workers()) == WORKERS)
        yield service
    finally:
        service.stop()


def test_the_service_follows_etcd_in_every_worker(service: Service, etcd_server: EtcdServer) -> None:
    """A change reaches all, a wrong one none; HUP makes new workers that follow too, and stopping takes no force."""

    def all_say(greeting: str) -> bool:
        answers = service.workers().values()
        same = {(answer["greeting"], answer["revision"]) for answer in answers}
        return len(answers) == WORKERS and len(same) == 1 and greeting == next(iter(same))[0]

    assert "Good day, Ada and Eve!" == httpx.get(f"{service.url}/greet?name=Ada&name=Eve").text
    assert 400 == httpx.get(f"{service.url}/greet", params={"name": ["a", "b", "c", "d"]}).status_code
    etcd_server.etcdctl("put", "/config/greeter/production/greeting", "Hi")
    eventually(lambda: all_say("Hi"))

    etcd_server.etcdctl("put", "/config/greeter/default/limits/names", "none-of-them")
    eventually(lambda: service.log.count("refused") >= WORKERS)
    assert "none-of-them" not in service.log
    etcd_server.etcdctl("put", "/config/greeter/default/limits/names", "3")

    old = set(service.workers())
    service.process.send_signal(signal.SIGHUP)
    eventually(lambda: len(new := set(service.workers())) == WORKERS and not new & old)
    etcd_server.etcdctl("put", "/config/greeter/production/greeting", "Hey")
    eventually(lambda: all_say("Hey"))

    assert 0 == service.stop()
    assert "SIGKILL" not in service.log
    assert "WORKER TIMEOUT" not in service.log


def test_without_settings_the_service_does_not_start(environment: dict[str, str]) -> None:
    """An outage at the import is told with the endpoint, and gunicorn ends."""
    service = Service({**environment, "GREETER_ETCD_URL": "etcd://127.0.0.1:1/config/greeter/"}, "--preload")

    assert 0 != service.process.wait(30)
    service.stop()
    assert "127.0.0.1:1: connection refused" in service.log

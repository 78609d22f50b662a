"""Under a real gunicorn every worker follows etcd by itself, and none hangs when it is reloaded or stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from etcd_settings.testing import EtcdServer

WORKERS = 2
PATIENCE = 30.0
CATALOG = Path(__file__).parents[2] / "integrations" / "fastapi"
SITE = """
import os
from pydantic import BaseModel
from etcd_settings import Live, Source

class Settings(BaseModel):
    number: int

source = Source.shared(os.environ["ETCD_SETTINGS_URL"])
live = Live(lambda: source.load(Settings)).start()  # at import: with --preload before the fork

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {live.current.number}".encode()]
"""


class Gunicorn:
    """A master with its workers, on a free port."""

    def __init__(self, *arguments: str, folder: Path, environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", "--workers", str(WORKERS)]
        self.process = subprocess.Popen(
            [*command, "--graceful-timeout", "25", *arguments],
            cwd=folder,
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def get(self, path: str = "/") -> str:
        """Ask one worker, over a new connection; empty if it is not there yet, or any more."""
        found = re.search(r"Listening at: (\S+)", self.log)
        try:
            return httpx.get(f"{found[1]}{path}", timeout=10).text if found else ""
        except httpx.TransportError:
            return ""

    def numbers(self) -> dict[str, str]:
        """Give what each worker serves, by its process id; of those that answer first."""
        return dict(pair for pair in (self.get().split() for _ in range(16)) if pair)

    def stop(self) -> float:
        """Give the seconds that it took."""
        began = time.monotonic()
        self.process.terminate()
        try:
            assert 0 == self.process.wait(60), self.log
        finally:
            self.process.kill()
            self._reader.join(20)
        return time.monotonic() - began

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stderr:
            self.lines.extend(stderr)


def wait_for(gunicorn: Gunicorn, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, gunicorn.log
        time.sleep(0.02)


@contextmanager
def serving(*arguments: str, folder: Path, environment: dict[str, str]) -> Iterator[Gunicorn]:
    gunicorn = Gunicorn(*arguments, folder=folder, environment=environment)
    try:
        yield gunicorn
    finally:
        seconds = gunicorn.stop()
    assert seconds < 20, gunicorn.log
    assert not re.search("WORKER TIMEOUT|SIGKILL|Traceback", gunicorn.log), gunicorn.log


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
def test_every_worker_follows(kind: str, preload: tuple[str, ...], etcd_server: EtcdServer, tmp_path: Path) -> None:
    """Changes reach all of them, nonsense none; those that replace others follow too; the end is quick."""
    etcd_server.put("/config/app/number", "1")
    (tmp_path / "site_of_test.py").write_text(SITE)
    environment = {"ETCD_SETTINGS_URL": etcd_server.url, "HOME": str(tmp_path)}
    with serving("-k", kind, *preload, "site_of_test:app", folder=tmp_path, environment=environment) as gunicorn:

        def all_serve(number: str) -> bool:
            found = gunicorn.numbers()
            return len(found) == WORKERS and {number} == {*found.values()}

        wait_for(gunicorn, lambda: all_serve("1"))
        etcd_server.put("/config/app/number", "2")
        wait_for(gunicorn, lambda: all_serve("2"))
        etcd_server.put("/config/app/number", "many")
        refusals = WORKERS + bool(preload)  # the master of a preloaded application has settings too
        wait_for(gunicorn, lambda: gunicorn.log.count("are refused") >= refusals)
        wait_for(gunicorn, lambda: all_serve("2"))

        before = {*gunicorn.numbers()}
        gunicorn.process.send_signal(signal.SIGHUP)
        etcd_server.put("/config/app/number", "3")
        wait_for(gunicorn, lambda: before.isdisjoint(gunicorn.numbers()))
        wait_for(gunicorn, lambda: all_serve("3"))


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
def test_every_worker_of_the_example_service_follows(
    preload: tuple[str, ...], etcd_server: EtcdServer, tmp_path: Path
) -> None:
    """The same for the FastAPI project, whose lifespan starts and ends its Live."""
    etcd_server.put("/config/catalog/api-token", "made up")
    etcd_server.put("/config/catalog/prices/tea", "3.20")
    environment = {
        "CATALOG_ETCD_URL": f"etcd://{etcd_server.endpoint}/config/catalog/",
        "HOME": str(tmp_path),
    }
    worker = ("-k", "uvicorn_worker.UvicornWorker")
    with serving(*worker, *preload, "catalog.api:app", folder=CATALOG, environment=environment) as gunicorn:

        def all_serve(price: str) -> bool:
            return all(price in gunicorn.get("/price/tea") for _ in range(12))

        wait_for(gunicorn, lambda: all_serve("3.20"))
        etcd_server.put("/config/catalog/prices/tea", "4.50")
        wait_for(gunicorn, lambda: all_serve("4.50"))
        etcd_server.put("/config/catalog/prices/tea", "free")
        wait_for(gunicorn, lambda: gunicorn.log.count("are refused") == WORKERS)
        assert all_serve("4.50")
        gunicorn.process.send_signal(signal.SIGHUP)
        wait_for(gunicorn, lambda: gunicorn.log.count("are refused") == WORKERS)
        etcd_server.put("/config/catalog/prices/tea", "5.00")
        wait_for(gunicorn, lambda: all_serve("5.00"))

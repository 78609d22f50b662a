"""The example service does what its README says, under a real uvicorn, on a real etcd."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from etcd_settings.testing import EtcdServer
from tests.waiting import eventually

PROJECT = Path(__file__).parents[2] / "integrations" / "fastapi"


class Service:
    """The catalog under uvicorn, on a free port."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "catalog.api:app", "--port", "0"],
            cwd=PROJECT,
            env=environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        self.lines: list[str] = []
        self.started = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def log(self) -> str:
        return "".join(self.lines)

    @property
    def url(self) -> str:
        found = re.search(r"http://127\.0\.0\.1:\d+", self.log)
        assert found, self.log
        return found[0]

    def stop(self) -> int:
        self.process.terminate()
        self._reader.join(20)
        return self.process.wait(20)

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stderr:
            for line in stderr:
                self.lines.append(line)
                if "Uvicorn running" in line:
                    self.started.set()
        self.started.set()  # or ended


@pytest.fixture
def environment(etcd_server: EtcdServer) -> dict[str, str]:
    """Seed etcd with the project's own script; give the environment that the README sets."""
    etcd_server.delete_prefix("/config/catalog/")
    etcdctl = etcd_server.site.binaries.etcdctl
    environment = {
        **os.environ,
        "PATH": f"{etcdctl.parent}{os.pathsep}{os.environ['PATH']}",
        "ETCDCTL_ENDPOINTS": etcd_server.endpoint,
        "CATALOG_ETCD_URL": f"etcd://{etcd_server.endpoint}/config/catalog/",
    }
    subprocess.run([PROJECT / "seed.sh"], check=True, env=environment, timeout=60)
    return environment


@pytest.fixture
def service(environment: dict[str, str]) -> Iterator[Service]:
    service = Service(environment)
    try:
        assert service.started.wait(30)
        yield service
    finally:
        service.stop()


def test_the_service_serves_what_etcd_holds(service: Service) -> None:
    """Settings reach the handlers as a dependency, keys of dicts as they are."""
    with httpx.Client(base_url=service.url) as client:
        assert {"amount": "3.20", "currency": "EUR"} == client.get("/price/tea").json()
        assert {"amount": "3.80", "currency": "EUR"} == client.get("/price/Coffee").json()
        assert 404 == client.get("/price/coffee").status_code
        assert 403 == client.get("/total", headers={"token": "wrong"}).status_code
        assert {"amount": "7.00", "currency": "EUR"} == client.get("/total", headers={"token": "change me"}).json()


def test_a_change_arrives_without_a_restart(service: Service, etcd_server: EtcdServer) -> None:
    """The service serves the new price, and its callback tells of it."""
    with httpx.Client(base_url=service.url) as client:
        etcd_server.etcdctl("put", "/config/catalog/prices/tea", "4.50")

        eventually(lambda: client.get("/price/tea").json()["amount"] == "4.50")
        eventually(lambda: "New prices for tea" in service.log)


def test_wrong_settings_do_not_get_in(service: Service, etcd_server: EtcdServer) -> None:
    """The last good ones serve on, log and health name the key and not the value, and the next good one is taken."""
    with httpx.Client(base_url=service.url) as client:
        etcd_server.etcdctl("put", "/config/catalog/prices/tea", "free-of-charge")
        eventually(lambda: client.get("/health").json()["refused"])
        assert "3.20" == client.get("/price/tea").json()["amount"]
        refused = client.get("/health").json()["refused"]
        etcd_server.etcdctl("put", "/config/catalog/prices/tea", "1.00")
        eventually(lambda: client.get("/price/tea").json()["amount"] == "1.00")
        assert {"following": True, "reloads": 1, "refused": None} == client.get("/health").json()

    service.stop()
    for told in (refused, service.log):
        assert "'/config/catalog/prices/tea'" in told
        assert "free-of-charge" not in told
        assert "change me" not in told


def test_the_service_survives_an_outage(service: Service, etcd_server: EtcdServer) -> None:
    """While etcd is away the last snapshot is served on, and afterwards the newest."""
    with httpx.Client(base_url=service.url) as client:
        assert 200 == client.get("/price/tea").status_code
        etcd_server.stop()
        eventually(lambda: client.get("/health").json()["following"] is False)
        assert 200 == client.get("/price/tea").status_code
        etcd_server.start()
        etcd_server.etcdctl("put", "/config/catalog/prices/tea", "5.00")

        eventually(lambda: client.get("/price/tea").json()["amount"] == "5.00")


def test_without_settings_the_service_does_not_start(environment: dict[str, str]) -> None:
    """An outage at the start is told with the endpoint, and the process ends."""
    service = Service({**environment, "CATALOG_ETCD_URL": "etcd://127.0.0.1:1/config/catalog/"})

    assert service.started.wait(30)
    assert 0 != service.process.wait(30)
    assert "127.0.0.1:1: connection refused" in service.log

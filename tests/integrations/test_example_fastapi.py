"""The example service does what its README says, under a real uvicorn, on a real etcd."""

from __future__ import annotations

import pytest

from etcd_settings.testing import EtcdServer
from tests.integrations.serving import UVICORN, Project, seeded
from tests.waiting import PATIENCE, eventually

COMMAND = (*UVICORN, "catalog.api:app")


@pytest.fixture
def catalog(etcd_server: EtcdServer) -> Project:
    return seeded(etcd_server, "fastapi", "catalog")


def test_the_service_serves_what_etcd_holds(catalog: Project) -> None:
    """Settings reach the handlers as a dependency, keys of dicts as they are."""
    with catalog.start(*COMMAND) as service:
        assert {"amount": "3.20", "currency": "EUR"} == service.ask("/price/tea").json()
        assert {"amount": "3.80", "currency": "EUR"} == service.ask("/price/Coffee").json()
        assert 404 == service.ask("/price/coffee").status_code
        assert 403 == service.ask("/total", headers={"token": "wrong"}).status_code
        assert {"amount": "7.00", "currency": "EUR"} == service.ask("/total", headers={"token": "change me"}).json()


def test_a_change_arrives_without_a_restart(catalog: Project, etcd_server: EtcdServer) -> None:
    """The service serves the new price, and its callback tells of it."""
    with catalog.start(*COMMAND) as service:
        assert "3.20" == service.ask("/price/tea").json()["amount"]
        etcd_server.etcdctl("put", "/config/catalog/prices/tea", "4.50")

        eventually(lambda: service.ask("/price/tea").json()["amount"] == "4.50")
        eventually(lambda: "New prices for tea" in service.log)


def test_wrong_settings_do_not_get_in(catalog: Project, etcd_server: EtcdServer) -> None:
    """The last good ones serve on, log and health name the key and not the value, and the next good one is taken."""
    with catalog.start(*COMMAND) as service:
        assert service.ask("/health").json()["refused"] is None
        etcd_server.etcdctl("put", "/config/catalog/prices/tea", "free-of-charge")
        eventually(lambda: service.ask("/health").json()["refused"])
        assert "3.20" == service.ask("/price/tea").json()["amount"]
        refused = service.ask("/health").json()["refused"]
        etcd_server.etcdctl("put", "/config/catalog/prices/tea", "1.00")
        eventually(lambda: service.ask("/price/tea").json()["amount"] == "1.00")
        assert {"following": True, "reloads": 1, "refused": None} == service.ask("/health").json()

        service.stop()
        for told in (refused, service.log):
            assert "'/config/catalog/prices/tea'" in told
            assert "free-of-charge" not in told
            assert "change me" not in told


def test_the_service_survives_an_outage(catalog: Project, etcd_server: EtcdServer) -> None:
    """While etcd is away the last snapshot is served on, and afterwards the newest."""
    with catalog.start(*COMMAND) as service:
        assert 200 == service.ask("/price/tea").status_code
        etcd_server.stop()
        eventually(lambda: service.ask("/health").json()["following"] is False)
        assert 200 == service.ask("/price/tea").status_code
        etcd_server.start()
        etcd_server.etcdctl("put", "/config/catalog/prices/tea", "5.00")

        eventually(lambda: service.ask("/price/tea").json()["amount"] == "5.00")


def test_without_settings_the_service_does_not_start(catalog: Project) -> None:
    """An outage at the start is told with the endpoint, and the process ends."""
    with catalog.start(*COMMAND, CATALOG_ETCD_URL="etcd://127.0.0.1:1/config/catalog/") as service:
        assert 0 != service.process.wait(PATIENCE)
        assert "127.0.0.1:1: connection refused" in service.log

"""The example project does what its README says, as a user would run it."""

from __future__ import annotations

import pytest

from etcd_settings.testing import EtcdServer
from tests.integrations.serving import Project, seeded
from tests.waiting import eventually

COMMAND = ("-m", "shop")


@pytest.fixture
def shop(etcd_server: EtcdServer) -> Project:
    return seeded(etcd_server, "pydantic_settings", "shop", "?layer=common/&layer=production/")


def test_the_shop_reads_its_settings(shop: Project) -> None:
    """Layers, a document, a list, a dict with keys as they are, a password that does not show."""
    done = shop.run(*COMMAND)

    assert (0, "") == (done.returncode, done.stderr)
    assert "debug          False" in done.stdout
    assert "shop.example.com, www.shop.example.com" in done.stdout
    assert "De, en" in done.stdout
    assert "host='db.internal', port=5432, password=SecretStr('**********'), pool_size=20" in done.stdout


def test_the_environment_wins(shop: Project) -> None:
    """A single nested value can be overridden without touching etcd."""
    assert "pool_size=2" in shop.run(*COMMAND, DATABASE__POOL_SIZE="2").stdout


def test_nonsense_keeps_the_shop_closed(shop: Project, etcd_server: EtcdServer) -> None:
    """A wrong value is an error that names the field, and does not show the value."""
    etcd_server.etcdctl("put", "/config/shop/production/database/pool-size", "plenty-of-them")

    done = shop.run(*COMMAND)

    assert 1 == done.returncode
    assert "database.pool_size" in done.stderr
    assert "plenty-of-them" not in done.stderr


def test_no_etcd_keeps_the_shop_closed(shop: Project) -> None:
    """An outage at the start is told with the endpoint."""
    done = shop.run(*COMMAND, SHOP_ETCD_URL="etcd://127.0.0.1:1/config/shop/")

    assert 1 == done.returncode
    assert "127.0.0.1:1: connection refused" in done.stderr


def test_the_shop_follows_refuses_and_recovers(shop: Project, etcd_server: EtcdServer) -> None:
    """What its README shows, line by line."""
    key = "/config/shop/production/database/pool-size"
    with shop.start("-m", "shop.follow") as following:
        eventually(lambda: "open" in following.log)
        etcd_server.etcdctl("put", key, "50")
        eventually(lambda: "changed" in following.log)
        etcd_server.etcdctl("put", key, "plenty-of-them")
        eventually(lambda: "refused, and the last good settings stay" in following.log)
        etcd_server.etcdctl("put", key, "60")
        eventually(lambda: following.log.count("changed") == 2)
        assert 0 == following.stop()
        told = [line for line in following.log.splitlines() if "are refused" not in line]  # that is the library's log
        assert "plenty" not in following.log

    assert ["open, with a pool of 20", "a pool of 50 to db.internal", "changed: database.pool_size"] == told[:3]
    assert "the last good settings stay" in told[3]
    assert key in told[4]
    assert ["a pool of 60 to db.internal", "changed: database.pool_size"] == told[5:]

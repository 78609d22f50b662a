"""The example project does what its README says, as a user would run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from etcd_settings.testing import EtcdServer

PROJECT = Path(__file__).parents[2] / "integrations" / "pydantic_settings"


@pytest.fixture
def shop(etcd_server: EtcdServer) -> dict[str, str]:
    """Seed etcd with the project's own script; give the environment that the README sets."""
    etcd_server.delete_prefix("/config/shop/")
    binaries = etcd_server.site.binaries
    environment = {
        **os.environ,
        "PATH": f"{binaries.etcdctl.parent}{os.pathsep}{os.environ['PATH']}",
        "ETCDCTL_ENDPOINTS": etcd_server.endpoint,
        "SHOP_ETCD_URL": f"etcd://{etcd_server.endpoint}/config/shop/?layer=common/&layer=production/",
    }
    subprocess.run([PROJECT / "seed.sh"], check=True, env=environment, timeout=60)
    return environment


def run(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "shop"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_shop_reads_its_settings(shop: dict[str, str]) -> None:
    """Layers, a document, a list, a dict with keys as they are, a password that does not show."""
    done = run(shop)

    assert (0, "") == (done.returncode, done.stderr)
    assert "debug          False" in done.stdout
    assert "shop.example.com, www.shop.example.com" in done.stdout
    assert "De, en" in done.stdout
    assert "host='db.internal', port=5432, password=SecretStr('**********'), pool_size=20" in done.stdout


def test_the_environment_wins(shop: dict[str, str]) -> None:
    """A single nested value can be overridden without touching etcd."""
    assert "pool_size=2" in run({**shop, "DATABASE__POOL_SIZE": "2"}).stdout


def test_nonsense_keeps_the_shop_closed(shop: dict[str, str], etcd_server: EtcdServer) -> None:
    """A wrong value is an error that names the field, and does not show the value."""
    etcd_server.etcdctl("put", "/config/shop/production/database/pool-size", "plenty-of-them")

    done = run(shop)

    assert 1 == done.returncode
    assert "database.pool_size" in done.stderr
    assert "plenty-of-them" not in done.stderr


def test_no_etcd_keeps_the_shop_closed(shop: dict[str, str]) -> None:
    """An outage at the start is told with the endpoint."""
    done = run({**shop, "SHOP_ETCD_URL": "etcd://127.0.0.1:1/config/shop/"})

    assert 1 == done.returncode
    assert "127.0.0.1:1: connection refused" in done.stderr


def test_the_shop_follows_refuses_and_recovers(shop: dict[str, str], etcd_server: EtcdServer) -> None:
    """What its README shows, line by line."""
    key = "/config/shop/production/database/pool-size"
    following = subprocess.Popen(
        [sys.executable, "-m", "shop.follow"], cwd=PROJECT, env=shop, stdout=subprocess.PIPE, text=True
    )
    with following, following.stdout as lines:  # type: ignore[union-attr]  # it is a pipe
        try:
            assert "open, with a pool of 20\n" == next(lines)
            etcd_server.etcdctl("put", key, "50")
            assert "a pool of 50 to db.internal\n" == next(lines)
            assert "changed: database.pool_size\n" == next(lines)
            etcd_server.etcdctl("put", key, "plenty-of-them")
            told = next(lines) + next(lines)
            assert "the last good settings stay" in told
            assert key in told
            assert "plenty" not in told
            etcd_server.etcdctl("put", key, "60")
            assert "a pool of 60 to db.internal\n" == next(lines)
        finally:
            following.terminate()
    assert 0 == following.wait(20)

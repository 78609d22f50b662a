"""
What all our tests share.

Servers come from the testing kit that we ship, and from nowhere else.
"""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from etcd_settings import source
from etcd_settings.stores.python_etcd3 import Etcd3Client
from etcd_settings.testing import EtcdServer

# Few examples, so that the suite stays quick on every save; HYPOTHESIS_PROFILE=thorough searches longer.
settings.register_profile("quick", max_examples=40, deadline=None)
settings.register_profile("thorough", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

pytest_plugins = ["pytester"]

TESTS = Path(__file__).parent


def import_etcd3() -> Any:
    """Import python-etcd3, or skip the test: its generated code needs an environment of its own (`nox -s etcd3`)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # protobuf has a lot to say about code of that age
        return pytest.importorskip("etcd3", reason="python-etcd3 is tested in its own environment: nox -s etcd3")


@pytest.fixture
def etcd3_client(etcd_server: EtcdServer) -> Iterator[Etcd3Client]:
    """Give python-etcd3's client of the server."""
    with import_etcd3().client(*etcd_server.endpoint.split(":")) as client:
        yield client


@pytest.fixture(autouse=True)
def _no_ambient_etcd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the variables of whoever runs the tests away from what is tested; which etcd to run is theirs to say."""
    for name in os.environ:
        if name.startswith(("ETCD", "ETCDCTL")) and name != "ETCD_BIN":
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_shared_sources() -> Iterator[None]:
    """Close what a test got from ``Source.shared``: the next one may use the same URL, and must not find its cache."""
    yield
    for shared in source._registry.all():
        shared.close()


def pytest_configure() -> None:
    """
    Be interruptible, and let children be.

    Whoever runs the tests in the background of a shell, or under nohup, has these signals ignored, and so would all
    programs that the tests start and interrupt.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs a real etcd, so that it can be run again with another one."""
    lent, servers = {"etcd_server", "etcd_cluster"}, {"consistency", "etcd", "testing"}
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""
        if folder in servers or lent.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("etcd")

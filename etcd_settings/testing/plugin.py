"""
Lend pytest's tests a real etcd.

The fixtures start a server or a cluster once in a session, when the first test asks for it, and hand it from test to
test: whole again whatever the last one did to it, with nothing under the application's prefix.

pytest loads this module in every run of every project that has etcd-settings installed, so at its top it imports pytest
and nothing else. Switch it off with ``-p no:etcd-settings``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import pytest

if TYPE_CHECKING:
    from etcd_settings.testing.cluster import EtcdCluster
    from etcd_settings.testing.server import EtcdServer

__all__ = ["etcd_cluster", "etcd_server"]


@pytest.fixture
def etcd_server(_etcd_server_keeper: _Keeper[EtcdServer]) -> EtcdServer:
    """
    Lend a real etcd, with nothing under its prefix.

    ``etcd_server.url`` is what a `Source` takes. The server is shared by the session's tests; what a test does to it
    (stop it, freeze it, fill it) is undone before the next one.
    """
    return _etcd_server_keeper.lend()


@pytest.fixture
def etcd_cluster(_etcd_cluster_keeper: _Keeper[EtcdCluster]) -> EtcdCluster:
    """Lend a real etcd cluster of three members, with nothing under its prefix. It is shared as `etcd_server` is."""
    return _etcd_cluster_keeper.lend()


@pytest.fixture(scope="session")
def _etcd_server_keeper() -> Iterator[_Keeper[EtcdServer]]:
    from etcd_settings.testing.server import EtcdServer

    keeper = _Keeper(EtcdServer)
    yield keeper
    keeper.close()


@pytest.fixture(scope="session")
def _etcd_cluster_keeper() -> Iterator[_Keeper[EtcdCluster]]:
    from etcd_settings.testing.cluster import EtcdCluster

    keeper = _Keeper(EtcdCluster)
    yield keeper
    keeper.close()


class _Healable(Protocol):
    """What a server and a cluster have in common."""

    def start(self) -> None: ...
    def heal(self) -> None: ...
    def delete_prefix(self) -> int: ...
    def close(self) -> None: ...


Kept = TypeVar("Kept", bound=_Healable)


class _Keeper(Generic[Kept]):
    """Keep one server or cluster between tests; it is made at the first need, and made anew if it is past healing."""

    def __init__(self, make: Callable[[], Kept]) -> None:
        self._make = make
        self._kept: Kept | None = None

    def lend(self) -> Kept:
        return self._heal() or self._renew()

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _heal(self) -> Kept | None:
        """Give the one that is there, if it can be made as good as new."""
        from etcd_settings.errors import EtcdSettingsError

        if self._kept is None:
            return None
        try:
            self._kept.heal()
            self._kept.delete_prefix()
        except (EtcdSettingsError, OSError):  # a test closed it, or switched authentication on, or filled it up
            return None
        return self._kept

    def _renew(self) -> Kept:
        self.close()
        fresh = self._make()
        try:
            fresh.start()
        except BaseException:
            fresh.close()
            raise
        self._kept = fresh
        return fresh

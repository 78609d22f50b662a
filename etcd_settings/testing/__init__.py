"""
Test with a real etcd, and hurt it.

The names come in when they are first used, because pytest loads this package in every run of every project that has it
installed (entry point ``pytest11``), whether or not a test needs an etcd.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from etcd_settings.testing.binaries import Binaries, find_binaries
    from etcd_settings.testing.cluster import EtcdCluster
    from etcd_settings.testing.member import Member, StartError
    from etcd_settings.testing.overriding import override
    from etcd_settings.testing.proxy import Proxy
    from etcd_settings.testing.server import EtcdServer

__all__ = ["Binaries", "EtcdCluster", "EtcdServer", "Member", "Proxy", "StartError", "find_binaries", "override"]

_HOMES = {
    "Binaries": "binaries",
    "EtcdCluster": "cluster",
    "EtcdServer": "server",
    "Member": "member",
    "Proxy": "proxy",
    "StartError": "member",
    "find_binaries": "binaries",
    "override": "overriding",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

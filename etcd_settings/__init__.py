"""
One bulk read from etcd becomes typed, cached, live settings.

This is the shop window. A name is loaded when it is first used, so that ``import etcd_settings`` costs next to nothing
and a program pays for what it uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "TLS",
    "Change",
    "ConfigurationError",
    "Connection",
    "Entry",
    "EtcdSettingsError",
    "Explanation",
    "InvalidSettingsError",
    "Live",
    "Rejection",
    "Snapshot",
    "Source",
    "Status",
    "UnavailableError",
]

if TYPE_CHECKING:
    from etcd_settings.connection import TLS, Connection
    from etcd_settings.errors import ConfigurationError, EtcdSettingsError, InvalidSettingsError, UnavailableError
    from etcd_settings.live import Change, Live, Rejection
    from etcd_settings.snapshot import Entry, Snapshot
    from etcd_settings.source import Source
    from etcd_settings.status import Status
    from etcd_settings.tree import Explanation

_HOMES = {
    "connection": ("TLS", "Connection"),
    "errors": ("ConfigurationError", "EtcdSettingsError", "InvalidSettingsError", "UnavailableError"),
    "live": ("Change", "Live", "Rejection"),
    "snapshot": ("Entry", "Snapshot"),
    "source": ("Source",),
    "status": ("Status",),
    "tree": ("Explanation",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # a type checker knows the names from above, and has to refuse any other

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value  # from now on without this detour
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""The names that users import, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files

import pytest

import etcd_settings
import etcd_settings.etcd

ROOT = [
    "TLS",
    "ConfigurationError",
    "Connection",
    "Entry",
    "EtcdSettingsError",
    "Explanation",
    "InvalidSettingsError",
    "Snapshot",
    "Source",
    "Status",
    "UnavailableError",
]


def test_the_shop_window() -> None:
    """The root has these names, at most 15, and each is there."""
    assert ROOT == sorted(etcd_settings.__all__, key=lambda name: (name != "TLS", name))
    assert len(ROOT) <= 15
    for name in ROOT:
        assert getattr(etcd_settings, name) is not None


def test_the_client_has_its_names() -> None:
    """What a user of the client imports."""
    assert ["Batch", "Client", "Compare", "Delete", "Event", "Get", "Put", "TxnResult", "Watch"] == sorted(
        etcd_settings.etcd.__all__
    )


HEAVY = {"h2", "google.protobuf", "pydantic"}


@pytest.mark.parametrize(
    ("program", "heavy"),
    [
        ("import etcd_settings", HEAVY | {"ssl", "asyncio", "logging"}),
        ("from etcd_settings import Source; Source('memory://x/config/').tree()", HEAVY | {"ssl", "asyncio"}),
        ("import etcd_settings.testing.plugin", HEAVY),
    ],
)
def test_importing_is_cheap(program: str, heavy: set[str]) -> None:
    """HTTP/2, protobuf, pydantic, TLS and asyncio are loaded by whoever needs them, when they do."""
    code = f"import sys\n{program}\nprint(sorted({heavy} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == done.stdout.strip()


def test_the_package_is_typed() -> None:
    """Type checkers believe the annotations only if the package says so."""
    assert files("etcd_settings").joinpath("py.typed").is_file()

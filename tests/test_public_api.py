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


def test_the_shop_window() -> None:
    """The root has these names, at most 15, and each is there."""
    assert ROOT == sorted(etcd_settings.__all__, key=lambda name: (name != "TLS", name))
    assert len(ROOT) <= 15
    for name in ROOT:
        assert getattr(etcd_settings, name) is not None


def test_the_client_has_its_names() -> None:
    """What a user of the client imports."""
    values = [
        "Alarm",
        "Batch",
        "Compare",
        "Delete",
        "Event",
        "Get",
        "Member",
        "MemberStatus",
        "Put",
        "Txn",
        "TxnResult",
    ]

    assert sorted([*values, "Client", "Lease", "Lock", "Lost", "Watch"]) == sorted(etcd_settings.etcd.__all__)


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


def test_a_bare_import_loads_nothing_else_of_ours() -> None:
    """A name of the shop window brings its module when it is used, and not before."""
    code = "import sys, etcd_settings\nprint(sorted(m for m in sys.modules if m.startswith('etcd_settings')))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "['etcd_settings']" == done.stdout.strip()


def test_star_import_gives_exactly_the_window() -> None:
    """`from etcd_settings import *` binds what is public, and `dir` shows it."""
    bound: dict[str, object] = {}
    exec("from etcd_settings import *", bound)

    assert set(ROOT) == set(bound) - {"__builtins__"}
    assert set(ROOT) <= set(dir(etcd_settings))


def test_a_name_that_is_not_public_is_refused() -> None:
    """As by any other module, and by type checkers as well."""
    with pytest.raises(AttributeError, match="module 'etcd_settings' has no attribute 'Sauce'"):
        etcd_settings.Sauce  # type: ignore[attr-defined]  # noqa: B018  # that is the point

"""
Say how the project is checked, each check in an environment of its own.

``nox`` runs everything that this machine has the Pythons for; ``nox -s tests-3.12 -- -k lease`` passes arguments on.
"""

from __future__ import annotations

import os
from pathlib import Path

import nox

nox.needs_version = ">=2024.10"
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False

PYTHONS = ["3.11", "3.12", "3.13"]
OLDEST = [
    *("h2==4.1.*", "protobuf==4.21.*", "cachetools==5.0.*", "pydantic-settings==2.8.*", "pydantic==2.7.*"),
    *("dynaconf==3.2.*", "python-decouple==3.8", "click==8.1.*", "rich==13.*", "tomli-w==1.0.*", "pyyaml==6.0.*"),
]
"""The least that pyproject.toml asks for; `.ci/run` names the same."""

PYDANTIC_SETTINGS = ["2.8", "2.9", "2.10", "2.11", "2.12", "2.13", "2.14", "2.15", "2.16"]
DYNACONF = ["3.2", "3.3"]

DJANGO = ["5.2", "6.0", "6.1"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run all tests with the newest of everything."""
    session.install(".[dev]")
    session.run("pytest", *session.posargs)


@nox.session(python=PYTHONS[0])
def oldest(session: nox.Session) -> None:
    """Run all tests with the oldest libraries that we say we work with."""
    session.install(".[dev]", *OLDEST)
    session.run("pytest", *session.posargs)


@nox.session(python=PYTHONS[0])
@nox.parametrize("version", PYDANTIC_SETTINGS)
def pydantic_settings(session: nox.Session, version: str) -> None:
    """Run what builds on pydantic-settings with each of its versions."""
    session.install(".[dev]", f"pydantic-settings=={version}.*")
    session.run("pytest", "tests/unit/fitting", "tests/integrations", *session.posargs)


@nox.session(python=PYTHONS[0])
@nox.parametrize("package", ["etcd3", "python3-etcd3"])
def etcd3(session: nox.Session, package: str) -> None:
    """Read and watch through python-etcd3, whose generated code needs protobuf in Python, and through a newer fork."""
    session.install(".[dev]", package)
    env = {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"} if package == "etcd3" else {}
    session.run("pytest", "tests/contract", "tests/etcd/test_python_etcd3.py", *session.posargs, env=env)


@nox.session(python=PYTHONS[0])
@nox.parametrize("version", DYNACONF)
def dynaconf(session: nox.Session, version: str) -> None:
    """Run what builds on Dynaconf with each of its versions."""
    session.install(".[dev]", f"dynaconf=={version}.*")
    session.run("pytest", "tests/integrations", "-k", "dynaconf", *session.posargs)


@nox.session(python=PYTHONS[1])
@nox.parametrize("version", DJANGO)
def django(session: nox.Session, version: str) -> None:
    """Run what builds on Django with each of its versions; 6.0 and later take Python 3.12 or newer."""
    session.install(".[dev]", f"django=={version}.*")
    session.run("pytest", "-k", "django", "tests/integrations", *session.posargs)


@nox.session(python=PYTHONS[-1])
def prereleases(session: nox.Session) -> None:
    """Run all tests with what will be the newest tomorrow."""
    session.install("--pre", ".[dev]")
    session.run("pytest", *session.posargs)


@nox.session(python=PYTHONS[0])
def etcd34(session: nox.Session) -> None:
    """Run the tests that need a server on the oldest etcd that we support; $ETCD34_BIN names one."""
    etcd = os.environ.get("ETCD34_BIN", "")
    if not etcd:
        session.skip("set ETCD34_BIN to the path of an etcd 3.4 (Debian bookworm: package etcd-server)")
    session.install(".[dev]")
    session.run("pytest", "-m", "etcd", *session.posargs, env={"ETCD_BIN": etcd})


@nox.session(python=PYTHONS[0])
def coverage(session: nox.Session) -> None:
    """
    Tell what no test has run.

    The measuring begins before pytest, because our own plugin is loaded with it. Pytest is run by its path, because
    ``-m pytest`` would put this folder before the installed package.
    """
    session.install(".[dev]")
    session.run("coverage", "erase")
    session.run("coverage", "run", str(Path(session.bin) / "pytest"), *session.posargs)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session(python=PYTHONS[0])
def lint(session: nox.Session) -> None:
    """Check style, types and floors."""
    session.install(".[dev]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("pyright")
    session.run("lint-imports")


@nox.session(python=PYTHONS[0])
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    session.install(".[docs,all]")
    target = Path(session.create_tmp()) / "html"
    session.run("sphinx-build", "-W", "--keep-going", "-q", "docs", str(target))

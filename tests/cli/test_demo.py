"""The demonstration is what a newcomer sees first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.terminals import piped


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("ETCD_SETTINGS_URL", "etcd://127.0.0.1:1/elsewhere/")


def test_the_demo_shows_what_it_promises(tmp_path: Path) -> None:
    """It ends well by itself: values with their origins, a change, a refused update; no secret; nothing left behind."""
    done = piped("demo")

    assert (0, "") == (done.returncode, done.stderr)
    for shown in (
        "orders/db/pool/size",
        "common/db.json",
        "the default",
        "20 → 50",
        "valid boolean",
        "valid integer",
        "is 60",
    ):
        assert shown in done.stdout
    assert "s3cr3t" not in done.stdout
    assert [] == list(tmp_path.iterdir())


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing package is told with the command that mends it, not with a traceback."""
    (tmp_path / "click.py").write_text("raise ModuleNotFoundError(\"No module named 'click'\", name='click')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    done = piped("demo")

    assert 1 == done.returncode
    assert "pip install 'etcd-settings[cli]'" in done.stderr
    assert "Traceback" not in done.stderr

"""The demonstration is what a newcomer sees first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "etcd_settings", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "COLUMNS": "100", **environment},
    )


def test_the_demo_shows_what_it_promises(tmp_path: Path) -> None:
    """It ends well by itself: values with their origins, a change, a refused update; no secret; nothing left behind."""
    done = run("demo", TMPDIR=str(tmp_path), ETCD_SETTINGS_URL="etcd://127.0.0.1:1/elsewhere/")

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


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    """A missing package is told with the command that mends it, not with a traceback."""
    (tmp_path / "click.py").write_text("raise ModuleNotFoundError(\"No module named 'click'\", name='click')\n")

    done = run("demo", PYTHONPATH=str(tmp_path))

    assert 1 == done.returncode
    assert "pip install 'etcd-settings[cli]'" in done.stderr
    assert "Traceback" not in done.stderr

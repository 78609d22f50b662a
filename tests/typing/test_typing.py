"""What users write is fine with their type checkers, in strict mode, and runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
USES = sorted(HERE.glob("use_*.py"))


def run(*command: str) -> None:
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=HERE.parents[1])
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_agrees() -> None:
    """mypy's strict mode finds nothing, and no ignored error that is none."""
    run("-m", "mypy", "--strict", "--warn-unused-ignores", *map(str, USES))


def test_pyright_agrees(tmp_path: Path) -> None:
    """Pyright's strict mode finds nothing, and no ignored error that is none."""
    for use in USES:
        shutil.copy(use, tmp_path)
    config = {"typeCheckingMode": "strict", "reportUnnecessaryTypeIgnoreComment": "error", "pythonVersion": "3.11"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(config))

    run("-m", "pyright", "--pythonpath", sys.executable, "--project", str(tmp_path))


@pytest.mark.parametrize("use", USES, ids=lambda use: use.stem)
def test_it_runs(use: Path) -> None:
    """What checkers find fine does what it says."""
    run("-W", "error", str(use))

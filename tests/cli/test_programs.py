"""Every verb works as a program of its own, piped and on a terminal; the other tests call it in their process."""

from __future__ import annotations

from pathlib import Path

import pytest

from etcd_settings.testing import EtcdServer
from tests.cli.terminals import on_terminal, piped

MODEL = """
from pydantic import BaseModel

class Settings(BaseModel):
    level: str
"""


@pytest.fixture(autouse=True)
def _place(etcd_server: EtcdServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    etcd_server.put(f"{etcd_server.prefix}level", "loud")
    (tmp_path / "shop_programs.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ETCD_SETTINGS_URL", etcd_server.url)


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["show"], "loud"),
        (["get", "level"], "loud"),
        (["explain", "level"], "level = loud"),
        (["check", "shop_programs:Settings"], "accepts"),
        (["schema", "shop_programs:Settings"], '"level"'),
        (["status"], "healthy"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_verb_is_a_program(arguments: list[str], shown: str) -> None:
    """Its answer is on stdout, alone, and there is no escape sequence in a pipe."""
    done, terminal = piped(*arguments), on_terminal(*arguments)

    assert (0, "") == (done.returncode, done.stderr)
    assert shown in done.stdout
    assert "\x1b" not in done.stdout
    assert 0 == terminal[0]
    assert shown in terminal[1]


@pytest.mark.parametrize(("verb", "sign", "code"), [("watch", "Watching", 130), ("dev", "Ctrl-C ends it", 0)])
def test_ctrl_c_ends_what_runs(verb: str, sign: str, code: int) -> None:
    """Typed on a terminal, where it goes to everybody in the foreground; there is no traceback."""
    ended, shown = on_terminal(verb, interrupt_after=sign)

    assert code == ended
    assert "Traceback" not in shown

"""Every verb works as a program of its own, piped and on a terminal; the other tests call it in their process."""

from __future__ import annotations

from pathlib import Path

import pytest

from etcd_settings.cli import _VERBS
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
    (tmp_path / "same.json").write_text('{"level": "loud"}')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ETCD_SETTINGS_URL", etcd_server.url)


ANSWERS = {
    "show": ([], "loud"),
    "get": (["level"], "loud"),
    "explain": (["level"], "level = loud"),
    "check": (["shop_programs:Settings"], "accepts"),
    "schema": (["shop_programs:Settings"], '"level"'),
    "diff": (["same.json"], "hold the same"),
    "push": (["same.json"], "holds all of it already"),
    "pull": ([], 'level = "loud"'),
    "copy": (["SRC", "DST", "--yes"], " at revision "),
    "history": (["level"], "+ level = loud"),
    "rollback": (["--to-revision", "NOW"], "holds all of it already"),
    "status": ([], "healthy"),
}


@pytest.mark.parametrize("verb", ANSWERS)
def test_a_verb_is_a_program(verb: str, etcd_server: EtcdServer) -> None:
    """Its answer is on stdout, alone, and there is no escape sequence in a pipe."""
    arguments, shown = ANSWERS[verb]
    known = {"SRC": etcd_server.url, "DST": etcd_server.url.replace("/config/", "/copied/")}
    known["NOW"] = str(etcd_server.revision())
    arguments = [verb, *(known.get(argument, argument) for argument in arguments)]
    done, terminal = piped(*arguments), on_terminal(*arguments)

    assert 0 == done.returncode
    assert "" == done.stderr or verb == "history"  # where others have compacted, it says so
    assert shown in done.stdout
    assert "\x1b" not in done.stdout
    assert 0 == terminal[0]
    assert shown in terminal[1]


RUNNING = {"watch": ("Watching", 130), "dev": ("Ctrl-C ends it", 0)}


@pytest.mark.parametrize("verb", RUNNING)
def test_ctrl_c_ends_what_runs(verb: str) -> None:
    """Typed on a terminal, where it goes to everybody in the foreground; there is no traceback."""
    sign, code = RUNNING[verb]
    ended, shown = on_terminal(verb, interrupt_after=sign)

    assert code == ended
    assert "Traceback" not in shown


def test_no_verb_is_left_out() -> None:
    """The demo has its own test."""
    assert {*_VERBS} == {*ANSWERS, *RUNNING, "demo"}

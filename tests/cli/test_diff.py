"""`diff` tells where a file and etcd differ, by its exit code too, and shows no secret."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from etcd_settings.etcd import Client
from etcd_settings.masking import MASK
from etcd_settings.testing import EtcdServer
from tests.cli.conftest import Run
from tests.cli.terminals import PROGRAM, on_terminal, piped
from tests.filling import fill

HELD = {"level": "info", "beta": "True", "db.json": '{"host": "pg1", "port": 5432}', "db/password": "correct horse"}
SAME = """
level = "info"
beta = "True"

[db]
host = "pg1"
port = 5432
password = "correct horse"
"""
OTHER = SAME.replace('"info"', '"debug"').replace("correct horse", "battery staple").replace('beta = "True"', "new = 1")


@pytest.fixture(autouse=True)
def _place(etcd_server: EtcdServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ETCD_SETTINGS_URL", etcd_server.url)
    (tmp_path / "same.toml").write_text(SAME)
    (tmp_path / "other.toml").write_text(OTHER)
    fill(etcd_server, HELD)


def test_the_same_in_another_shape_is_no_difference(run: Run) -> None:
    """A document in etcd and a table in the file hold the same: exit code 0."""
    done = run("diff", "same.toml")

    assert (0, "") == (done.code, done.err)
    assert "hold the same" in done.out


def test_differences_are_told_with_secrets_masked(run: Run) -> None:
    """Each key with its sign, and exit code 1; ``--reveal`` shows what is secret."""
    done = run("diff", "other.toml")

    assert (1, "") == (done.code, done.err)
    assert [
        "- beta = True",
        f"~ db/password = {MASK} -> {MASK}",
        "~ level = info -> debug",
        "+ new = 1",
    ] == done.out.splitlines()
    assert "battery staple" in run("diff", "other.toml", "--reveal").out


def test_json_has_the_documented_shape(run: Run, etcd_server: EtcdServer) -> None:
    """One object, whether there are differences or not."""
    same, other = run("diff", "same.toml", "--json"), run("diff", "other.toml", "--json")

    assert (0, 1) == (same.code, other.code)
    assert (False, []) == (same.json["different"], same.json["changes"])
    assert other.json["different"]
    assert {"kind": "create", "path": "new", "old": None, "new": "1"} in other.json["changes"]
    assert same.json["revision"] == other.json["revision"] > 0


def test_diff_writes_nothing(run: Run, etcd_server: EtcdServer) -> None:
    """It is a question."""
    with Client(etcd_server.url) as client:
        before = client.get_prefix(etcd_server.prefix)
        run("diff", "other.toml")

        assert before.revision == client.get_prefix(etcd_server.prefix).revision


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nothing.toml"], 6),
        (["same.txt"], 6),
        (["broken.toml"], 6),
        (["same.toml", "--url", "etcd://127.0.0.1:1/a/?timeout=1"], 3),
        ([], 2),
    ],
    ids=["missing", "unknown suffix", "broken", "no etcd", "no file"],
)
def test_wrong_input_has_its_code(run: Run, tmp_path: Path, arguments: list[str], code: int) -> None:
    """And one to three lines on stderr, none of which shows a value."""
    (tmp_path / "broken.toml").write_text("password = correct horse")

    done = run("diff", *arguments)

    assert code == done.code
    assert "correct horse" not in done.err
    assert done.err.startswith("Error: ")


def test_as_a_program(run: Run) -> None:
    """In a pipe there are no escape sequences, on a terminal there are colours."""
    done = piped("diff", "other.toml")
    code, shown = on_terminal("diff", "other.toml")

    assert (1, 1) == (done.returncode, code)
    assert "\x1b" not in done.stdout
    assert "\x1b[32m+ new = 1" in shown


def test_two_files_are_compared_too(run: Run) -> None:
    """Whatever their formats are: reading verbs take ``file://``."""
    Path("held.json").write_text('{"level": "info", "beta": "True", "db": {"host": "pg1", "port": "5432"}}')
    Path("file.yaml").write_text("{level: info, beta: 'True', db: {host: pg1, port: 5432}}")
    url = f"file://{Path('held.json').absolute()}"

    assert 0 == run("diff", "file.yaml", "--url", url).code
    differs = run("diff", "same.toml", "--url", url)
    assert (1, [f"+ db/password = {MASK}"]) == (differs.code, differs.out.splitlines())


def test_the_code_is_the_answer_though_nobody_reads() -> None:
    """A reader that went away makes nothing equal."""
    command = f"({shlex.join([*PROGRAM, 'diff', 'other.toml'])}; echo $? >code) | true"
    subprocess.run(command, shell=True, check=False, timeout=60)

    assert "1\n" == Path("code").read_text()

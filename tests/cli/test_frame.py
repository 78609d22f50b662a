"""What all verbs have in common."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from etcd_settings import __version__
from etcd_settings.cli import cli
from etcd_settings.cli.exits import CODES
from tests.cli.conftest import Run
from tests.cli.terminals import PROGRAM

VERBS = cli.list_commands(cli.make_context("etcd-settings", [], resilient_parsing=True))
HEAVY = {"google.protobuf", "h2", "pydantic", "rich", "yaml"}


@pytest.mark.parametrize("arguments", [["--help"], *([verb, "--help"] for verb in VERBS)])
def test_help_teaches(arguments: list[str], run: Run) -> None:
    """It has examples for each verb, and ends with the exit codes."""
    done = run(*arguments)

    assert (0, "") == (done.code, done.err)
    assert ["130", "interrupted"] == done.out.splitlines()[-1].split()
    assert all(f"\n  {int(code)} " in done.out for code in CODES)
    assert "Examples:\n  etcd-settings" in done.out or arguments == ["--help"]


def test_the_verbs_are_named(run: Run) -> None:
    """Each with one line; the version is there as well."""
    shown = run("--help").out

    assert all(f"\n  {verb} " in shown for verb in VERBS)
    assert __version__ in run("--version").out


def test_help_loads_little() -> None:
    """Etcd's client, pydantic and rich take longer to import than all else together; no help waits for them."""
    code = (
        "import sys; from etcd_settings.cli import cli\n"
        "for arguments in [['--help'], *([verb, '--help'] for verb in sys.argv[1:])]:\n"
        "    cli.main(arguments, standalone_mode=False)\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    light = [verb for verb in VERBS if verb != "demo"]  # it is a show, and needs them all
    done = subprocess.run([sys.executable, "-c", code, *light], capture_output=True, text=True, check=True)

    assert set() == HEAVY.intersection(done.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["dmo"], "Did you mean 'demo'?"),
        (["--nonsense"], "No such option"),
        (["demo", "--nonsense"], "No such option"),
        (["demo", "nonsense"], "unexpected extra argument"),
    ],
)
def test_wrong_usage_is_code_2(arguments: list[str], line: str, run: Run) -> None:
    """It says what is wrong, and where help is."""
    done = run(*arguments)

    assert (2, "") == (done.code, done.out)
    error, mend = done.err.splitlines()
    assert error.startswith("Error: ")
    assert line in error
    assert "--help'" in mend


def test_without_a_verb_it_shows_its_help(run: Run) -> None:
    """On stderr, since that is wrong usage as well."""
    done = run()

    assert (2, "") == (done.code, done.out)
    assert "Verbs:" in done.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete(shell: str) -> None:
    """Click's completion gives the script, and completes verbs and options."""
    environ = {**os.environ, "_ETCD_SETTINGS_COMPLETE": f"{shell}_source"}
    command = [sys.executable, "-m", "etcd_settings"]
    script = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    words = {"COMP_WORDS": "etcd-settings de", "COMP_CWORD": "de" if shell == "fish" else "1"}
    environ |= {**words, "_ETCD_SETTINGS_COMPLETE": f"{shell}_complete"}
    found = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    assert "_ETCD_SETTINGS_COMPLETE" in script.stdout
    assert "demo" in found.stdout


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_a_full_disk_is_one_line(argument: str) -> None:
    """No traceback."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*PROGRAM, argument], stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    assert (6, "Error: No space left on device.\n") == (done.returncode, done.stderr)

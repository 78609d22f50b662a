"""`show`, `get` and `explain` tell what etcd holds, and hide what is secret."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etcd_settings.cli.exits import Code
from etcd_settings.masking import MASK
from etcd_settings.source import Source
from etcd_settings.testing import EtcdServer
from tests.cli.conftest import Run
from tests.cli.terminals import PROGRAM, on_terminal, piped

SECRET = "correct horse"
KEYS: dict[str, str | bytes] = {
    "common/db.json": f'{{"host": "pg1", "port": 5432, "password": "{SECRET}", "options": {{}}}}',
    "common/level": "info",
    "common/hosts": '["a", "b"]',
    "common/blob": b"\xff\0",
    "orders/db/host": "pg2",
    "orders/pin": SECRET,
    "orders/odd": "two\nlines \x1b[31m",
}
TREE: dict[str, Any] = {
    "blob": {"base64": base64.b64encode(b"\xff\0").decode()},
    "db": {"host": "pg2", "options": {}, "password": SECRET, "port": 5432},
    "hosts": '["a", "b"]',
    "level": "info",
    "odd": "two\nlines \x1b[31m",
    "pin": SECRET,
}
MODEL = """
from pydantic import BaseModel, SecretStr

class Settings(BaseModel):
    pin: SecretStr
"""


@pytest.fixture
def url(etcd_server: EtcdServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Fill an etcd, and let the environment name it; the commands then need no ``--url``."""
    for path, value in KEYS.items():
        etcd_server.put(etcd_server.prefix + path, value)
    url = f"{etcd_server.url}?layer=common/&layer=orders/"
    monkeypatch.setenv("ETCD_SETTINGS_URL", url)
    return url


@pytest.fixture
def _model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "hiding_pins.py").write_text(MODEL)
    yield
    sys.modules.pop("hiding_pins", None)


@pytest.mark.usefixtures("url")
def test_show_gives_the_tree(run: Run) -> None:
    """With ``--json`` nested as a program sees it, secrets masked by their names; ``--reveal`` shows them."""
    hidden = {**TREE, "db": {**TREE["db"], "password": MASK}}

    assert hidden == run("show", "--json").json
    assert TREE == run("show", "--json", "--reveal").json
    assert TREE["db"] == run("show", "db", "--json", "--reveal").json


@pytest.mark.usefixtures("url")
def test_show_gives_a_line_for_each_leaf(run: Run) -> None:
    """In a pipe: sorted, one line each whatever they hold, and nothing that would steer a terminal."""
    done = run("show")

    assert (0, "") == (done.code, done.err)
    assert [
        "blob = 2 bytes that are no text",
        "db/host = pg2",
        "db/options = {}",
        f"db/password = {MASK}",
        "db/port = 5432",
        'hosts = ["a", "b"]',
        "level = info",
        "odd = two\\nlines \\x1b[31m",
        f"pin = {SECRET}",
    ] == done.out.splitlines()
    assert ["db/host = pg2"] == run("show", "db/host").out.splitlines()


@pytest.mark.usefixtures("url", "_model")
@pytest.mark.parametrize("verb", [["show"], ["show", "--json"], ["get", "pin"], ["explain", "pin"]])
def test_a_model_tells_what_else_is_secret(verb: list[str], run: Run) -> None:
    """Its ``SecretStr`` fields are masked, unless ``--reveal`` is given."""
    model = ["--model", "hiding_pins:Settings"]

    assert MASK in run(*verb, *model).out
    assert SECRET not in run(*verb, *model).out
    assert SECRET in run(*verb, *model, "--reveal").out


@pytest.mark.usefixtures("url")
@pytest.mark.parametrize(
    ("path", "out"),
    [
        ("level", "info\n"),
        ("/level/", "info\n"),
        ("db/host", "pg2\n"),
        ("db/port", "5432\n"),
        ("db/password", f"{MASK}\n"),
        ("odd", "two\nlines \x1b[31m\n"),
        ("db/options", "db/options = {}\n"),
        ("hosts", '["a", "b"]\n'),
    ],
)
def test_get_prints_one_value(path: str, out: str, run: Run) -> None:
    """Into a pipe as it is."""
    done = run("get", path)

    assert (0, out, "") == (done.code, done.out, done.err)


@pytest.mark.usefixtures("url")
def test_get_gives_bytes_as_they_are(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """A value that is no text goes into a pipe byte for byte; in JSON it is base64."""
    subprocess.run([*PROGRAM, "get", "blob"], check=True)

    assert b"\xff\0" == capfdbinary.readouterr().out
    assert TREE["blob"] == json.loads(piped("get", "blob", "--json").stdout)


@pytest.mark.usefixtures("url")
@pytest.mark.parametrize("verb", ["show", "get", "explain"])
def test_what_is_not_there_is_code_1(verb: str, run: Run) -> None:
    """The line names the nearest key that is there."""
    done = run(verb, "levle")

    assert (Code.NO, "") == (done.code, done.out)
    assert "Did you mean 'common/level'" in done.err or "Did you mean 'level'" in done.err
    assert Code.NO == run(verb, "level/below").code


@pytest.mark.usefixtures("url")
def test_explain_tells_winner_and_shadowed(etcd_server: EtcdServer, run: Run) -> None:
    """Each with key, layer and revision, and the place within a document."""
    told = run("explain", "db/host", "--json").json

    assert ("db/host", "pg2") == (told["path"], told["value"])
    assert {"key": f"{etcd_server.prefix}orders/db/host", "layer": "orders/", "inside": ""} == {
        name: value for name, value in told["winner"].items() if name != "revision"
    }
    assert [("common/", "host")] == [(lost["layer"], lost["inside"]) for lost in told["shadowed"]]
    assert told["winner"]["revision"] > told["shadowed"][0]["revision"] > 0
    lost = f"{etcd_server.prefix}common/db.json at host (layer common/), revision {told['shadowed'][0]['revision']}"
    assert [
        "db/host = pg2",
        f"  from {etcd_server.prefix}orders/db/host (layer orders/), revision {told['winner']['revision']}",
        f"  instead of {lost}",
    ] == run("explain", "db/host").out.splitlines()
    assert MASK in run("explain", "db/password").out
    assert Code.NO == run("explain", "db").code


def test_an_empty_prefix_shows_nothing(etcd_server: EtcdServer, run: Run) -> None:
    """It is no error, and it is told on stderr."""
    done = run("show", "--url", etcd_server.url)

    assert (0, "") == (done.code, done.out)
    assert "Nothing is under" in done.err
    assert {} == run("show", "--json", "--url", etcd_server.url).json


def test_etcdctls_variables_lead_there_too(url: str, etcd_server: EtcdServer, run: Run) -> None:
    """With ``--prefix``, and without any URL."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ETCD_SETTINGS_URL")
        patch.setenv("ETCDCTL_ENDPOINTS", etcd_server.endpoint)

        assert "info\n" == run("get", "common/level", "--prefix", etcd_server.prefix).out


def test_files_and_memory_can_be_read(tmp_path: Path, run: Run) -> None:
    """The same verbs without an etcd."""
    file = tmp_path / "settings.toml"
    file.write_text('[db]\nhost = "pg1"\n')
    Source("memory://cli-reading/app/").store.put("/app/db/host", "pg1")

    for place in (f"file://{file}", "memory://cli-reading/app/"):
        assert {"db": {"host": "pg1"}} == run("show", "--json", "--url", place).json
        assert "pg1\n" == run("get", "db/host", "--url", place).out
        assert "db/host" in run("explain", "db/host", "--url", place).out


@pytest.mark.usefixtures("url")
def test_contradicting_keys_are_code_1(etcd_server: EtcdServer, run: Run) -> None:
    """No tree can be shown, and the keys are named."""
    etcd_server.put(f"{etcd_server.prefix}common/level/deep", "x")

    done = run("show")

    assert (Code.NO, "") == (done.code, done.out)
    assert "common/level" in done.err
    assert len(done.err.splitlines()) <= 3


@pytest.mark.usefixtures("url")
def test_a_terminal_gets_a_table() -> None:
    """In colours, unless ``NO_COLOR`` says no; nothing that etcd holds steers the terminal."""
    code, shown = on_terminal("show")
    without_colours = on_terminal("show", NO_COLOR="1")

    assert 0 == code
    assert "setting" in shown
    assert "\x1b[36m" in shown
    assert "\x1b[36m" not in without_colours[1]
    assert "pg2" in without_colours[1]
    assert "\\x1b[31m" in shown
    assert "lines \x1b[31m" not in shown + on_terminal("get", "odd")[1]


@pytest.mark.usefixtures("url")
def test_json_is_json_wherever_it_goes(etcd_server: EtcdServer) -> None:
    """Whatever letters a pipe takes, and whatever numbers a document has; it steers no terminal."""
    etcd_server.put(f"{etcd_server.prefix}orders/more.toml", 'x = inf\ny = "é\\u009b2J"')
    done = piped("get", "more", "--json", env={**os.environ, "PYTHONIOENCODING": "ascii"})

    assert {"x": "inf", "y": "é\x9b2J"} == json.loads(done.stdout)
    assert r"\u009b2J" in on_terminal("get", "more", "--json")[1]


@pytest.mark.usefixtures("url")
def test_a_pipe_gets_neither_colours_nor_tables() -> None:
    """As a program of its own it writes what it writes in this process."""
    done = piped("show", "db")

    assert (0, "") == (done.returncode, done.stderr)
    assert ["db/host = pg2", "db/options = {}"] == done.stdout.splitlines()[:2]

"""`pull` writes what etcd holds as a file that `push` takes, and that changes nothing."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from etcd_settings.etcd import Client
from etcd_settings.snapshot import Snapshot
from etcd_settings.source import Source
from etcd_settings.spelling import as_text
from etcd_settings.testing import EtcdServer
from tests.cli.conftest import Run
from tests.cli.terminals import on_terminal, piped
from tests.filling import fill

SECRET = "correct horse"
ODD = "Größe 🦉\n\x9b2J"
HELD = {
    "level": "info",
    "beta": "true",
    "empty": "",
    "owl's name": ODD,
    "limits.json": '{"size": 5,\n "none": null, "hosts": []}',
    "db/port": "5432",
    "db/password": SECRET,
    "db/replicas": '["pg2", "pg3"]',
    "no.members.json": "{}",
}
LIMITS: dict[str, Any] = {"size": 5, "none": None, "hosts": []}
TREE = {
    "level": "info",
    "beta": "true",
    "empty": "",
    "owl's name": ODD,
    "limits": LIMITS,
    "db": {"port": "5432", "password": SECRET, "replicas": '["pg2", "pg3"]'},
    "no.members": {},
}
MODELS = """
from pydantic import BaseModel, SecretStr
from tests.filling import fill

class Database(BaseModel):
    port: int
    password: SecretStr
    replicas: list[str]

class Settings(BaseModel):
    beta: bool
    level: str
    db: Database
"""
READERS: dict[str, Callable[[str], Any]] = {"toml": tomllib.loads, "json": json.loads, "yaml": yaml.safe_load}


@pytest.fixture(autouse=True)
def _place(etcd_server: EtcdServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("ETCD_SETTINGS_URL", f"{etcd_server.url}a/")
    (tmp_path / "shop_pulled.py").write_text(MODELS)
    fill(etcd_server, HELD, below="a/")
    yield
    sys.modules.pop("shop_pulled", None)


def held(server: EtcdServer, below: str) -> Snapshot:
    with Client(server.url) as client:
        return client.get_prefix(server.prefix + below)


def content(file: str) -> Any:
    path = Path(file)
    return READERS[path.suffix[1:]](path.read_text())


@pytest.mark.parametrize("form", READERS)
def test_what_was_pulled_moves_nothing_when_it_is_pushed(etcd_server: EtcdServer, run: Run, form: str) -> None:
    """Not a byte, documents included; and an empty prefix gets equal settings, typed ones too."""
    before, other = held(etcd_server, "a/"), f"{etcd_server.url}b/"
    pulled = run("pull", "--output", f"a.{form}")
    pushed = run("push", f"a.{form}", "--prune")
    after = held(etcd_server, "a/")
    codes = [run(*verb, "--url", other).code for verb in (["push", f"a.{form}"], ["pull", "--output", f"b.{form}"])]

    assert (0, "", [0, 0]) == (pulled.code, pulled.err, codes)
    assert f"Wrote {len(HELD)} keys" in pulled.out
    assert SECRET not in pulled.out
    assert "already" in pushed.out
    assert (before, before.revision) == (after, after.revision)
    assert as_text(TREE) == as_text(content(f"a.{form}")) == as_text(content(f"b.{form}"))
    kind = import_module("shop_pulled").Settings
    with Source(f"{etcd_server.url}a/") as source, Source(other) as copied:
        assert source.load(kind) == copied.load(kind)


def test_a_file_is_for_its_owner_alone(run: Run) -> None:
    """An old one is replaced, whatever its mode was, and nothing else is left there."""
    Path("a.json").write_text("{}")
    Path("a.json").chmod(0o644)
    before = {*Path.cwd().iterdir()}

    told = run("pull", "--output", "a.json", "--json").json

    facts = Path("a.json").stat()
    assert 0o600 == stat.S_IMODE(facts.st_mode)
    assert time.time() - facts.st_mtime < 60
    assert TREE == content("a.json")
    assert "a.json" == told["file"]
    assert isinstance(told["revision"], int)
    assert before == {*Path.cwd().iterdir()}


def test_stdout_gets_the_format_that_was_asked_for(run: Run) -> None:
    """TOML by default, where a text stands for null; no control character goes out as it is."""
    found = {form: run("pull", "--format", form) for form in READERS}

    assert {0: ""} == {done.code: done.err for done in found.values()}
    assert TREE == json.loads(found["json"].out) == yaml.safe_load(found["yaml"].out) == run("pull", "--json").json
    assert {**TREE, "limits": {**LIMITS, "none": "null"}} == tomllib.loads(found["toml"].out)
    assert found["toml"].out == run("pull").out
    assert not any("\x9b" in done.out for done in found.values())


def test_a_class_gives_types(run: Run) -> None:
    """To what it wants as a number, a boolean or a list; what it does not know, and secrets, stay texts."""
    assert 0 == run("pull", "--output", "a.toml", "--model", "shop_pulled:Settings").code
    assert "already" in run("push", "a.toml").out
    assert {
        **TREE,
        "beta": True,
        "db": {"port": 5432, "password": SECRET, "replicas": ["pg2", "pg3"]},
        "limits": {**LIMITS, "none": "null"},
    } == content("a.toml")


def test_one_layer_of_several_is_pulled(etcd_server: EtcdServer, run: Run) -> None:
    """As `push` writes one: it has to be named."""
    url = f"{etcd_server.url}?layer=a/&layer=b/"
    etcd_server.put(f"{etcd_server.prefix}b/level", "debug")

    assert {"level": "debug"} == run("pull", "--url", url, "--layer", "b", "--json").json
    assert "Wrote 1 keys" in run("pull", "--url", url, "--layer", "b", "--output", "b.toml").out
    unclear, unknown = run("pull", "--url", url), run("pull", "--url", url, "--layer", "c")
    assert (6, 6) == (unclear.code, unknown.code)
    assert "name one of 'a/', 'b/'" in unclear.err
    assert "no layer 'c/'" in unknown.err


def test_nothing_makes_no_file(etcd_server: EtcdServer, run: Run) -> None:
    """A backup that is there already stays; on stdout nothing is an empty document, and a line says why."""
    Path("a.toml").write_text("kept = 1")
    nowhere = f"{etcd_server.url}nowhere/"
    refused, shown = run("pull", "--output", "a.toml", "--url", nowhere), run("pull", "--json", "--url", nowhere)

    assert (1, "kept = 1") == (refused.code, Path("a.toml").read_text())
    assert "so nothing was written" in refused.err
    assert (0, {}) == (shown.code, shown.json)
    assert "Nothing is under" in shown.err


@pytest.mark.parametrize(
    ("key", "value", "form"),
    [
        (b"blob", b"\xff", "toml"),
        (b"blob", b"\xff", "json"),
        (b"\xff", b"text", "toml"),
        (b"half.json", rb'{"\ud83d": 1}', "json"),
        (b"blob.yaml", b"x: !!binary //4=", "toml"),
    ],
)
def test_what_is_no_text_is_left_to_copy(
    etcd_server: EtcdServer, run: Run, key: bytes, value: bytes, form: str
) -> None:
    """A value, a key, or what is in a document: it is named, no file is written."""
    with Client(etcd_server.url) as client:
        client.put(f"{etcd_server.prefix}a/".encode() + key, value)
    refused = run("pull", "--output", f"a.{form}")

    assert 6 == refused.code
    assert ("blob" if b"blob" in key else "half/" if b"half" in key else "udcff") in refused.err
    assert "etcd-settings copy" in refused.err
    assert not Path(f"a.{form}").exists()


def test_names_that_are_no_keys_are_told(etcd_server: EtcdServer, run: Run) -> None:
    """A document may have them; where it is, pushing the file changes nothing."""
    etcd_server.put(f"{etcd_server.prefix}a/paths.json", '{"/health": 1}')
    done = run("pull", "--output", "a.json")

    assert 0 == done.code
    assert "Pushed elsewhere, this will be refused: 'paths//health'" in done.err
    assert "already" in run("push", "a.json", "--prune").out


def test_yaml_has_a_word_for_bytes(etcd_server: EtcdServer, run: Run) -> None:
    """So it brings back what is no text, in keys too."""
    with Client(etcd_server.url) as client:
        client.put(f"{etcd_server.prefix}a/blob", b"\xff\0")
        client.put(f"{etcd_server.prefix}a/".encode() + b"\xff", "text")
    assert 0 == run("pull", "--output", "a.yaml").code
    assert "already" in run("push", "a.yaml", "--prune").out
    assert 0 == run("push", "a.yaml", "--url", f"{etcd_server.url}b/").code
    assert (b"\xff\0", b"text") == tuple(held(etcd_server, "b/")[path].value for path in ("blob", "\udcff"))


def test_a_file_behind_a_link_is_written_there(run: Run) -> None:
    """The link stays, unless it leads to itself."""
    Path("link.json").symlink_to("there.json")
    Path("loop.json").symlink_to("loop.json")

    assert [0, 0] == [run("pull", "--output", file).code for file in ("link.json", "loop.json")]
    assert Path("link.json").is_symlink()
    assert TREE == content("there.json") == content("loop.json")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--output", "a.ini"], 6, "it is written. Give it one of the suffixes .json, .toml, .yaml, .yml.\n"),
        (["--output", ""], 6, "does not say how it is written"),
        (["--output", "missing/a.toml"], 6, "'missing/a.toml' cannot be written: No such file or directory"),
        (["--output", "folder.toml"], 6, "'folder.toml' is there already, and is no file"),
        (["--output", "a.toml", "--format", "toml"], 2, "--format is for stdout"),
        (["--json", "--format", "toml"], 2, "--format is for stdout"),
        (["--format", "ini"], 2, "'ini' is not one of"),
        (["--model", "shop_pulled:Nothing"], 6, "has no 'Nothing'"),
        (["--url", "etcd://127.0.0.1:1/x/?timeout=0.5", "--output", "a.toml"], 3, "127.0.0.1:1"),
    ],
    ids=repr,
)
def test_what_cannot_be_has_a_line(run: Run, arguments: list[str], code: int, said: str) -> None:
    """And the exit code of its kind; no file comes of it."""
    Path("folder.toml").mkdir()
    done = run("pull", *arguments)

    assert (code, "") == (done.code, done.out)
    assert said in done.err
    assert len(done.err.splitlines()) <= 3
    assert not Path("a.toml").exists()


def test_a_file_of_settings_is_pulled_too(run: Run) -> None:
    """Reading verbs take ``file://``: so one format becomes another."""
    Path("a.yaml").write_text("db: {port: 5432}\n")

    assert '[db]\nport = "5432"\n' == run("pull", "--url", f"file://{Path('a.yaml').absolute()}").out


def test_as_a_program() -> None:
    """Piped in any locale the output is UTF-8; a terminal gets no control character."""
    plain = piped("pull", "--format", "json", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    code, shown = on_terminal("pull")

    assert TREE == json.loads(plain.stdout)
    assert 0 == code
    assert r"\u009b2J" in shown

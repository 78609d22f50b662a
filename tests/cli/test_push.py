"""`push` brings etcd to what a file says, whole or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etcd_settings import publish
from etcd_settings.cli import changing
from etcd_settings.etcd import Client
from etcd_settings.masking import MASK
from etcd_settings.source import Source
from etcd_settings.testing import EtcdServer
from etcd_settings.testing.ports import free_port
from tests.cli.answering import answer
from tests.cli.conftest import Run
from tests.cli.terminals import PROGRAM, on_terminal, piped

SECRET = "correct horse"
FILE = f"""
level = "info"
beta = true

[db]
host = "pg1"
port = 5432
password = "{SECRET}"
"""
TREE = {
    "level": "info",
    "beta": "true",
    "db": {"host": "pg1", "port": "5432", "password": SECRET},
}
MODELS = """
from pydantic import BaseModel, SecretStr
from etcd_settings.integrations.pydantic_settings import EtcdBaseSettings, EtcdSettingsConfigDict

class Database(BaseModel):
    port: int

class Settings(BaseModel):
    db: Database

class Pins(BaseModel):
    pin: SecretStr

class Optional(BaseModel):
    proxy: str | None
    port: int | None

class Layered(EtcdBaseSettings):
    model_config = EtcdSettingsConfigDict(etcd_layers=["common/", "orders/"])
    level: int
"""


@pytest.fixture(autouse=True)
def _place(etcd_server: EtcdServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("ETCD_SETTINGS_URL", etcd_server.url)
    (tmp_path / "a.toml").write_text(FILE)
    (tmp_path / "shop_pushed.py").write_text(MODELS)
    yield
    sys.modules.pop("shop_pushed", None)


def held(server: EtcdServer) -> dict[str, Any]:
    with Source(server.url) as source:
        return source.tree()


def test_push_writes_the_file(etcd_server: EtcdServer, run: Run) -> None:
    """It shows each change with secrets masked; a second push changes nothing."""
    etcd_server.put(f"{etcd_server.prefix}level", "debug")
    done = run("push", "a.toml")

    assert (0, "") == (done.code, done.err)
    assert TREE == held(etcd_server)
    assert [
        "+ beta = true",
        "+ db/host = pg1",
        f"+ db/password = {MASK}",
        "+ db/port = 5432",
        "~ level = debug -> info",
        f"Wrote 5 and deleted 0 at revision {etcd_server.revision()}.",
    ] == done.out.splitlines()
    before = etcd_server.revision()
    assert "already" in run("push", "a.toml").out
    assert before == etcd_server.revision()


def test_json_tells_the_new_revision(etcd_server: EtcdServer, run: Run) -> None:
    """With what changed; ``--reveal`` shows secrets."""
    told = run("push", "a.toml", "--json").json

    assert (True, etcd_server.revision(), []) == (told["applied"], told["revision"], told["problems"])
    assert {"kind": "create", "path": "db/password", "old": None, "new": MASK} == told["changes"][2]
    assert {"applied": False, "revision": told["revision"], "changes": [], "problems": []} == run(
        "push", "a.toml", "--json"
    ).json
    Path("a.toml").write_text(FILE.replace(SECRET, "other"))
    assert SECRET in run("push", "a.toml", "--dry-run", "--reveal").out


def test_prune_deletes_what_the_file_lacks(etcd_server: EtcdServer, run: Run) -> None:
    """Without it that stays."""
    etcd_server.put(f"{etcd_server.prefix}old/token", SECRET)

    assert "old/token" not in run("push", "a.toml").out
    assert {**TREE, "old": {"token": SECRET}} == held(etcd_server)
    assert [f"- old/token = {MASK}"] == run("push", "a.toml", "--prune").out.splitlines()[:1]
    assert TREE == held(etcd_server)


def test_a_dry_run_writes_nothing(etcd_server: EtcdServer, run: Run) -> None:
    """It shows the same."""
    before = etcd_server.revision()
    done = run("push", "a.toml", "--dry-run")

    assert (0, before, {}) == (done.code, etcd_server.revision(), held(etcd_server))
    assert "+ db/host = pg1" in done.out
    assert f"Nothing was written at revision {before}: 5 to write, 0 to delete" in done.out
    assert run("push", "a.toml", "--dry-run", "--json").json["applied"] is False


def test_validate_judges_what_etcd_would_hold(etcd_server: EtcdServer, run: Run) -> None:
    """Of the file and of what stays together, before anything is written; refused is code 1."""
    etcd_server.put(f"{etcd_server.prefix}db/port", SECRET)
    Path("part.yaml").write_text("level: info\n")
    before = etcd_server.revision()
    refused = run("push", "part.yaml", "--validate", "shop_pushed:Settings")
    told = run("push", "part.yaml", "--validate", "shop_pushed:Settings", "--json")

    assert (1, 1, before) == (refused.code, told.code, etcd_server.revision())
    assert (
        f"db.port: Input should be a valid integer, unable to parse string as an integer (from {etcd_server.prefix}"
        in refused.out
    )
    assert "Nothing was written" not in refused.out  # stderr says so
    assert SECRET not in refused.out + refused.err + told.out + told.err
    assert (False, ["db.port"]) == (told.json["applied"], [one["path"] for one in told.json["problems"]])
    assert 0 == run("push", "a.toml", "--validate", "shop_pushed:Settings").code
    assert TREE == held(etcd_server)


def test_what_is_equal_and_refused_is_code_1(etcd_server: EtcdServer, run: Run) -> None:
    """That nothing is to be written makes it no better, nor that nobody reads why."""
    Path("held.json").write_text('{"db": {"port": "x"}}')
    run("push", "held.json")
    refused = run("push", "held.json", "--validate", "shop_pushed:Settings")
    reader, writer = os.pipe()
    os.close(reader)
    command = [*PROGRAM, "push", "held.json", "--validate", "shop_pushed:Settings"]
    unread = subprocess.run(command, stdout=writer, check=False, timeout=60)
    os.close(writer)

    assert (1, 1) == (refused.code, unread.returncode)
    assert "already" not in refused.out


@pytest.mark.parametrize("form", ["toml", "json", "yaml"])
def test_a_byte_order_mark_is_no_content(etcd_server: EtcdServer, run: Run, form: str) -> None:
    """Some editors begin every file with one."""
    texts = {"toml": "a = 1", "json": '{"a": 1}', "yaml": "a: 1"}
    Path(f"b.{form}").write_bytes(BOM_UTF8 + texts[form].encode())

    assert (0, {"a": "1"}) == (run("push", f"b.{form}").code, held(etcd_server))


def test_one_layer_of_several_is_written(etcd_server: EtcdServer, run: Run) -> None:
    """It has to be named; what is validated is all of them, also where the class alone names them."""
    url = f"{etcd_server.url}?layer=common/&layer=orders/"
    Path("b.json").write_text('{"level": 1}')
    unclear = run("push", "b.json", "--url", url)

    assert (6, "") == (unclear.code, unclear.out)
    assert "'common/', 'orders/'" in unclear.err
    assert 0 == run("push", "b.json", "--url", url, "--layer", "orders").code
    assert {"orders": {"level": "1"}} == held(etcd_server)
    Path("c.json").write_text('{"common": {"level": "x"}}')
    assert 0 == run("push", "c.json", "--validate", "shop_pushed:Layered").code
    Path("d.json").write_text('{"orders": {"level": "x"}}')
    assert 1 == run("push", "d.json", "--validate", "shop_pushed:Layered").code


def test_somebody_else_who_writes_meanwhile_is_code_5(
    etcd_server: EtcdServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written, and the key is named without its value."""

    def meanwhile(*_: object, **__: object) -> None:
        etcd_server.put(f"{etcd_server.prefix}level", SECRET)

    monkeypatch.setattr(changing, "have_confirmed", meanwhile)
    done = run("push", "a.toml")

    assert 5 == done.code
    assert f"{etcd_server.prefix}level" in done.err
    assert SECRET not in done.out + done.err
    assert {"level": SECRET} == held(etcd_server)


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("none.toml", None, "No such file"),
        ("folder.toml", "", "irectory"),
        ("plain.txt", "a", "suffixes"),
        ("bad.toml", f"a = [{SECRET}", "not valid TOML"),
        ("bad.json", f'{{"a": {SECRET}', "not valid JSON"),
        ("bad.yaml", f"a: [{SECRET}", "not valid YAML"),
        ("list.json", f'["{SECRET}"]', "a table"),
        ("slash.json", f'{{"a/b": "{SECRET}"}}', "slash"),
        ("empty.json", f'{{"": "{SECRET}"}}', "empty name"),
        ("suffix.json", f'{{"a.json": "{SECRET}"}}', "document"),
    ],
)
def test_a_bad_file_is_code_6(name: str, content: str | None, line: str, etcd_server: EtcdServer, run: Run) -> None:
    """It is told which and why, and nothing of what it holds."""
    if name == "folder.toml":
        Path(name).mkdir()
    elif content is not None:
        Path(name).write_text(content)
    done = run("push", name)

    assert (6, "") == (done.code, done.out)
    assert line in done.err
    assert SECRET not in done.err
    assert {} == held(etcd_server)


def test_what_is_too_large_is_code_6(etcd_server: EtcdServer, run: Run) -> None:
    """Too many keys for one transaction, or too many bytes for one request: nothing is written."""
    Path("many.json").write_text(json.dumps({f"k{number}": "1" for number in range(4097)}))
    Path("long.json").write_text(json.dumps({"long": "x" * 2_000_000}))
    many, long = run("push", "many.json", "--json"), run("push", "long.json", "--json")

    assert 6 == run("push", "many.json", "--dry-run").code
    assert (6, "", 6, "") == (many.code, many.out, long.code, long.out)
    assert "4097 keys" in many.err
    assert "too large" in long.err
    assert (True, False) == ("--batch" in many.err, "--batch" in long.err)  # of one key there is nothing to part
    assert {} == held(etcd_server)


def test_a_large_push_says_what_it_cannot_see(etcd_server: EtcdServer, run: Run) -> None:
    """Past 128 keys nobody notices a deletion; the push is one transaction all the same."""
    Path("many.json").write_text(json.dumps({f"k{number}": "1" for number in range(200)}))
    run("push", "many.json")
    Path("many.json").write_text(json.dumps({f"k{number}": "2" for number in range(200)}))
    done = run("push", "many.json", "--json")

    assert 0 == done.code
    assert "deletion" in done.err
    with Client(etcd_server.url) as client:
        entries = client.get_prefix(etcd_server.prefix).layers[""].values()
    assert {(b"2", done.json["revision"])} == {(entry.value, entry.mod_revision) for entry in entries}
    Path("many.json").write_text(json.dumps({f"k{number}": "3" for number in range(200)} | {"long": "x" * 1_045_000}))
    batch = run("push", "many.json", "--batch", "--json")
    assert 0 == batch.code
    assert "takes 2 transactions" in batch.err
    assert "deletion" in batch.err  # though the one that writes a single key sees everything


def test_wrong_places_and_models_have_their_codes(run: Run, tmp_path: Path) -> None:
    """A file is no etcd, an etcd may be away, and a class may not be there."""
    assert 6 == run("push", "a.toml", "--url", f"file://{tmp_path}/a.toml").code
    assert 3 == run("push", "a.toml", "--url", f"etcd://127.0.0.1:{free_port()}/a/?timeout=1").code
    assert 6 == run("push", "a.toml", "--validate", "no_such_module:Settings").code
    assert 2 == run("push").code


def test_a_program_in_a_pipe_acts(etcd_server: EtcdServer) -> None:
    """It asks nobody, and writes no escape sequence."""
    done = piped("push", "a.toml", stdin=-3)

    assert (0, "") == (done.returncode, done.stderr)
    assert "\x1b" not in done.stdout
    assert TREE == held(etcd_server)


def test_on_a_terminal_it_asks(etcd_server: EtcdServer) -> None:
    """No is code 1, and Ctrl-C 130; with ``--yes`` it acts, in colours."""
    declined, shown = on_terminal("push", "a.toml", answer=("[y/N]", b"n\n"))
    interrupted, _ = on_terminal("push", "a.toml", interrupt_after="[y/N]")

    assert (1, 130, {}) == (declined, interrupted, held(etcd_server))
    assert "Declined" in shown
    assert 0 == on_terminal("push", "a.toml", answer=("[y/N]", b"y\n"))[0]
    assert TREE == held(etcd_server)
    Path("b.json").write_text('{"level": "[b]debug"}')
    code, shown = on_terminal("push", "b.json", "--yes")
    assert (0, "[b]debug") == (code, held(etcd_server)["level"])
    assert "\x1b[33m~ level = info -> [b]debug" in shown


@pytest.mark.parametrize("seen", [False, True])
def test_nobody_is_asked_who_could_not_see_or_answer_it(
    etcd_server: EtcdServer, run: Run, monkeypatch: pytest.MonkeyPatch, *, seen: bool
) -> None:
    """It takes a terminal on both stdin and stderr."""
    answer(monkeypatch, "n")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: seen)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: not seen)

    assert 0 == run("push", "a.toml").code
    assert TREE == held(etcd_server)


def test_the_question_is_no_part_of_the_answer(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``--json`` stdout is JSON alone."""
    answer(monkeypatch, "y")
    done = run("push", "a.toml", "--json")

    assert done.json["applied"]
    assert "Go on?" in done.err


@pytest.fixture
def _large() -> None:
    """A file that takes two transactions, because of its bytes."""
    Path("large.json").write_text(json.dumps({name: name * 900_000 for name in "ab"}))


@pytest.mark.usefixtures("_large")
def test_a_batch_takes_several_transactions_and_says_so(etcd_server: EtcdServer, run: Run) -> None:
    """What is too large for one is refused without it, with the way out; a dry run tells how many it would be."""
    before = etcd_server.revision()
    refused, dry = run("push", "large.json"), run("push", "large.json", "--batch", "--dry-run")
    assert (6, 0, before) == (refused.code, dry.code, etcd_server.revision())
    assert "--batch" in refused.err
    assert 3 >= len(refused.err.splitlines())
    assert "takes 2 transactions" in dry.err

    done = run("push", "large.json", "--batch", "--reveal")
    assert (0, before + 2) == (done.code, etcd_server.revision())
    assert "takes 2 transactions" in done.err
    assert f"Wrote 2 and deleted 0 in 2 transactions, the last at revision {before + 2}." in done.out
    assert len(done.out) < 10_000  # nobody reads more of a value
    assert {name: name * 900_000 for name in "ab"} == held(etcd_server)
    assert "already" in run("push", "large.json", "--batch").out


def test_a_batch_that_fits_is_one_transaction(etcd_server: EtcdServer, run: Run) -> None:
    """Just as without it."""
    before = etcd_server.revision()
    done = run("push", "a.toml", "--batch")

    assert (0, "", before + 1) == (done.code, done.err, etcd_server.revision())
    assert "transactions" not in done.out


@pytest.mark.usefixtures("_large")
def test_a_batch_that_is_cut_off_tells_what_is_there(
    etcd_server: EtcdServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody wrote between two of its transactions: code 5; the same command goes on from there."""
    applied = publish.apply

    def meanwhile(plan: publish.Plan, client: Client, **options: Any) -> int:
        if options["after"] is not None:
            client.put(f"{etcd_server.prefix}theirs", SECRET)
        return applied(plan, client, **options)

    with monkeypatch.context() as patch:
        patch.setattr(publish, "apply", meanwhile)
        done = run("push", "large.json", "--batch", "--json")

    assert (5, "") == (done.code, done.out)
    assert "1 of 2 transactions are in etcd" in done.err
    assert f"{etcd_server.prefix}theirs" in done.err
    assert SECRET not in done.err
    assert {"theirs", "a"} == held(etcd_server).keys()
    assert 0 == run("push", "large.json", "--batch").code
    assert {"theirs", "a", "b"} == held(etcd_server).keys()


@pytest.mark.usefixtures("_large")
def test_a_batch_that_is_interrupted_tells_what_is_there(
    etcd_server: EtcdServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C between two of its transactions leaves nobody in doubt."""
    applied = publish.apply

    def interrupted(plan: publish.Plan, client: Client, *, after: int | None) -> int:
        if after is not None:
            raise KeyboardInterrupt
        return applied(plan, client, after=after)

    monkeypatch.setattr(publish, "apply", interrupted)
    done = run("push", "large.json", "--batch", "--json")

    assert (130, "") == (done.code, done.out)
    assert "1 of 2 transactions are in etcd" in done.err
    assert {"a"} == held(etcd_server).keys()


@pytest.mark.usefixtures("_large")
def test_a_batch_shows_progress_on_a_terminal(etcd_server: EtcdServer) -> None:
    """And leaves none of it behind it in a pipe."""
    code, shown = on_terminal("push", "large.json", "--batch", "--yes")

    assert 0 == code
    assert "Writing" in shown
    assert {"a", "b"} == held(etcd_server).keys()
    Path("large.json").write_text(json.dumps({name: name * 900_000 for name in "cd"}))
    done = piped("push", "large.json", "--batch")
    assert (0, False) == (done.returncode, "Writing" in done.stdout + done.stderr)


@pytest.mark.parametrize("content", ["", "{}"])
def test_an_empty_file_does_not_prune_everything(etcd_server: EtcdServer, run: Run, content: str) -> None:
    """It is far more often a slip: code 1, with the way to do it if it is meant. Without ``--prune`` it is harmless."""
    etcd_server.put(f"{etcd_server.prefix}level", "info")
    Path("empty.yaml").write_text(content)
    refused = run("push", "empty.yaml", "--prune")

    assert (1, "", {"level": "info"}) == (refused.code, refused.out, held(etcd_server))
    assert "all 1 keys would go" in refused.err
    assert 0 == run("push", "empty.yaml").code


def test_a_table_that_lost_its_lines_takes_nothing_away(etcd_server: EtcdServer, run: Run) -> None:
    """In YAML it is null then. What it held goes with ``--prune`` alone; a value may become a table as ever."""
    run("push", "a.toml")
    Path("lost.yaml").write_text("db:\n#  host: pg1\nlevel: {deep: 1}\n")
    refused = run("push", "lost.yaml")

    assert (1, TREE) == (refused.code, held(etcd_server))
    assert "'db' is a single value in the file" in refused.err
    assert "--prune" in refused.err
    Path("lost.yaml").write_text("level: {deep: 1}\n")
    assert 0 == run("push", "lost.yaml").code
    assert {**TREE, "level": {"deep": "1"}} == held(etcd_server)
    Path("lost.yaml").write_text("db:\n")
    assert 0 == run("push", "lost.yaml", "--prune").code
    assert {"db": "null"} == held(etcd_server)


def test_what_the_class_holds_secret_is_masked(run: Run) -> None:
    """Also if the class is there to judge."""
    Path("pins.json").write_text(json.dumps({"pin": SECRET}))
    shown = run("push", "pins.json", "--validate", "shop_pushed:Pins", "--dry-run")

    assert 0 == shown.code
    assert f"+ pin = {MASK}" in shown.out


def test_a_null_that_would_be_read_as_a_text_is_told(etcd_server: EtcdServer, run: Run) -> None:
    """Etcd holds texts; where the class wants a number or none, null is null."""
    Path("nulls.json").write_text('{"proxy": null, "port": null}')
    done = run("push", "nulls.json", "--validate", "shop_pushed:Optional")

    assert (0, {"proxy": "null", "port": "null"}) == (done.code, held(etcd_server))
    assert ["'proxy' is null in the file"] == [line.partition(".")[0] for line in done.err.splitlines()]


def test_an_empty_url_is_no_other_place(etcd_server: EtcdServer, run: Run) -> None:
    """Some variable was not set: the environment's place is not the one that was meant."""
    done = run("push", "a.toml", "--url", "")

    assert (6, {}) == (done.code, held(etcd_server))


def test_it_writes_though_nobody_reads_what_it_says(etcd_server: EtcdServer) -> None:
    """As with ``| true``; and with a stdout that is closed, or takes no letter but ASCII."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*PROGRAM, "push", "a.toml"], stdout=writer, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(writer)

    assert (0, b"", TREE) == (done.returncode, done.stderr, held(etcd_server))
    Path("b.json").write_text('{"level": "é"}')
    closed = subprocess.run(["sh", "-c", f"{sys.executable} -m etcd_settings push b.json >&-"], check=False, timeout=60)
    assert (0, "é") == (closed.returncode, held(etcd_server)["level"])
    Path("b.json").write_text('{"level": "ü"}')
    code, shown = on_terminal("push", "b.json", "--yes", PYTHONIOENCODING="ascii")
    assert (0, "ü") == (code, held(etcd_server)["level"])
    assert r"\xe9 -> \xfc" in shown


def test_it_writes_though_nobody_could_answer(etcd_server: EtcdServer) -> None:
    """A stdin that is closed is no terminal, and an empty file."""
    program = f"{sys.executable} -m etcd_settings push"
    for arguments in ("a.toml", "- --format toml"):
        done = subprocess.run(f"{program} {arguments} <&-", shell=True, capture_output=True, check=False, timeout=60)
        assert (0, b"", TREE) == (done.returncode, done.stderr, held(etcd_server))


def test_stdin_is_a_file_too(etcd_server: EtcdServer) -> None:
    """Its format is said; nobody is asked, since the answer would come from there."""
    done = piped("push", "-", "--format", "toml", input=FILE)
    unclear = piped("push", "-", input=FILE)
    same = piped("diff", "-", "--format", "toml", input=FILE)

    assert (0, 6, 0) == (done.returncode, unclear.returncode, same.returncode)
    assert "--format" in unclear.stderr
    assert TREE == held(etcd_server)

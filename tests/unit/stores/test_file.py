"""A file in place of etcd."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from etcd_settings import ConfigurationError, Source, UnavailableError
from etcd_settings.errors import ConflictError, DecodeError
from etcd_settings.snapshot import Snapshot
from etcd_settings.stores.file import FileStore

TOML = """
debug = true
hosts = ["a", "b"]

[database]
host = "db"
port = 5432
"""
JSON = '{"debug": true, "hosts": ["a", "b"], "database": {"host": "db", "port": 5432}}'
YAML = "debug: true\nhosts: [a, b]\ndatabase: {host: db, port: 5432}\n"
SECRET = "hush-4711"


class Database(BaseModel):
    host: str
    port: int


class Settings(BaseModel):
    debug: bool
    hosts: list[str]
    database: Database


@pytest.mark.parametrize(("name", "text"), [("s.toml", TOML), ("s.json", JSON), ("s.yaml", YAML), ("s.yml", YAML)])
def test_every_format_makes_the_same_settings(tmp_path: Path, name: str, text: str) -> None:
    """What a file says is read as if it had been pushed to etcd."""
    (tmp_path / name).write_text(text)

    with Source(f"file://{tmp_path}/{name}") as source:
        assert {"debug": "true", "hosts": '["a", "b"]', "database": {"host": "db", "port": "5432"}} == source.tree()
        expected = Settings(debug=True, hosts=["a", "b"], database=Database(host="db", port=5432))
        assert expected == source.load(Settings)


def test_layers_are_tables_of_the_file(tmp_path: Path) -> None:
    """Prefixes are paths in the file."""
    (tmp_path / "s.toml").write_text("[common]\na = 1\nb = 1\n[production]\nb = 2\n")

    with Source(f"file://{tmp_path}/s.toml?layer=common/&layer=production/") as source:
        assert {"a": "1", "b": "2"} == source.tree()


def test_an_edit_counts_after_the_ttl_and_keeps_what_did_not_change(tmp_path: Path) -> None:
    """Revisions are counted here: an entry keeps its own while its value stays."""
    file = tmp_path / "s.json"
    file.write_text('{"a": "1", "b": "1"}')
    with Source(f"file://{file}", ttl=0) as source:
        before = source.snapshot()
        file.write_text('{"a": "1", "b": "2", "c": "1"}')
        after = source.snapshot()

    assert (1, 2) == (before.revision, after.revision)
    assert {"b", "c"} == after.changed_since(before)
    assert (1, 2, 2) == (after["a"].mod_revision, after["b"].mod_revision, after["b"].version)


def test_a_watch_follows_the_file(tmp_path: Path) -> None:
    """Edited in place or replaced."""
    file = tmp_path / "s.json"
    file.write_text('{"a": "1"}')
    with Source(f"file://{file}") as source, source.watch() as snapshots:
        assert "1" == next(snapshots)["a"].text
        file.write_text('{"a": "2"}')
        assert "2" == next(snapshots)["a"].text
        fresh = tmp_path / "fresh"
        fresh.write_text('{"a": "3"}')
        fresh.replace(file)
        assert "3" == next(snapshots)["a"].text


def test_a_file_that_broke_is_served_as_it_was(tmp_path: Path) -> None:
    """An edit that is no TOML changes nothing, and is told without a word of the text."""
    file = tmp_path / "s.toml"
    file.write_text('a = "1"')
    with Source(f"file://{file}", ttl=0) as source:
        source.snapshot()
        file.write_text(f"a = {SECRET} =")

        assert {"a": "1"} == source.tree()
        with pytest.raises(DecodeError, match="line 1") as e:
            source.refresh()

    assert SECRET not in f"{e.value}{e.value.__context__!r}"


def test_a_missing_file_is_an_outage(tmp_path: Path) -> None:
    """It may come yet, so that ``required`` decides."""
    url = f"file://{tmp_path}/nowhere.toml"
    with Source(url) as source, pytest.raises(UnavailableError, match=r"nowhere.toml: no such file"):
        source.snapshot()
    with Source(url, required=False) as source:
        assert {} == source.tree()


def test_a_file_without_a_known_suffix_is_refused_at_once(tmp_path: Path) -> None:
    """Its suffix says how it is written."""
    with pytest.raises(ConfigurationError, match=r"settings.ini.*\.toml"):
        Source(f"file://{tmp_path}/settings.ini")


@pytest.mark.parametrize("text", ["[1, 2]", '"a"', "1"])
def test_settings_are_a_table(tmp_path: Path, text: str) -> None:
    """A file with a single value is no settings file."""
    (tmp_path / "s.json").write_text(text)

    with Source(f"file://{tmp_path}/s.json") as source, pytest.raises(ConflictError, match="single value"):
        source.snapshot()


def test_a_name_that_is_no_key_is_refused(tmp_path: Path) -> None:
    """A slash in a name would make two names of it."""
    (tmp_path / "s.json").write_text('{"a/b": "1"}')

    with Source(f"file://{tmp_path}/s.json") as source, pytest.raises(ConfigurationError, match="a/b"):
        source.snapshot()


def test_an_empty_yaml_file_is_empty(tmp_path: Path) -> None:
    """Nothing said is nothing set."""
    (tmp_path / "s.yaml").write_text("# nothing yet\n")

    with Source(f"file://{tmp_path}/s.yaml") as source:
        assert {} == source.tree()


def test_two_contents_never_share_a_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that is overtaken between looking at the file and counting what it found counts on from the other."""
    path = tmp_path / "s.toml"
    path.write_text("a = 1")
    store = FileStore(str(path))
    first = store.read({"": ""}, timeout=1)
    content = store._content
    overtaking: list[Snapshot] = []
    looks = 0

    def slow() -> bytes:
        nonlocal looks
        looks += 1
        found = content()
        if looks == 1:
            path.write_text("a = 3")
            overtaking.append(store.read({"": ""}, timeout=1))
        return found

    path.write_text("a = 2")
    monkeypatch.setattr(store, "_content", slow)
    second, third = store.read({"": ""}, timeout=1), overtaking[0]

    assert ["1", "2", "3"] == [snapshot["a"].text for snapshot in (first, second, third)]
    assert 3 == len({snapshot.revision for snapshot in (first, second, third)})

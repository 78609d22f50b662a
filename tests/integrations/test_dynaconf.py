"""What etcd holds reaches a Dynaconf object, past every pitfall that a naive loader falls into."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from dynaconf import Dynaconf, Validator, add_converter
from dynaconf.utils.inspect import get_history
from dynaconf.utils.parse_conf import converters
from dynaconf.validator import ValidationError

from etcd_settings import Source
from etcd_settings.errors import ConfigurationError, ConflictError, DecodeError, EtcdSettingsError, UnavailableError
from etcd_settings.etcd import Client
from etcd_settings.integrations import dynaconf as loader
from etcd_settings.integrations.dynaconf import IDENTIFIER, LiveDynaconf, delete, load, write
from etcd_settings.live import Live
from etcd_settings.source import _registry
from etcd_settings.testing import EtcdServer

LOADERS = ["etcd_settings.integrations.dynaconf", "dynaconf.loaders.env_loader"]


class App:
    """A prefix of its own in a store in memory, and Dynaconf objects that read it."""

    def __init__(self) -> None:
        self.url = f"memory://{uuid4()}/config/app/"
        self.store: Any = Source.shared(self.url).store

    def put(self, values: dict[str, str | bytes]) -> None:
        for path, value in values.items():
            self.store.put(f"/config/app/{path}", value)

    def remove(self, path: str) -> None:
        assert 1 == self.store.delete(f"/config/app/{path}")

    def keys(self) -> dict[str, str]:
        return {path: entry.text for path, entry in Source(self.url).snapshot().items()}

    def settings(self, values: dict[str, str | bytes] | None = None, **kwargs: Any) -> Any:
        self.put(values or {})
        return Dynaconf(**{"etcd_url": self.url, "loaders": LOADERS, **kwargs})


@pytest.fixture
def app() -> App:
    return App()


def brought(settings: Any) -> dict[str, Any]:
    """What the history says that etcd brought, by environment."""
    found: dict[str, Any] = {}
    for one in get_history(settings):
        if one["loader"] == IDENTIFIER:
            found.setdefault(one["env"], {}).update(one["value"])
    return found


# What is read


@pytest.mark.parametrize(
    ("text", "value"),
    [("5432", 5432), ("false", False), ("0", 0), ("", ""), ("[1, 2]", [1, 2]), ("@json {}", {}), ('"5432"', "5432")],
)
def test_values_are_parsed_at_every_depth(app: App, text: str, value: object) -> None:
    """Falsy ones are values too, and a text in quotes is a text however deep it stands."""
    settings = app.settings({"top": text, "a/b/c": text})

    assert value == settings.TOP
    assert value == settings.A.b.c
    assert value == settings.get_fresh("top")
    assert value == settings.get_fresh("A").b.c


def test_names_are_literal_below_the_first_one(app: App) -> None:
    """The first is in capitals, two underscores are a step, dots and brackets are part of a name."""
    settings = app.settings({"db__port": "1", "prices/tea.green": "2", "prices/tea[0]": "3", "DB/host": "h"})

    assert {"port": 1, "host": "h"} == dict(settings.DB)
    assert {"tea.green": 2, "tea[0]": 3} == dict(settings.PRICES)


def test_documents_keep_their_types(app: App) -> None:
    """A string in JSON is a string, and children merge over it."""
    settings = app.settings({"db.json": '{"zip": "5", "port": 1}', "db/port": "2"})

    assert {"zip": "5", "port": 2} == dict(settings.DB)


def test_all_environments_come_in_one_read(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Default, current, global, in Dynaconf's order, each key by itself; the process's environment is on top."""
    app.put({"default/db/host": "a", "default/db/port": "1", "production/DB/port": "2", "production/x": "1"})
    app.put({"global/x": "3", "staging/x": "9", "default/top": "1"})
    reads: list[object] = []
    read = app.store.read

    def count(layers: Any, *, timeout: float) -> Any:
        reads.append(layers)
        return read(layers, timeout=timeout)

    monkeypatch.setattr(app.store, "read", count)
    monkeypatch.setenv("DYNACONF_TOP", "7")

    settings = app.settings(environments=True, env="production")

    assert ({"host": "a", "port": 2}, 3, 7) == (dict(settings.DB), settings.X, settings.TOP)
    assert 1 == len(reads)
    assert {"default": {"DB": {"host": "a", "port": 1}, "TOP": 1}, "production": {"DB": {"port": 2}, "X": 1}} == {
        name: value for name, value in brought(settings).items() if name != "global"
    }


def test_branches_merge_however_deep(app: App) -> None:
    """Below a keyword argument, between environments, whatever the case; a dict that one value holds replaces."""
    app.put({"default/a/b/c": "1", "production/A/B/d": "2", "default/e/f": "1", "production/e": "{g = 2}"})

    settings = app.settings(environments=True, env="production", A={"b": {"x": 0, "c": 0}})

    assert {"b": {"x": 0, "c": 1, "d": 2}} == settings.as_dict()["A"]
    assert {"g": 2} == settings.as_dict()["E"]


def test_the_first_object_of_a_process_hands_its_url_on(tmp_path: Path) -> None:
    """Though it was made before anybody imported the loader."""
    (tmp_path / "s.toml").write_text("[default]\nx = 1\n[staging]\nx = 2\n")
    program = (
        "import dynaconf, sys\n"
        f"settings = dynaconf.Dynaconf(etcd_url='file://{tmp_path}/s.toml', loaders={LOADERS}, environments=True)\n"
        "assert 'etcd_settings' not in sys.modules\n"
        "print(settings.X, settings.from_env('staging').X)\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)

    assert ("1 2\n", "") == (done.stdout, done.stderr)


def test_other_environments_are_read_through_the_same_object(app: App) -> None:
    """`from_env` keeps the URL that the object was given, and `using_env` comes back."""
    settings = app.settings({"default/x": "1", "staging/x": "2", "staging/y": "3"}, environments=True)

    assert (1, 2) == (settings.X, settings.from_env("staging").X)
    with settings.using_env("staging"):
        assert (2, 3) == (settings.X, settings.Y)
    assert 1 == settings.X
    assert "Y" not in settings


def test_the_url_may_come_from_the_environment(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the object was given wins over it."""
    app.put({"x": "1"})
    monkeypatch.setenv("ETCD_URL_FOR_DYNACONF", app.url)

    assert 1 == Dynaconf(loaders=LOADERS).X
    assert "X" not in Dynaconf(loaders=LOADERS, etcd_url=f"memory://{uuid4()}/")
    assert 1 == Dynaconf(loaders=LOADERS, ETCD_URL_FOR_DYNACONF=app.url).X


# Reloading


def test_reload_asks_etcd_whatever_the_ttl(app: App) -> None:
    """What is new is there, what was deleted is gone, and a keyword default shows again."""
    settings = app.settings({"x": "1", "y": "1", "db/a": "1", "db/b": "1"}, Y=0, X=5, DB={"c": 3})
    assert (1, 1, {"a": 1, "b": 1, "c": 3}) == (settings.X, settings.Y, dict(settings.DB))
    app.put({"x": "2"})
    app.remove("y")
    app.remove("db/b")

    settings.reload()

    assert (2, 0, {"a": 1, "c": 3}) == (settings.X, settings.Y, dict(settings.DB))
    assert {"main": {"X": 2, "DB": {"a": 1}}} == brought(settings)


@pytest.mark.parametrize("kwargs", [{}, {"HOSTS": [0], "DB": {"hosts": [0]}}, {"merge_enabled": True, "HOSTS": [0]}])
def test_merges_do_not_grow(app: App, kwargs: dict[str, Any]) -> None:
    """However often everything or one setting is loaded, a merged list stays as it was."""
    settings = app.settings({"hosts": "@merge [1]", "db/hosts": "@merge [1]", "list": "[1]"}, **kwargs)
    before = settings.as_dict()

    for _ in range(3):
        settings.reload()
        settings.get_fresh("HOSTS"), settings.get_fresh("DB"), settings.get_fresh("LIST")

    assert before == settings.as_dict()
    assert [*kwargs.get("HOSTS", []), 1] == settings.HOSTS
    assert [*kwargs.get("DB", {}).get("hosts", []), 1] == settings.DB.hosts


def test_one_setting_is_loaded_anew(app: App) -> None:
    """`get_fresh` asks etcd; what was deleted is gone, from the history too, and a default shows again."""
    settings = app.settings({"x": "1", "y": "1", "z": "0"}, Y=5)
    app.put({"x": "2"})
    app.remove("y")
    assert (2, 5) == (settings.get_fresh("x"), settings.get_fresh("y"))
    app.remove("x")

    assert settings.get_fresh("x") is None
    assert {"main": {"Z": 0}} == brought(settings)


def test_an_outage_takes_nothing_away(etcd_server: EtcdServer) -> None:
    """`get_fresh` and `reload` keep what there was; at the start an outage is an error whatever SILENT_ERRORS says."""
    etcd_server.etcdctl("put", "/config/app/x", "1")
    url = f"{etcd_server.url}?timeout=1"
    settings = Dynaconf(etcd_url=url, loaders=LOADERS, silent_errors=True)
    assert 1 == settings.X
    etcd_server.stop()
    try:
        assert 1 == settings.get_fresh("X")
        settings.reload()
        assert 1 == settings.X
        late = Dynaconf(etcd_url=f"{url}&ttl=7", loaders=LOADERS, silent_errors=True)
        with pytest.raises(UnavailableError, match="connection refused"):
            late.get("X")
        assert "none" == Dynaconf(etcd_url=f"{url}&required=false", loaders=LOADERS).get("X", "none")
    finally:
        etcd_server.start()
    etcd_server.etcdctl("put", "/config/app/x", "2")
    assert 2 == late.X
    for source in _registry.all():
        source.close()


@pytest.mark.parametrize("again", [lambda s: s.reload(), lambda s: s.get_fresh("X")], ids=["reload", "get_fresh"])
def test_what_was_good_is_put_back(app: App, monkeypatch: pytest.MonkeyPatch, again: Callable[[Any], object]) -> None:
    """Bad values are an error, and nothing is lost for it: not what etcd held, not what the environment holds."""
    monkeypatch.setenv("DYNACONF_TOP", "7")
    settings = app.settings({"x": "1", "top": "1", "db/a": "1"})
    assert 1 == settings.X
    before = settings.as_dict()
    app.put({"x": "@read_file /etc/passwd"})

    with pytest.raises(ConfigurationError, match="'/config/app/x'"):
        again(settings)

    assert before == settings.as_dict()
    assert 7 == settings.TOP


# What is refused


@pytest.mark.parametrize(
    "text",
    [
        "@format {env[HOME]}",
        "@jinja {{ env.HOME }}",
        "@read_file /etc/hostname",
        "@get OTHER",
        "@int @format {env[HOME]}",
        "@merge @format {env[HOME]}",
        '@merge ["@format {env[HOME]}"]',
        "@insert 0 @read_file /etc/hostname",
        '["@format {env[HOME]}"]',
        '{a = "@format {env[HOME]}"}',
        '@json {"a": "@format {env[HOME]}"}',
        r'@json {"a": "\u0040format {env[HOME]}"}',
        '"@format {env[HOME]}"',
        "@mine 5",
    ],
)
@pytest.mark.parametrize("path", ["x", "a/b"])
def test_tokens_that_reach_outside_are_refused(app: App, text: str, path: str) -> None:
    """First or further on, at any depth, the program's own too; the error names the key and shows no value."""
    add_converter("mine", str)
    settings = app.settings()
    try:
        app.put({path: text})
        with pytest.raises(ConfigurationError, match=f"'/config/app/{path}'") as caught:
            settings.get("ANY")
    finally:
        del converters["@mine"]

    assert "HOME" not in str(caught.value)
    assert "hostname" not in str(caught.value)


def test_tokens_in_documents_are_refused(app: App) -> None:
    """A string in a document passes the same check."""
    with pytest.raises(ConfigurationError, match=r"'/config/app/x\.json'"):
        app.settings({"x.json": '{"a": ["@format {env[HOME]}"]}'}).get("X")


def test_tokens_may_be_allowed(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are named, and no others; an e-mail address is no token."""
    monkeypatch.setenv("HOME", "/home/me")
    settings = app.settings({"x": "@format {env[HOME]}/x", "mail": "me @format.org"}, etcd_allow_tokens=["format"])

    assert ("/home/me/x", "me @format.org") == (settings.X, settings.MAIL)
    app.put({"y": "@get X"})
    with pytest.raises(ConfigurationError, match="@get"):
        settings.reload()
    with pytest.raises(ConfigurationError, match="without the @"):
        app.settings(etcd_allow_tokens=["formt"]).get("X")


def test_a_value_that_its_token_does_not_take_is_told_without_it(app: App) -> None:
    """All such keys at once; neither the error nor what hangs on it quotes the value."""
    with pytest.raises(DecodeError) as caught:
        app.settings({"x": "@int s3cret", "y": b"\xff"}).get("X")

    assert ["/config/app/x", "/config/app/y"] == [problem.key for problem in caught.value.problems]  # type: ignore[attr-defined]
    assert "s3cret" not in str(caught.value)
    assert caught.value.problems[0].__context__ is None


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"port": "1", "PORT": "2"}, ConflictError),
        ({"db/port": "1", "DB__port": "2"}, ConflictError),
        ({"db": "1", "DB/port": "2"}, ConflictError),
        ({"dynaconf_include": "x.py"}, ConfigurationError),
        ({"LOADERS_FOR_DYNACONF": "[]"}, ConfigurationError),
    ],
)
def test_names_that_cannot_be_are_refused(app: App, values: Any, error: type[EtcdSettingsError]) -> None:
    """Two spellings of one name, and what configures Dynaconf itself; nothing of it is applied."""
    settings = app.settings({"x": "1"})
    assert 1 == settings.X
    app.put(values)

    with pytest.raises(error, match="/config/app/"):
        settings.reload()

    assert 1 == settings.X


@pytest.mark.parametrize("url", ["etcd://localhost/config/?tll=3", "http://localhost/", 5, "memory://x/c/?layer=a/"])
def test_a_wrong_url_is_a_clear_error(url: object) -> None:
    """With environments, layers of its own are one too."""
    with pytest.raises(ConfigurationError):
        Dynaconf(etcd_url=url, loaders=LOADERS, environments=True, silent_errors=True).get("X")


# Writing


@pytest.mark.parametrize(
    "value",
    [
        "5432",
        "true",
        "",
        "plain",
        '"quoted"',
        "@int 5",
        "a\nb\x7f",
        "[1]",
        "é😀",
        " x ",
        5,
        1.5,
        True,
        None,
        [1, "2"],
        {},
    ],
)
def test_what_is_written_comes_back(app: App, value: object) -> None:
    """Of its type and at every depth; strings as strings, whatever they look like."""
    settings = app.settings()

    write(settings, {"x": value}, DB={"a": value})

    assert (value, value) == (settings.X, settings.DB.a)
    assert type(value) is type(app.settings().as_dict()["X"])
    settings.reload()
    assert (value, value) == (settings.X, settings.DB.a)


def test_writing_replaces_other_spellings(app: App) -> None:
    """Afterwards one key stands for the setting, and its neighbours are as they were."""
    settings = app.settings({"port": "1", "db.json": '{"a": 1}', "other": "1", "DB2/a": "1"})

    write(settings, {"PORT": 2, "DB": "flat"})

    assert {"PORT": "2", "DB": "flat", "other": "1", "DB2/a": "1"} == app.keys()
    assert (2, "flat", 1) == (settings.PORT, settings.DB, settings.OTHER)


def test_writing_is_one_transaction_in_etcd(etcd_server: EtcdServer) -> None:
    """Writing and deleting another spelling have one revision; so has deleting."""
    etcd_server.etcdctl("put", "/config/app/production/port", "1")
    settings = Dynaconf(etcd_url=etcd_server.url, loaders=LOADERS, environments=True, env="production")
    source = Source(etcd_server.url)
    before = source.snapshot().revision

    write(settings, PORT=2, HOST="h")

    after = source.refresh()
    assert (before + 1, {"production/PORT", "production/HOST"}) == (after.revision, set(after))
    with Client(etcd_server.url) as client:
        for number in range(130):  # more than one transaction takes
            client.put(f"/config/app/production/n/{number}", "1")
    delete(settings)
    assert (before + 132, set()) == (source.refresh().revision, set(source.snapshot()))
    assert "PORT" not in settings
    for one in (source, *_registry.all()):
        one.close()


def test_the_environment_stays_on_top_of_what_is_written(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dynaconf's own loaders put what they wrote over everything."""
    monkeypatch.setenv("DYNACONF_PORT", "7")
    settings = app.settings()

    write(settings, PORT=1)

    assert 7 == settings.PORT


def test_deleting_uncovers_what_is_below(app: App) -> None:
    """Every spelling goes, in the current environment alone."""
    settings = app.settings({"default/port": "1", "production/Port": "2"}, environments=True, env="production")
    assert 2 == settings.PORT

    delete(settings, "PORT")

    assert 1 == settings.PORT
    assert {"default/port": "1"} == app.keys()


def test_the_functions_serve_without_being_a_loader(app: App) -> None:
    """As with Dynaconf's own: an object that has other loaders can still write, load and delete."""
    settings = app.settings(loaders=["dynaconf.loaders.env_loader"])

    write(settings, {"SECRET": "works"})
    assert "works" == settings.SECRET
    app.put({"SECRET": "anew"})
    load(settings, key="SECRET")
    assert "anew" == settings.SECRET
    delete(settings, key="SECRET")
    load(settings, key="SECRET")
    assert settings.get("SECRET") is None


@pytest.mark.parametrize(
    "data", [{}, {"x": "@read_file /etc/hostname"}, {"a/b": "1"}, {"x": object()}, {"DYNACONF_INCLUDE": "x"}]
)
def test_what_cannot_be_written_is_refused(app: App, data: dict[str, Any]) -> None:
    """Before anything is written."""
    settings = app.settings({"old": "1"})

    with pytest.raises(ConfigurationError):
        write(settings, {"good": 1, **data} if data else {})

    assert {"old": "1"} == app.keys()


def test_deleting_needs_a_prefix() -> None:
    """All that etcd holds is never meant."""
    settings = Dynaconf(etcd_url=f"memory://{uuid4()}/?prefix=", loaders=LOADERS)

    with pytest.raises(ConfigurationError, match="Without a prefix"):
        delete(settings)


def test_a_file_is_read_only(tmp_path: Path) -> None:
    """A store without writes says so."""
    (tmp_path / "s.toml").write_text("x = 1\n")
    settings = Dynaconf(etcd_url=f"file://{tmp_path}/s.toml", loaders=LOADERS)
    assert 1 == settings.X

    with pytest.raises(ConfigurationError, match="read only"):
        write(settings, X=2)


def test_the_contract_of_loaders_is_there() -> None:
    """Dynaconf looks these names up."""
    assert {"IDENTIFIER", "LiveDynaconf", "delete", "load", "write"} == set(loader.__all__)


# Live


def test_live_settings_follow_etcd_and_refuse_what_does_not_validate(app: App) -> None:
    """A bad candidate leaves the old one in use; the next good one is taken."""
    app.put({"port": "8000", "db/host": "a"})
    validators = [Validator("PORT", is_type_of=int, gte=1024)]
    with LiveDynaconf(etcd_url=app.url, validators=validators) as settings:
        paths: list[frozenset[str]] = []
        settings.live.on_change(lambda change: paths.append(change.paths))
        assert "applied" == settings.live.wait(app.store.put("/config/app/db/host", "b"))
        assert ("b", "b") == (settings.DB.host, settings["DB"]["host"])

        assert "rejected" == settings.live.wait(app.store.put("/config/app/port", "70"))
        assert (8000, 8000) == (settings.PORT, settings.get("port"))
        assert "70" not in str(settings.live.rejection)
        assert "rejected" == settings.live.wait(app.store.put("/config/app/port", "@read_file /etc/hostname"))
        app.store.put("/config/app/port", "9000")
        settings.reload()
        assert (9000, 9000) == (settings.PORT, settings.get_fresh("PORT"))
        assert frozenset({"DB.host"}) == paths[0]


def test_live_settings_are_valid_from_the_start(app: App) -> None:
    """Otherwise there are none."""
    app.put({"port": "70"})

    with pytest.raises(ValidationError):
        LiveDynaconf(etcd_url=app.url, validators=[Validator("PORT", gte=1024)])
    with pytest.raises(UnavailableError):
        LiveDynaconf(etcd_url="etcd://127.0.0.1:1/config/app/")


def test_live_settings_are_not_changed_in_place(app: App) -> None:
    """What would be lost at the next change is refused at once."""
    with LiveDynaconf(etcd_url=app.url, PORT=1) as settings:
        with pytest.raises(TypeError, match="as a whole"):
            settings.PORT = 2
        with pytest.raises(TypeError, match="as a whole"):
            settings.set("PORT", 2)
        assert ("PORT" in settings, 1) == (True, settings("PORT"))


def test_live_settings_leave_their_arguments_alone(app: App) -> None:
    """Dynaconf writes into what it is given; every new object begins with the arguments as they were."""
    given = {"hosts": [0], "x": "@int 5"}
    app.put({"db/hosts": "@merge [1]"})

    with LiveDynaconf(etcd_url=app.url, DB=given) as settings:
        for number in range(3):
            assert "applied" == settings.live.wait(app.store.put("/config/app/n", str(number)))
        assert {"hosts": [0, 1], "x": 5} == settings.current.as_dict()["DB"]

    assert {"hosts": [0], "x": "@int 5"} == given


def test_the_environment_is_on_top_of_live_settings(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loader goes below the environment, wherever the others are."""
    app.put({"port": "1"})
    monkeypatch.setenv("DYNACONF_PORT", "7")

    with LiveDynaconf(etcd_url=app.url) as settings, LiveDynaconf(etcd_url=app.url, loaders=LOADERS) as other:
        assert (7, 7) == (settings.PORT, other.PORT)


def test_readers_see_whole_settings_through_two_hundred_reloads(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight threads: no AttributeError, and never half of two states."""
    quick = partial(Live, debounce=(0.001, 0.1))
    monkeypatch.setattr("etcd_settings.integrations.dynaconf.live.Live", quick)
    app.put({"pair.json": '{"a": 0, "b": 0}', "n/a": "0"})
    wrong: list[object] = []
    over = threading.Event()

    with LiveDynaconf(etcd_url=app.url) as settings:

        def read() -> None:
            while not over.wait(0.0005):
                try:
                    current = settings.current
                    pair = settings.PAIR
                    if pair.a != pair.b or current.PAIR.a > current.N.a or settings.N.a < pair.a:
                        wrong.append((pair, current.N))
                except Exception as e:  # noqa: BLE001  # whatever it is, it is wrong
                    wrong.append(e)

        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        try:
            for number in range(1, 201):
                app.put({"n/a": str(number)})
                revision = app.store.put("/config/app/pair.json", f'{{"a": {number}, "b": {number}}}')
                assert "applied" == settings.live.wait(revision, timeout=30)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert 200 == settings.PAIR.a
        assert 200 <= settings.live.status().reloads

    assert [] == wrong

"""What Django's settings become of what etcd holds, and how `django.conf.settings` follows it."""

from __future__ import annotations

import inspect
import json
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from io import StringIO
from types import ModuleType
from typing import Any, Protocol

import pytest
from django.conf import LazySettings, Settings, global_settings, settings
from django.core import checks
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.test import signals
from django.test.client import ClientHandler
from django.test.utils import override_settings
from django.utils.formats import FORMAT_SETTINGS
from django.utils.functional import empty
from django.utils.translation import gettext_lazy
from pydantic import BaseModel, Field, SecretStr, create_model

from etcd_settings.errors import ConfigurationError, EtcdSettingsError, InvalidSettingsError, UnavailableError
from etcd_settings.integrations.django import UNSET, current, following, load_settings, loading, settings_changed
from etcd_settings.integrations.django.checks import check_names, check_options
from etcd_settings.integrations.django.management.commands.etcd_settings import Command
from etcd_settings.integrations.django.names import is_live
from etcd_settings.live import Live
from etcd_settings.masking import MASK
from etcd_settings.snapshot import Entry
from etcd_settings.source import Source
from tests.integrations.holding import held, put
from tests.making import make_entry
from tests.waiting import eventually


class Site(Protocol):
    """Set Django up in this process, with a ``settings.py`` that says this, and etcd that."""

    def __call__(self, says: Mapping[str, Any], paths: Mapping[str, str], /) -> Source: ...


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    known = set(vars(LazySettings))

    def make(says: Mapping[str, Any], paths: Mapping[str, str]) -> Source:
        source = held(paths)
        module = ModuleType("made_settings")
        vars(module).update({"SECRET_KEY": "x", "ETCD_SETTINGS": {"LIVE": ["FEATURE_*"]}, **says})
        load_settings(vars(module), source)
        monkeypatch.setitem(sys.modules, "made_settings", module)
        settings._wrapped = Settings("made_settings")
        following.install()
        return source

    yield make
    if following._following is not None:
        following._following.close()
    following._following = loading._last = None
    settings._wrapped = empty
    for name in set(vars(LazySettings)) - known:
        delattr(LazySettings, name)


def follow() -> None:
    """Serve a request."""
    following.begin_with_a_request(WSGIHandler)
    eventually(lambda: following.following()._live is not None)


def test_values_get_the_type_of_the_default_above() -> None:
    """A text from etcd becomes what settings.py, or else Django, has there; dicts merge, and lists are replaced."""
    source = held(
        {
            "DEBUG": "false",
            "PAGE_SIZE": "50",
            "RATE": "0.5",
            "HOSTS/0": "a",
            "PORTS": "[1, 2]",
            "DATABASES/default/NAME": "shop",
            "DATABASES/default/PORT": "5433",
            "NEW": "12",
        }
    )
    database = {"ENGINE": "sqlite3", "NAME": "", "PORT": 5432}
    namespace = {"PAGE_SIZE": 20, "RATE": 1.0, "HOSTS": ["b", "c"], "PORTS": (3,), "DATABASES": {"default": database}}

    load_settings(namespace, source)

    assert {
        "DEBUG": False,  # by Django's own default: the text "false" would be true
        "PAGE_SIZE": 50,
        "RATE": 0.5,
        "HOSTS": ["a"],
        "PORTS": (1, 2),
        "DATABASES": {"default": {"ENGINE": "sqlite3", "NAME": "shop", "PORT": 5433}},
        "NEW": "12",
    } == namespace
    assert {"ENGINE": "sqlite3", "NAME": "", "PORT": 5432} == database


def test_keys_of_a_dict_are_taken_as_they_are_spelled() -> None:
    """Hyphens and case make another key, at every depth."""
    namespace: dict[str, Any] = {"DATABASES": {"my_db": {"NAME": "old"}}}

    load_settings(namespace, held({"DATABASES/my-db/NAME": "new", "DATABASES/my_db/name": "x"}))

    assert {"my_db": {"NAME": "old", "name": "x"}, "my-db": {"NAME": "new"}} == namespace["DATABASES"]


def test_keys_of_a_dict_have_the_type_of_the_others() -> None:
    """Numbers stay numbers, so that entries are replaced and not doubled; so it is with the values."""
    namespace: dict[str, Any] = {"MESSAGE_TAGS": {10: "a", 20: "b"}, "LIMITS": {1: 0.5}}

    load_settings(namespace, held({"MESSAGE_TAGS": '{"20": "c", "30": "d"}', "LIMITS/2": "0.7"}))

    assert {"MESSAGE_TAGS": {10: "a", 20: "c", 30: "d"}, "LIMITS": {1: 0.5, 2: 0.7}} == namespace
    with pytest.raises(InvalidSettingsError, match=r"from '/config/app/LIMITS/marvellous'"):
        load_settings(namespace, held({"LIMITS/marvellous": "1"}))


def test_nothing_is_shared_with_what_settings_py_said() -> None:
    """What is changed below the call changes neither the defaults, nor what etcd holds, nor Django's own."""
    namespace: dict[str, Any] = {"DATABASES": {"default": {"OPTIONS": {}}, "other": {"HOSTS": ["a"]}}, "NAMES": ["a"]}
    load_settings(namespace, held({"DATABASES/default/NAME": "shop", "DATABASES/new.json": '{"HOSTS": ["b"]}'}))
    reader, before = loading._last[0], loading._last[0].read().values  # type: ignore[index]  # it was loaded just now

    namespace["DATABASES"]["default"]["OPTIONS"]["x"] = 1
    namespace["DATABASES"]["other"]["HOSTS"].append("x")
    namespace["DATABASES"]["new"]["HOSTS"].append("x")
    namespace["NAMES"].append("x")
    reader.default("LANGUAGES").append("x")

    assert {"default": {"OPTIONS": {}}, "other": {"HOSTS": ["a"]}} == reader.default("DATABASES")
    assert ["a"] == reader.default("NAMES")
    assert "x" not in reader.default("LANGUAGES")
    assert before == reader.read().values


def test_a_schema_has_the_say_over_its_names() -> None:
    """It sees what settings.py says where etcd says nothing, and Django's own settings come out plain."""

    class Mail(BaseModel):
        host: str
        port: int = 25

    class Schema(BaseModel):
        SECRET_KEY: SecretStr
        PAGE_SIZE: int = Field(gt=0)
        MAIL: Mail

    namespace: dict[str, Any] = {"PAGE_SIZE": 7}
    load_settings(namespace, held({"SECRET_KEY": "made-up", "MAIL/host": "mx"}), Schema)

    assert {"PAGE_SIZE": 7, "SECRET_KEY": "made-up", "MAIL": Mail(host="mx")} == namespace
    with pytest.raises(InvalidSettingsError, match=r"PAGE_SIZE.*\(from '/config/app/PAGE_SIZE'\)"):
        load_settings({}, held({"SECRET_KEY": "made-up", "MAIL/host": "mx", "PAGE_SIZE": "0"}), Schema)


@pytest.mark.parametrize(
    ("paths", "key"),
    [
        ({"PAGE_SIZE": "marvellous", "NAME": "new"}, "PAGE_SIZE"),
        ({"SECRET_KEY": "", "NAME": "new"}, "SECRET_KEY"),
        ({"ALLOWED_HOSTS": "marvellous", "NAME": "new"}, "ALLOWED_HOSTS"),
    ],
)
def test_what_does_not_fit_is_refused_whole(paths: dict[str, str], key: str) -> None:
    """The error names the key and not the value; the module stays as it was, and what follows later too."""
    namespace = {"PAGE_SIZE": 20, "NAME": "old", "SECRET_KEY": "x"}
    before, last = dict(namespace), loading.last_load()

    with pytest.raises(EtcdSettingsError) as caught:
        load_settings(namespace, held(paths))

    assert f"'/config/app/{key}'" in str(caught.value)
    assert "marvellous" not in repr(caught.value)
    assert before == namespace
    assert last is loading.last_load()


@pytest.mark.parametrize("default", [print, str, object(), {"key": print}, [print], (print, print)])
def test_no_text_takes_the_place_of_what_no_text_becomes(default: Any) -> None:
    """Code and objects of somebody's stay; the error names the setting and the key."""
    path = "HOOK/key" if isinstance(default, dict) else "HOOK/0" if isinstance(default, list | tuple) else "HOOK"
    namespace = {"HOOK": default}

    with pytest.raises(InvalidSettingsError, match=rf"HOOK.*\(from '/config/app/{path}'\)") as caught:
        load_settings(namespace, held({path: "marvellous"}))

    assert "marvellous" not in repr(caught.value)
    assert {"HOOK": default} == namespace


def test_texts_become_patterns_and_lazy_texts_stay_texts() -> None:
    """What pydantic makes of a text is made; Django's lazy texts are replaced by plain ones."""
    namespace = {"DISALLOWED_USER_AGENTS": [re.compile("old")], "TITLE": gettext_lazy("old")}

    load_settings(namespace, held({"DISALLOWED_USER_AGENTS": '["^new"]', "TITLE": "new"}))

    assert {"DISALLOWED_USER_AGENTS": [re.compile("^new")], "TITLE": "new"} == namespace
    with pytest.raises(InvalidSettingsError, match="DISALLOWED_USER_AGENTS"):
        load_settings(namespace, held({"DISALLOWED_USER_AGENTS/0": "("}))


def test_keys_of_others_do_no_harm() -> None:
    """What is no setting is ignored, also where it is broken."""
    namespace: dict[str, Any] = {}
    loaded = load_settings(
        namespace, held({"debug": "1", "FEATURE-X": "1", "3D": "1", "other.json": "{", "NAME": "shop"})
    )

    assert {"NAME": "shop"} == namespace
    assert (
        "/config/app/3D",
        "/config/app/FEATURE-X",
        "/config/app/debug",
        "/config/app/other.json",
    ) == loaded.strangers


def test_etcd_does_not_say_where_etcd_is_and_what_is_live(site: Site) -> None:
    """``ETCD_SETTINGS`` stays as settings.py has it, and a check tells of the key; a schema can't hold it either."""
    source = site({}, {"ETCD_SETTINGS/LIVE.json": '["*"]', "SETTINGS_MODULE": "other"})

    assert {"LIVE": ["FEATURE_*"]} == settings.ETCD_SETTINGS
    assert "made_settings" == settings.SETTINGS_MODULE
    told = {message.msg.split()[0] for message in check_names(None)}
    assert {"'/config/app/ETCD_SETTINGS/LIVE.json'", "'/config/app/SETTINGS_MODULE'"} == told
    with pytest.raises(ConfigurationError, match="ETCD_SETTINGS"):
        load_settings({}, source, create_model("Schema", ETCD_SETTINGS=(dict, {})))


def test_a_missing_server_is_an_error_at_import() -> None:
    """It names the endpoint, and nothing is applied."""
    namespace = {"ETCD_SETTINGS": {"URL": "etcd://127.0.0.1:1/config/app/"}}

    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1"):
        load_settings(namespace)
    assert ["ETCD_SETTINGS"] == [*namespace]


def test_a_schema_with_a_lower_case_name_is_refused() -> None:
    """Django would never look at it."""

    class Schema(BaseModel):
        page_size: int = 1

    with pytest.raises(ConfigurationError, match="'page_size' is no setting"):
        load_settings({}, held({}), Schema)


def test_a_live_name_follows_although_django_keeps_what_it_was_asked_for(site: Site) -> None:
    """Reading it before, which fills the cache of LazySettings, makes no difference; others stay as they are."""
    source = site({"FEATURE_X": False, "PAGE_SIZE": 1}, {"FEATURE_X": "false", "PAGE_SIZE": "2"})
    assert (False, 2) == (settings.FEATURE_X, settings.PAGE_SIZE)
    follow()

    put(source, "PAGE_SIZE", "3")
    put(source, "FEATURE_X", "true")
    eventually(lambda: settings.FEATURE_X is True)

    assert 2 == settings.PAGE_SIZE
    source.store.delete("/config/app/FEATURE_X")
    eventually(lambda: settings.FEATURE_X is False)


def test_a_name_that_comes_and_goes(site: Site) -> None:
    """Without a default a live setting is there for as long as etcd holds it."""
    source = site({"FEATURE_X": False}, {"FEATURE_OLD": "1"})
    assert "1" == settings.FEATURE_OLD
    follow()

    put(source, "FEATURE_NEW", "2")
    source.store.delete("/config/app/FEATURE_OLD")

    eventually(lambda: getattr(settings, "FEATURE_NEW", None) == "2")
    eventually(lambda: not hasattr(settings, "FEATURE_OLD"))


def test_live_names_yield_to_overrides_and_come_back(site: Site) -> None:
    """Whatever etcd says meanwhile, the override holds; right after it the newest value is there."""
    source = site({"FEATURE_X": 1}, {})
    follow()
    with override_settings(FEATURE_X=10):
        with override_settings(FEATURE_X=20):
            put(source, "FEATURE_X", "2")
            eventually(lambda: current().values["FEATURE_X"] == 2)
            assert 20 == settings.FEATURE_X
        assert 10 == settings.FEATURE_X
        with override_settings():
            del settings.FEATURE_X
            assert not hasattr(settings, "FEATURE_X")
        assert 10 == settings.FEATURE_X

    assert 2 == settings.FEATURE_X


def test_what_is_assigned_stays(site: Site) -> None:
    """As anywhere in Django, ``settings.X = …`` has the last word."""
    source = site({"FEATURE_X": 1, "FEATURE_Y": 1}, {})
    follow()
    settings.FEATURE_X = 5
    put(source, "FEATURE_X", "2")
    put(source, "FEATURE_Y", "2")

    eventually(lambda: settings.FEATURE_Y == 2)
    assert 5 == settings.FEATURE_X


def test_a_bad_update_is_refused_whole(site: Site) -> None:
    """A wrong type anywhere leaves every live setting as it is, until it is mended."""
    source = site({"FEATURE_X": 1, "FEATURE_Y": "a", "PAGE_SIZE": 1}, {})
    follow()

    put(source, "FEATURE_X", "many")
    put(source, "FEATURE_Y", "b")
    eventually(lambda: (status := following.status()) is not None and status.rejection is not None)
    assert (1, "a") == (settings.FEATURE_X, settings.FEATURE_Y)

    put(source, "FEATURE_X", "2")
    eventually(lambda: (settings.FEATURE_X, settings.FEATURE_Y) == (2, "b"))


def test_the_signal_tells_old_and_new(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """With the revision; a receiver that raises harms nobody, and the log quotes nothing of what it says."""
    source = site({"FEATURE_X": 1, "FEATURE_Y": 1}, {})
    told: list[tuple[Any, Any]] = []

    def fail(changes: Any, **_: Any) -> None:
        raise RuntimeError(str(changes))

    def note(changes: Any, revision: int, **_: Any) -> None:
        told.append((changes, revision))

    settings_changed.connect(fail)
    settings_changed.connect(note)
    try:
        follow()
        revision = source.store.put("/config/app/FEATURE_X", "2")
        eventually(lambda: told)
    finally:
        settings_changed.disconnect(fail)
        settings_changed.disconnect(note)

    assert [({"FEATURE_X": (1, 2)}, revision)] == told
    assert "fail raised RuntimeError" in caplog.text
    assert "(1, 2)" not in caplog.text


def test_the_signal_tells_none_from_what_is_not_there(site: Site) -> None:
    """`UNSET` stands for a setting that is not there, and None for None."""
    source = site({"FEATURE_X": None}, {"FEATURE_OLD": "1"})
    told: dict[str, Any] = {}

    def note(changes: Any, **_: Any) -> None:
        told.update(changes)

    settings_changed.connect(note)
    try:
        follow()
        source.store.put("/config/app/FEATURE_X", "2")
        source.store.put("/config/app/FEATURE_NEW", "3")
        source.store.delete("/config/app/FEATURE_OLD")
        eventually(lambda: len(told) == 3)
    finally:
        settings_changed.disconnect(note)

    assert {"FEATURE_X": (None, "2"), "FEATURE_NEW": (UNSET, "3"), "FEATURE_OLD": ("1", UNSET)} == told


def test_the_first_request_sees_what_etcd_holds_then(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long ago settings.py was read, and the process forked."""
    monkeypatch.setattr(following, "_LONGEST_WAIT", 30)
    source = site({"FEATURE_X": 1}, {})
    put(source, "FEATURE_X", "2")

    following.begin_with_a_request(WSGIHandler)

    assert 2 == settings.FEATURE_X


def test_no_request_waits_for_long(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """If etcd is slow the settings of the start do; the next requests do not wait at all, and it goes on by itself."""
    source = site({"FEATURE_X": 1}, {})
    put(source, "FEATURE_X", "2")
    gate, read = threading.Event(), loading.Reader.read

    def slowly(reader: loading.Reader) -> loading.Loaded:
        assert gate.wait(60)
        return read(reader)

    monkeypatch.setattr(loading.Reader, "read", slowly)
    monkeypatch.setattr(following, "_LONGEST_WAIT", 0.05)
    following.begin_with_a_request(WSGIHandler)
    assert 1 == settings.FEATURE_X

    monkeypatch.setattr(following, "_LONGEST_WAIT", 30)
    began = time.monotonic()
    following.begin_with_a_request(WSGIHandler)
    assert time.monotonic() - began < 20
    gate.set()
    eventually(lambda: settings.FEATURE_X == 2)


def test_only_a_server_s_request_begins_it(site: Site) -> None:
    """Neither setting Django up nor its test client starts a thread or asks etcd."""
    site({"FEATURE_X": 1}, {})
    before = threading.active_count()

    following.begin_with_a_request(ClientHandler)

    assert before == threading.active_count()
    assert not following.following()._begun
    following.begin_with_a_request(ASGIHandler)
    assert following.following()._begun


def test_readers_never_meet_a_gap_or_a_mixture(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight threads read through 100 reloads: every read succeeds, and one state is never half of another."""
    monkeypatch.setattr(following, "Live", partial(Live, debounce=(0, 0)))
    interval = sys.getswitchinterval()
    source = site({"FEATURE_PAIR": {"a": 0, "b": 0}, "FEATURE_A": 0}, {})
    follow()
    problems: list[object] = []
    over = threading.Event()

    def read() -> None:
        try:
            while not over.is_set():
                pair, state = settings.FEATURE_PAIR, current().values
                if pair["a"] != pair["b"] or state["FEATURE_PAIR"]["a"] != state["FEATURE_A"] or settings.FEATURE_A < 0:
                    problems.append((pair, state))
        except Exception as e:  # noqa: BLE001  # whatever it is, it fails the test
            problems.append(e)

    sys.setswitchinterval(1e-4)  # so that readers are interrupted often, and reloads come quickly
    readers = [threading.Thread(target=read) for _ in range(8)]
    for reader in readers:
        reader.start()
    number = 0
    try:
        while (status := following.status()) is not None and status.reloads < 100 and not problems:
            number += 1
            with source.overlaid(_state(number)):
                eventually(lambda: current().values["FEATURE_A"] == number)  # noqa: B023  # it is called here
    finally:
        over.set()
        for reader in readers:
            reader.join()
        sys.setswitchinterval(interval)

    assert [] == problems


def _state(number: int) -> dict[str, Entry]:
    """Make a layer in which everything says the same number."""
    pair = f'{{"a": {number}, "b": {number}}}'
    return {"FEATURE_PAIR": make_entry("FEATURE_PAIR", pair), "FEATURE_A": make_entry("FEATURE_A", str(number))}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"LIVE": ["SECRET_KEY"]}, "etcd_settings.E002"),
        ({"LIVE": ["DATA*"]}, "etcd_settings.E002"),
        ({"LIVE": ["*"]}, "etcd_settings.E002"),
        ({"LIVE": ["feature_x"]}, "etcd_settings.E001"),
        ({"LIVE": "FEATURE_X"}, "etcd_settings.E001"),
        ({"live": []}, "etcd_settings.E001"),
        ({"URL": "etcd://localhost/config/?colour=red"}, "etcd_settings.E001"),
        ({"LIVE": ["FEATURE_*"], "URL": "etcd://localhost/config/"}, None),
    ],
)
def test_checks_say_what_is_wrong(site: Site, said: Any, expected: str | None) -> None:
    """Each mistake is an Error, also where a glob reaches a name that Django reads once."""
    site({"FEATURE_X": 1}, {})
    with override_settings(ETCD_SETTINGS=said):
        found = check_options(None)

    assert ([expected] if expected else []) == [message.id for message in found]
    assert all(isinstance(message, checks.Error) for message in found)


@pytest.mark.parametrize(
    "name",
    [
        *sorted(set(re.findall(r'"([A-Z_]+)"', inspect.getsource(signals))) & set(dir(global_settings))),
        *sorted(FORMAT_SETTINGS),
        *("ABSOLUTE_URL_OVERRIDES", "CSRF_TRUSTED_ORIGINS", "MESSAGE_TAGS", "SERIALIZATION_MODULES"),
    ],
)
def test_what_django_keeps_is_not_live(name: str) -> None:
    """Whatever the tests of Django itself have to reset, since it is kept somewhere, and what nobody can reset."""
    assert is_live(name, ["*"]) == (name == "USE_THOUSAND_SEPARATOR")  # it is read each time, and reset for nothing


def test_the_command_prints_json(site: Site) -> None:
    """One object for ``show``, ``explain`` and ``diff``; secrets are masked, unless they are to be revealed."""
    site({"PAGE_SIZE": 1, "API_TOKEN": "a"}, {"PAGE_SIZE": "2", "API_TOKEN": "b"})

    def run(*arguments: str, exits: int = 0) -> Any:
        out = StringIO()
        with pytest.raises(SystemExit, match=str(exits)) if exits else nullcontext():
            call_command(Command(), *arguments, "--json", stdout=out)
        return json.loads(out.getvalue())

    masked = {"settings": MASK, "etcd": MASK}
    assert {"PAGE_SIZE": 2, "API_TOKEN": MASK} == run("show")
    assert {"PAGE_SIZE": 2, "API_TOKEN": "b"} == run("show", "--reveal")
    assert {"PAGE_SIZE": {"settings": 1, "etcd": 2}, "API_TOKEN": masked} == run("diff", exits=1)
    found = run("explain", "PAGE_SIZE")
    assert ("/config/app/PAGE_SIZE", "", []) == (found["winner"]["key"], found["winner"]["layer"], found["shadowed"])


def test_a_check_warns_of_lower_case_names(site: Site) -> None:
    """It names the key."""
    site({}, {"page_size": "1"})

    assert ["'/config/app/page_size'"] == [message.msg.split()[0] for message in check_names(None)]


def test_what_django_reads_once_is_not_live_even_if_it_is_named(site: Site) -> None:
    """A server runs no checks; so nothing is half changed there."""
    source = site({"ETCD_SETTINGS": {"LIVE": ["*"]}, "TIME_ZONE": "UTC", "FEATURE_X": 1}, {})
    follow()

    put(source, "TIME_ZONE", "Europe/Paris")
    put(source, "FEATURE_X", "2")

    eventually(lambda: settings.FEATURE_X == 2)
    assert "UTC" == settings.TIME_ZONE

"""What a source reads, and how, from all that was said about it."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest

from etcd_settings.connection import Connection
from etcd_settings.errors import ConfigurationError
from etcd_settings.location import Location
from etcd_settings.options import UNSET, Given, Options, resolve
from etcd_settings.snapshot import Snapshot
from etcd_settings.stores.memory import MemoryStore

URL = "etcd://h/p/"


def options(url: Any = URL, environ: Any = None, **keywords: Any) -> Options:
    return resolve(url, keywords, environ=environ or {})  # type: ignore[arg-type]  # also wrong ones, on purpose


def test_defaults() -> None:
    """What nobody says is as documented."""
    assert (
        Options(
            where=Connection("h:2379"),
            prefix="/p/",
            layers=("",),
            ttl=30.0,
            max_stale=None,
            required=True,
            timeout=5.0,
        )
        == options()
    )


@pytest.mark.parametrize(
    ("name", "text", "in_url", "keyword", "default"),
    [
        ("ttl", "ttl=7", 7.0, 9.0, 30.0),
        ("timeout", "timeout=7", 7.0, 9.0, 5.0),
        ("required", "required=false", False, True, True),
        ("layers", "layer=a&layer=b/", ("a/", "b/"), ("c/",), ("",)),
    ],
)
def test_keyword_over_url_over_default(name: str, text: str, in_url: object, keyword: object, default: object) -> None:
    """A keyword wins over the URL's option, also if it says the default; that wins over the default."""
    url = f"{URL}?{text}"

    assert default == getattr(options(), name)
    assert in_url == getattr(options(url), name)
    assert in_url == getattr(options(url, **{name: UNSET}), name)
    assert keyword == getattr(options(url, **{name: keyword}), name)
    assert default == getattr(options(url, **{name: default}), name)


def test_a_given_url_wins_over_the_environment() -> None:
    """`$ETCD_SETTINGS_URL` counts only if nothing else says where."""
    environ = {"ETCD_SETTINGS_URL": "etcd://env/e/"}

    assert "/e/" == options(None, environ).prefix
    assert URL.removeprefix("etcd://h") == options(URL, environ).prefix
    assert Connection("c") == options(None, environ, connection=Connection("c")).where


def test_a_default_that_is_spelled_out_is_no_contradiction() -> None:
    """With a URL the keywords that say where may be given with their default, which says nothing."""
    assert options() == options(prefix="", connection=None, store=None, layers=[""], ttl=30, max_stale=None)


def test_nowhere_is_an_error() -> None:
    """Without a URL, keyword and environment the error names the ways to say where."""
    with pytest.raises(ConfigurationError, match="ETCD_SETTINGS_URL"):
        options(None)


def test_the_prefix_of_a_keyword_gets_its_slash() -> None:
    """`prefix=` is for a connection or a store, and ends in a slash as a URL's does; empty stays empty."""
    connection = Connection(timeout=3)

    assert ("/a/", 3.0) == (
        options(None, connection=connection, prefix="/a").prefix,
        options(None, connection=connection).timeout,
    )
    assert "" == options(None, connection=connection).prefix
    assert 4.0 == options(None, connection=connection, timeout=4).timeout


def test_a_source_is_in_one_place() -> None:
    """A URL, a connection and a store exclude each other."""
    store = MemoryStore()
    for keywords in ({"url": URL, "store": store}, {"url": None, "store": store, "connection": Connection()}):
        with pytest.raises(ConfigurationError, match=r"^Both .* say where"):
            options(**keywords)


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"url": 7}, "A URL is a text"),
        ({"url": None, "connection": URL}, "connection= takes a Connection"),
        ({"url": None, "connection": Connection(), "prefix": b"x"}, "prefix is a text"),
        ({"prefix": "/x"}, "prefix= is for connection= and store="),
        ({"ttl": -1}, "ttl is a number of seconds"),
        ({"ttl": "30"}, "ttl is a number of seconds"),
        ({"ttl": None}, "ttl is a number of seconds"),
        ({"max_stale": float("nan")}, "max_stale is a number of seconds"),
        ({"timeout": 0}, "timeout is a number of seconds"),
        ({"required": "no"}, "required is True or False"),
        ({"layers": "common/"}, r"layers is a list of prefixes, such as \['common/'\]"),
        ({"layers": []}, "layers is empty"),
        ({"layers": ["a", "a/"]}, "'a/' is named twice"),
        ({"layers": ["/a/"]}, "'/a/' starts with a slash"),
        ({"layers": [7]}, "layers is a list of prefixes"),
        ({"layers": None}, "layers is a list of prefixes"),
    ],
)
def test_what_is_wrong_is_said(keywords: dict[str, Any], words: str) -> None:
    """Every keyword is checked, and named with the right form."""
    with pytest.raises(ConfigurationError, match=words):
        options(**keywords)


def test_a_layer_may_start_with_a_slash_where_there_is_no_prefix() -> None:
    """Without a prefix layers are whole prefixes."""
    assert {"/a/": "/a/"} == options(None, store=MemoryStore(), layers=["/a"]).prefixes


def test_layers_are_under_the_prefix() -> None:
    """A layer's whole prefix is the source's and its own."""
    assert {"common/": "/p/common/", "": "/p/"} == options(layers=["common", ""]).prefixes


def test_a_store_of_our_own_is_named_by_its_location() -> None:
    """Options that describe the source are not part of where it is."""
    assert Location(scheme="memory", name="m") == options("memory://m/p/?ttl=3").where


class Unhashable:
    """A store that is equal to every other, and cannot be hashed."""

    __hash__ = None  # type: ignore[assignment]  # on purpose
    endpoint = None

    def __eq__(self, other: object) -> bool:
        return True

    def read(self, layers: object, *, timeout: float) -> Snapshot:
        raise NotImplementedError

    def watch(self, layers: object, since: Snapshot, *, on_connection: object) -> NoReturn:
        raise NotImplementedError

    def close(self) -> None: ...


def test_a_given_store_is_equal_to_itself_alone() -> None:
    """Options with a store are equal if it is the same one, whatever the store thinks of equality and hashing."""
    store, other = Unhashable(), Unhashable()

    assert options(None, store=store) == options(None, store=store)
    assert options(None, store=store) != options(None, store=other)
    assert {Given(store)} == {Given(store)}


@pytest.mark.parametrize(
    ("made", "title"),
    [
        (options("etcds://u:p@a:1,b/x/"), "etcds://a:1,b:2379/x/"),
        (options("etcd://h/?prefix=x"), "etcd://h:2379/?prefix=x/"),
        (options("etcd+srv://example.com/x/"), "etcd+srv://example.com/x/"),
        (options("memory://m/x"), "memory://m/x/"),
        (options("file:///etc/s.toml"), "file:///etc/s.toml"),
        (options("file:///etc/s.toml?prefix=x"), "file:///etc/s.toml?prefix=x/"),
        (options(None, store=MemoryStore(), prefix="x"), "MemoryStore at 'x/'"),
    ],
)
def test_a_title_is_for_people(made: Options, title: str) -> None:
    """What is read is named as its URL would, without user and password."""
    assert title == made.title

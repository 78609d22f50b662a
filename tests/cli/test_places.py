"""Where a command looks for the settings: a URL wins, etcdctl's own variables fill in what it lacks."""

from __future__ import annotations

from collections.abc import Mapping

import click
import pytest

from etcd_settings.cli.places import find_place, open_client, open_source
from etcd_settings.connection import TLS, Connection
from etcd_settings.errors import ConfigurationError
from etcd_settings.source import Source

CTL = {"ETCDCTL_ENDPOINTS": "ctl:1234"}
URL = "etcd://url/app/"


def connection_at(url: str | None, prefix: str | None = None, **environ: str) -> Connection:
    where = find_place(url, prefix, environ=environ).where
    assert isinstance(where, Connection)
    return where


@pytest.mark.parametrize(
    ("endpoint", "prefix", "url", "option", "environ"),
    [
        ("url:2379", "/app/", URL, None, {**CTL, "ETCD_SETTINGS_URL": "etcd://env/env/"}),
        ("env:2379", "/env/", None, None, {**CTL, "ETCD_SETTINGS_URL": "etcd://env/env/"}),
        ("env:2379", "/app/", None, "/app", {"ETCD_SETTINGS_URL": "etcd://env"}),
        ("ctl:1234", "/app/", None, "/app", CTL),
        ("ctl:1234", "app/", None, "app", CTL),
    ],
)
def test_what_wins(endpoint: str, prefix: str, url: str | None, option: str | None, environ: Mapping[str, str]) -> None:
    """``--url`` over our variable over etcdctl's; ``--prefix`` names the prefix where no URL does."""
    place = find_place(url, option, environ=environ)

    assert isinstance(place.where, Connection)
    assert ((endpoint,), prefix) == (place.where.endpoints, place.prefix)


@pytest.mark.parametrize(
    ("url", "prefix", "environ"),
    [
        (None, None, {}),
        (None, "/app/", {}),
        (None, None, CTL),
        (URL, "/other/", {}),
    ],
)
def test_nobody_says_where_or_it_is_said_twice(url: str | None, prefix: str | None, environ: Mapping[str, str]) -> None:
    """That is wrong usage, and the message has the mend."""
    with pytest.raises(click.UsageError, match=r"Give --|Leave one"):
        find_place(url, prefix, environ=environ)


def test_etcdctls_user_fills_in_what_a_url_lacks() -> None:
    """Its user with a password, in one variable or two; a user or a password of our own comes first."""
    both, apart = {"ETCDCTL_USER": "ctl:pw"}, {"ETCDCTL_USER": "ctl", "ETCDCTL_PASSWORD": "pw"}

    assert ("ctl", "pw") == _login(connection_at(URL, **both))
    assert ("ctl", "pw") == _login(connection_at(URL, **apart))
    assert ("me", "mine") == _login(connection_at("etcd://me:mine@url/app/", **both))
    assert ("ctl", "pw") == _login(connection_at("etcd://ctl@url/app/", **apart))
    assert ("me", "own") == _login(connection_at("etcd://me@url/app/", **both, ETCD_SETTINGS_PASSWORD="own"))


def test_etcdctls_certificates_fill_in_what_a_url_lacks() -> None:
    """They count for a URL that speaks TLS; an endpoint without a scheme speaks it if one is named, as in etcdctl."""
    files = {"ETCDCTL_CACERT": "ca", "ETCDCTL_CERT": "cert", "ETCDCTL_KEY": "key"}

    assert TLS("ca", "cert", "key") == connection_at("etcds://url/app/", **files).tls
    assert TLS("own", "cert", "key") == connection_at("etcds://url/app/?ca=own", **files).tls
    assert TLS("ca", "own") == connection_at("etcds://url/app/?cert=own", **files).tls
    assert connection_at(URL, **files).tls is None
    assert TLS("ca", "cert", "key") == connection_at(None, "/app/", **CTL, **files).tls
    assert TLS() == connection_at(None, "/app/", ETCDCTL_ENDPOINTS="https://a:1,https://b:2").tls
    assert connection_at(None, "/app/", ETCDCTL_ENDPOINTS="http://a:1", **files).tls is None


@pytest.mark.parametrize("endpoints", ["http://a:1,https://b:2", "unix://a", "a:b:c"])
def test_endpoints_that_cannot_be_used(endpoints: str) -> None:
    """The message names the variable."""
    with pytest.raises(ConfigurationError, match="ETCDCTL_ENDPOINTS"):
        find_place(None, "/app/", environ={"ETCDCTL_ENDPOINTS": endpoints})


def test_a_command_sees_what_is_there_now() -> None:
    """No last good file and no empty stand-in may pass for etcd."""
    place = find_place(f"{URL}?last_good=x&required=false", environ={})

    assert (None, True) == (place.last_good, place.required)


def test_stores_of_our_own_can_be_read_and_are_no_etcd() -> None:
    """A source reads a memory:// store of this process; a client refuses it."""
    Source("memory://places/app/").store.put("/app/a", "1")
    place = find_place("memory://places/app/", environ={})

    with open_source(place) as source:
        assert {"a": "1"} == source.tree()
    with pytest.raises(ConfigurationError, match="takes an etcd"):
        open_client(place)


def _login(connection: Connection) -> tuple[str | None, str | None]:
    return connection.user, connection.password

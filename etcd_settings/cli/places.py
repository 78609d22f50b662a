"""
Find out where the settings are that a command is about.

A URL wins: that of ``--url``, or else of ``$ETCD_SETTINGS_URL``. Etcdctl's own variables fill in what it lacks, and
stand in for it if there is none; ``--prefix`` then names the prefix.

What comes out is a source's `Options`, less what would let a command show anything but what is there now: neither a
last good file nor an empty stand-in counts here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from etcd_settings.connection import PASSWORD, PASSWORD_FILE, Connection
from etcd_settings.errors import ConfigurationError
from etcd_settings.keys import normalize_prefix
from etcd_settings.location import Location, normalize_endpoints, parse_url
from etcd_settings.options import Given, Options, options_at
from etcd_settings.source import Source

if TYPE_CHECKING:
    from etcd_settings.etcd import Client

__all__ = ["find_place", "open_client", "open_source"]

_TLS_VARIABLES = ("ETCDCTL_CACERT", "ETCDCTL_CERT", "ETCDCTL_KEY")
_EVERYTHING = ("", "/")


def find_place(
    url: str | None,
    prefix: str | None = None,
    *,
    needs_prefix: bool = True,
    environ: Mapping[str, str] | None = None,
) -> Options:
    """
    Say where the settings are.

    Args:
        url: What ``--url`` says; None takes the environment's.

        prefix: What ``--prefix`` says.

        needs_prefix: Whether to ask for a prefix that nobody named, instead of taking every key.

        environ: The environment; None means the process's.

    Raises:
        UsageError: Nobody says where, or it is said twice.
        ConfigurationError: What says so cannot be used.
    """
    environ = os.environ if environ is None else environ
    if url is None:  # an empty one is a mistake, and must not mean another place
        url = environ.get("ETCD_SETTINGS_URL") or None
    location = _from_etcdctl(environ) if url is None else parse_url(url)
    if prefix is not None:
        location = _with_prefix(location, prefix)
    elif url is None and needs_prefix:
        raise click.UsageError("Nothing says under which prefix the settings are. Give --prefix /config/app/.")
    if location.is_etcd:
        location = _with_user(_with_certificates(location, environ), environ)
    return replace(options_at(location, environ=environ), last_good=None, required=True)


def open_source(place: Options) -> Source:
    """Give a source of what is there now."""
    same: dict[str, Any] = {"prefix": place.prefix, "layers": place.layers, "timeout": place.timeout}
    match place.where:
        case Connection() as connection:
            return Source(connection=connection, **same)
        case Location(scheme="memory", name=name):
            from etcd_settings.stores.memory import MemoryStore

            return Source(store=MemoryStore.shared(name), **same)
        case Location(name=path):
            from etcd_settings.stores.file import FileStore

            return Source(store=FileStore(path), **same)
        case Given(store=store):
            return Source(store=store, **same)


def open_client(place: Options) -> Client:
    """
    Give a client of the etcd there.

    Raises:
        ConfigurationError: There is a file, and no etcd.
    """
    if not isinstance(place.where, Connection):
        raise ConfigurationError(f"This takes an etcd, and {place.title} is none. Use etcd://host:2379/prefix/.")
    from etcd_settings.etcd import Client  # 45 ms of HTTP/2 and protobuf

    return Client(place.where)


def _with_prefix(location: Location, prefix: str) -> Location:
    if location.prefix not in _EVERYTHING:
        raise click.UsageError("The URL names a prefix already, so --prefix has no place. Leave one of them out.")
    return replace(location, prefix=normalize_prefix(prefix))


def _from_etcdctl(environ: Mapping[str, str]) -> Location:
    endpoints = environ.get("ETCDCTL_ENDPOINTS")
    if not endpoints:
        raise click.UsageError(
            "Nothing says where the settings are. Give --url etcd://localhost:2379/config/app/, "
            "or set $ETCD_SETTINGS_URL."
        )
    schemes, hosts = set[str](), list[str]()
    for endpoint in endpoints.split(","):
        scheme, _, host = endpoint.strip().rpartition("://")
        schemes.add(scheme)
        hosts.append(host.rstrip("/"))
    if not schemes <= {"", "http", "https"} or schemes >= {"http", "https"}:
        raise ConfigurationError(
            "$ETCDCTL_ENDPOINTS has endpoints that are not all http:// or all https://. Name them alike, or give --url."
        )
    # As etcdctl does it: an endpoint without a scheme speaks TLS if a certificate is named.
    is_tls = "https" in schemes or ("http" not in schemes and any(map(environ.get, _TLS_VARIABLES)))
    try:
        return Location(scheme="etcds" if is_tls else "etcd", endpoints=normalize_endpoints(hosts))
    except ConfigurationError as e:
        problem = ConfigurationError(f"$ETCDCTL_ENDPOINTS: {e}", subject="ETCDCTL_ENDPOINTS")
    raise problem


def _with_certificates(location: Location, environ: Mapping[str, str]) -> Location:
    if not location.is_tls:
        return location
    ca, cert, key = (environ.get(variable) or None for variable in _TLS_VARIABLES)
    if location.cert or location.key:  # they belong together
        cert, key = location.cert, location.key
    return replace(location, ca=location.ca or ca, cert=cert, key=key)


def _with_user(location: Location, environ: Mapping[str, str]) -> Location:
    user, separator, password = environ.get("ETCDCTL_USER", "").partition(":")
    known = password if separator else environ.get("ETCDCTL_PASSWORD") or None
    if location.user is None and user:
        return replace(location, user=user, password=known)
    own = (location.password, environ.get(PASSWORD), environ.get(PASSWORD_FILE))
    if location.user is not None and not any(own) and user in ("", location.user):
        return replace(location, password=known)
    return location

"""
Read the URL that says where settings are.

It knows the grammar: schemes, hosts, prefixes, options, percent-escapes. It opens nothing, resolves nothing and asks no
environment.

Invariant: an error never shows the URL, a user's name, a host or a value out of it. A password with a forgotten escape
slips into any of these places (``etcd://user:12/34@host/`` reads as host ``user``), so errors tell the place and the
rule; of what was written they repeat only names that cannot be secrets, those of the scheme and of options.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from etcd_settings.errors import ConfigurationError
from etcd_settings.keys import normalize_prefix

__all__ = ["DEFAULT_PORT", "Location", "normalize_endpoints", "parse_url"]

DEFAULT_PORT = 2379

_ETCD = ("etcd", "etcds")
_SRV = ("etcd+srv", "etcds+srv")
_SCHEMES = (*_ETCD, *_SRV, "memory", "file")
_MEANT = {"http": "etcd", "https": "etcds", "grpc": "etcd", "grpcs": "etcds"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """
    What a URL says, part by part. An option that it does not mention is None.

    Args:
        scheme: ``etcd``, ``etcds``, ``etcd+srv``, ``etcds+srv``, ``memory`` or ``file``.

        endpoints: ``host:port`` of every host; empty unless the scheme is ``etcd`` or ``etcds``.

        name: The domain of ``etcd+srv``, the store of ``memory``, the path of ``file``.

        prefix: The prefix, ending in ``/``; ``""`` means every key.

        user: The user; None without one.

        password: The user's password; None without one.

        layers: The option ``layer``, once for each time it was given.

        ttl: Seconds.

        timeout: Seconds.

        ca: Path of the certificates to trust.

        cert: Path of the client's certificate.

        key: Path of the client's key.

        server_name: The name that the server's certificate must be for.

        last_good: Path of the last good snapshot.

        required: Whether an outage at the start is an error.
    """

    scheme: str
    endpoints: tuple[str, ...] = ()
    name: str = ""
    prefix: str = ""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    layers: tuple[str, ...] | None = None
    ttl: float | None = None
    timeout: float | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    server_name: str | None = None
    last_good: str | None = None
    required: bool | None = None

    @property
    def is_etcd(self) -> bool:
        """Whether it leads to an etcd, and not to a store of our own."""
        return self.scheme in _ETCD or self.scheme in _SRV

    @property
    def is_tls(self) -> bool:
        """Whether TLS is spoken there."""
        return self.scheme.startswith("etcds") or any(self.tls_options.values())

    @property
    def tls_options(self) -> dict[str, str | None]:
        """The options that describe TLS, as `TLS` takes them."""
        return {"ca": self.ca, "cert": self.cert, "key": self.key, "server_name": self.server_name}


def parse_url(url: str) -> Location:
    """
    Take a URL apart.

    Raises:
        ConfigurationError: It does not follow the grammar; the message tells the place and the rule, not the text.
    """
    if not _is_text(url):
        raise ConfigurationError("A URL is a text, such as 'etcd://host:2379/prefix/'.")
    return _parse(url)


@lru_cache(maxsize=64)  # a framework's adapter hands over the same URL for every settings object that is made
def _parse(url: str) -> Location:
    scheme, rest = _split_scheme(url)
    if "#" in rest:
        raise ConfigurationError("The URL contains a '#'. Write it as %23: in a password, a prefix or an option.")
    authority, path, query = _split_parts(rest)
    # The place first: a password with a forgotten escape fails there, before a part of it could pass for an option.
    parts = _PLACES[scheme](authority, path)
    options = _read_options(query)
    _refuse_foreign(scheme, options)
    if "prefix" in options and parts.get("prefix", "/") != "/":
        raise ConfigurationError(
            "The URL names a prefix twice: in its path, and with the option 'prefix' (which is for one without "
            "a leading slash). Keep one of them."
        )
    parts.update(options)
    return Location(scheme=scheme, **parts)


def normalize_endpoints(endpoints: str | Iterable[str]) -> tuple[str, ...]:
    """
    Spell endpoints as ``host:port``, in order, each once.

    Args:
        endpoints: One each, or several in a `str` with commas; the port defaults to 2379, IPv6 is in brackets.

    Raises:
        ConfigurationError: One is not an endpoint, or there is none.
    """
    texts = endpoints.split(",") if isinstance(endpoints, str) else list(endpoints)
    if not texts:
        raise ConfigurationError("No endpoint is named. Name at least one, such as 127.0.0.1:2379.")
    return tuple(dict.fromkeys(_endpoint(text, index + 1) for index, text in enumerate(texts)))


def nearest(name: str, known: Iterable[str]) -> str:
    """Word a hint to the known name that is most like *name*; ``""`` if none is."""
    from difflib import get_close_matches  # only for people who mistyped

    found = get_close_matches(name, list(known), n=1)
    return f" Did you mean {found[0]!r}?" if found else ""


def _split_scheme(url: str) -> tuple[str, str]:
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme):
        raise ConfigurationError(
            "The URL does not start with a scheme and '://'. Write it as etcd://host:2379/prefix/ "
            "(the schemes are etcd, etcds, etcd+srv, etcds+srv, memory and file)."
        )
    if scheme not in _SCHEMES:
        hint = f" Did you mean {_MEANT[scheme]!r}?" if scheme in _MEANT else nearest(scheme, _SCHEMES)
        raise ConfigurationError(f"The URL's scheme {scheme!r} is unknown.{hint} Known are {', '.join(_SCHEMES)}.")
    return scheme, rest


def _split_parts(rest: str) -> tuple[str, str, str]:
    match = re.match(r"([^/?]*)([^?]*)(?:\?(.*))?", rest, re.DOTALL)
    assert match is not None  # every text matches
    authority, path, query = match[1], match[2], match[3] or ""
    if ":" in authority and "@" in path + query:
        # Either a prefix with an '@', or a password with a '/' or '?' that was not escaped. Guessing wrong would take
        # the password's parts for hosts, ports and a prefix, and show them.
        raise ConfigurationError(
            "The URL has an '@' after its first '/' or '?'. In a password write these as %2F and %3F; "
            "in a prefix or an option write the '@' as %40."
        )
    return authority, path, query


def _at_etcd(authority: str, path: str) -> dict[str, Any]:
    userinfo, _, hosts = authority.rpartition("@")
    return {
        "endpoints": normalize_endpoints(hosts),
        "prefix": _prefix(path),
        **_credentials(userinfo, given="@" in authority),
    }


def _at_srv(authority: str, path: str) -> dict[str, Any]:
    userinfo, _, domain = authority.rpartition("@")
    if not re.fullmatch(r"[\w.-]+", domain):
        raise ConfigurationError(
            "A URL with +srv names one domain and neither a port nor several hosts: DNS knows them. "
            "Write it as etcd+srv://example.com/prefix/."
        )
    return {
        "name": domain.lower(),
        "prefix": _prefix(path),
        **_credentials(userinfo, given="@" in authority),
    }


def _at_memory(authority: str, path: str) -> dict[str, Any]:
    if not authority or "@" in authority or ":" in authority:
        raise ConfigurationError(
            "A memory URL names its store, without user and port: write it as memory://tests/prefix/."
        )
    return {"name": _unescape(authority, "the store's name"), "prefix": _prefix(path)}


def _at_file(authority: str, path: str) -> dict[str, Any]:
    if authority not in ("", "localhost") or not path.strip("/"):
        raise ConfigurationError(
            "A file URL has three slashes and an absolute path: write it as file:///etc/app/settings.toml."
        )
    return {"name": _unescape(path, "the file's path")}


_PLACES: dict[str, Callable[[str, str], dict[str, Any]]] = {
    **dict.fromkeys(_ETCD, _at_etcd),
    **dict.fromkeys(_SRV, _at_srv),
    "memory": _at_memory,
    "file": _at_file,
}


def _prefix(path: str) -> str:
    return normalize_prefix(_unescape(path, "the prefix")) or "/"


def _credentials(userinfo: str, *, given: bool) -> dict[str, str | None]:
    if not given:
        return {}
    user, separator, password = userinfo.partition(":")
    if not user:
        raise ConfigurationError(
            "The URL has an '@', and no user before it. Write it as etcd://user:password@host/prefix/."
        )
    return {
        "user": _unescape(user, "the user's name"),
        "password": _unescape(password, "the password") if separator else None,
    }


def _endpoint(text: str, number: int) -> str:
    def wrong(rule: str) -> ConfigurationError:
        return ConfigurationError(f"Endpoint {number} {rule}. Write it as host:port, such as etcd.example.com:2379.")

    text = text.strip()
    if "/" in text:
        raise wrong("contains a slash: an endpoint has neither scheme nor path, and TLS is chosen beside it")
    match = re.fullmatch(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([^:]*))?", text, re.DOTALL)
    if match is None:
        raise wrong("has more colons than one; an IPv6 address stands in brackets, as in [::1]:2379")
    host, port = match[1], match[2]
    if host.startswith("["):
        host = f"[{_ipv6(host[1:-1], wrong)}]"
    elif not re.fullmatch(r"[^\s@?#%\\\x00-\x1f]+", host):
        raise wrong("names no host" if not host else "has characters that no host's name has")
    if port is not None and not (re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65536):
        raise wrong("has a port that is no number from 1 to 65535")
    return f"{host.lower()}:{DEFAULT_PORT if port is None else int(port)}"


def _ipv6(text: str, wrong: Callable[[str], ConfigurationError]) -> str:
    from ipaddress import AddressValueError, IPv6Address  # 3 ms, and most endpoints are names

    try:
        return str(IPv6Address(unquote(text)))
    except AddressValueError:
        problem = wrong("has brackets, and no IPv6 address in them")
    raise problem


def _read_options(query: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for part in filter(None, query.split("&")):
        name, separator, text = part.partition("=")
        if name not in _OPTIONS:
            raise _unknown(name)
        if not separator:
            raise ConfigurationError(f"The URL's option {name!r} has no value. Write it as {name}=….")
        value = _OPTIONS[name](name, _unescape(text, f"the option {name!r}"))
        if name == "layer":
            options["layers"] = (*options.get("layers", ()), value)
        elif name in options:
            raise ConfigurationError(f"The URL's option {name!r} is given twice. Only 'layer' may be repeated.")
        else:
            options[name] = value
    return options


def _unknown(name: str) -> ConfigurationError:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", name):  # may be the rest of a password with a '?' or '&' in it
        return ConfigurationError("The URL has an option without a proper name. Options are written as ?name=value&….")
    hint = nearest(name.lower().replace("-", "_"), _OPTIONS)
    return ConfigurationError(f"The URL's option {name!r} is unknown.{hint} Known are {', '.join(_OPTIONS)}.")


def _refuse_foreign(scheme: str, options: Mapping[str, Any]) -> None:
    tls = [name for name in ("ca", "cert", "key", "server_name") if name in options]
    if tls and scheme not in ("etcds", *_SRV):
        mend = "etcds speaks TLS" if scheme == "etcd" else "it is not reached by TLS"
        raise ConfigurationError(f"The URL's option {tls[0]!r} is about TLS, and its scheme is {scheme!r}: {mend}.")


def _text(name: str, text: str) -> str:
    if not text:
        raise ConfigurationError(f"The URL's option {name!r} is empty. Give it a value, or leave it out.")
    return text


def _any_prefix(name: str, text: str) -> str:  # noqa: ARG001  # readers are called alike; an empty prefix is one, too
    return normalize_prefix(text)


def _seconds(name: str, text: str) -> float:
    if re.fullmatch(r"\d+(\.\d*)?|\.\d+|inf", text, re.ASCII):
        return float(text)
    raise ConfigurationError(f"The URL's option {name!r} is not a number of seconds, such as 30 or 0.5.")


def _boolean(name: str, text: str) -> bool:
    if text.lower() in ("true", "yes", "on", "1"):
        return True
    if text.lower() in ("false", "no", "off", "0"):
        return False
    raise ConfigurationError(f"The URL's option {name!r} is neither 'true' nor 'false'.")


_OPTIONS: dict[str, Callable[[str, str], Any]] = {
    "layer": _any_prefix,
    "ttl": _seconds,
    "timeout": _seconds,
    "ca": _text,
    "cert": _text,
    "key": _text,
    "server_name": _text,
    "prefix": _any_prefix,
    "last_good": _text,
    "required": _boolean,
}


def _unescape(text: str, where: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise ConfigurationError(
            f"In the URL, {where} has a '%' that starts no escape. A percent sign itself is written as %25."
        )
    return unquote(text, errors="surrogateescape")


def _is_text(value: object) -> bool:
    # Callers without a type checker hand over what they have: a path, or some framework's URL object.
    return isinstance(value, str)

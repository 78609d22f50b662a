"""
Say where etcd is and who we are.

A `Connection` is a value: nothing here opens a socket, loads a certificate or asks DNS. The environment is read in one
place, `Connection.from_url`, and can be given as a mapping.

Invariant: neither ``repr`` nor an error shows a password.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from etcd_settings.errors import ConfigurationError
from etcd_settings.location import Location, normalize_endpoints, parse_url

__all__ = ["TLS", "Connection", "Location", "parse_url"]

PASSWORD = "ETCD_SETTINGS_PASSWORD"  # noqa: S105  # a variable's name
PASSWORD_FILE = "ETCD_SETTINGS_PASSWORD_FILE"  # noqa: S105  # a variable's name


@dataclass(frozen=True, slots=True)
class TLS:
    """
    Speak TLS, and with which certificates.

    Args:
        ca: Path of a PEM file with the certificates to trust; None trusts those of the operating system.

        cert: Path of a PEM file with the client's certificate.

        key: Path of a PEM file with the client's key; None if it is in *cert*.

        server_name: The name that the server's certificate must be for; None means the endpoint's host.

    Raises:
        ConfigurationError: A key without a certificate, or a certificate's text in place of its path.
    """

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        for name in ("ca", "cert", "key"):
            value: str | os.PathLike[str] | None = getattr(self, name)
            if value is None:
                continue
            path = os.fspath(value)
            if "-----BEGIN" in path or "\n" in path:
                raise ConfigurationError(
                    f"TLS({name}=…) is a PEM text. It must be the path of a file: save the text, and name the file."
                )
            object.__setattr__(self, name, path)
        if self.key is not None and self.cert is None:
            raise ConfigurationError(
                "TLS has a key and no certificate. Give both, or put both into one file and name it cert."
            )


@dataclass(frozen=True, slots=True)
class Connection:
    """
    Where etcd is, and who asks.

    Args:
        endpoints: The members' addresses, ``host:port``, port 2379 unless given. With *srv* there are none.

        user: The user; None where authentication is off, or a client certificate names the user.

        password: The user's password.

        password_file: Path of a file that holds the password in place of *password*; it is read anew at every
            authentication, so that a password may be changed without a restart.

        tls: How to speak TLS; None for plain text.

        srv: A domain whose DNS SRV records name the endpoints.

        timeout: How many seconds one call may take in all, unless it says otherwise.

        connect_timeout: How many of them go to reaching one endpoint.

        max_message: How many bytes an answer may have.

    Raises:
        ConfigurationError: A part is not usable, or contradicts another.

    Frozen and hashable, and therefore safe to share between threads; equal ones reach the same etcd as the same user.
    """

    endpoints: tuple[str, ...] = ("127.0.0.1:2379",)
    user: str | None = field(default=None, kw_only=True)
    password: str | None = field(default=None, kw_only=True, repr=False)
    password_file: str | None = field(default=None, kw_only=True)
    tls: TLS | None = field(default=None, kw_only=True)
    srv: str | None = field(default=None, kw_only=True)
    timeout: float = field(default=5.0, kw_only=True)
    connect_timeout: float = field(default=2.0, kw_only=True)
    max_message: int = field(default=1 << 30, kw_only=True)

    def __init__(
        self,
        endpoints: str | Iterable[str] = ("127.0.0.1:2379",),
        *,
        user: str | None = None,
        password: str | None = None,
        password_file: str | os.PathLike[str] | None = None,
        tls: TLS | None = None,
        srv: str | None = None,
        timeout: float = 5.0,
        connect_timeout: float = 2.0,
        max_message: int = 1 << 30,
    ) -> None:
        # Written out, because what callers may give (any iterable, any path) is wider than what the fields hold.
        values = {
            "endpoints": () if srv is not None else normalize_endpoints(endpoints),
            "user": user,
            "password": password,
            "password_file": None if password_file is None else os.fspath(password_file),
            "tls": tls,
            "srv": srv,
            "timeout": seconds("timeout", timeout),
            "connect_timeout": seconds("connect_timeout", connect_timeout),
            "max_message": max_message,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        if self.password is not None and self.password_file is not None:
            raise ConfigurationError("A password and a password file are given. Keep one of them.")
        has_password = self.password is not None or self.password_file is not None
        if self.user is not None and not has_password:
            raise ConfigurationError(
                f"User {self.user!r} has no password. Put it into the URL (etcd://user:password@…), into ${PASSWORD}, "
                f"or into a file that ${PASSWORD_FILE} names."
            )
        if self.user is None and has_password:
            raise ConfigurationError("A password is given, and no user. Name the user as well.")
        if self.max_message < 1:
            raise ConfigurationError("max_message is a number of bytes, and at least 1.")

    @classmethod
    def from_url(cls, url: str | None = None, *, environ: Mapping[str, str] | None = None) -> Connection:
        """
        Make a connection from a URL.

        The URL's prefix, and its options that describe a source, are checked and otherwise ignored.

        Args:
            url: An ``etcd``, ``etcds`` or ``etcd+srv`` URL; None takes ``$ETCD_SETTINGS_URL``.

            environ: Where the password may be, under ``ETCD_SETTINGS_PASSWORD`` (or, in a file,
                ``ETCD_SETTINGS_PASSWORD_FILE``), if the URL names a user without one. Default: `os.environ`.

        Raises:
            ConfigurationError: The URL, or what completes it, is not usable.
        """
        environ = os.environ if environ is None else environ
        return cls.from_location(parse_url(url or url_from(environ)), environ=environ)

    @classmethod
    def from_location(cls, location: Location, *, environ: Mapping[str, str]) -> Connection:
        """Make a connection from a URL that was taken apart; see `from_url`."""
        if not location.is_etcd:
            raise ConfigurationError(
                f"A URL with scheme {location.scheme!r} leads to no etcd. Use etcd://host:2379/prefix/."
            )
        password, password_file = location.password, None
        if location.user is not None and password is None:
            password, password_file = environ.get(PASSWORD) or None, environ.get(PASSWORD_FILE) or None
            if password and password_file:
                raise ConfigurationError(f"${PASSWORD} and ${PASSWORD_FILE} are both set. Unset one of them.")
        return cls(
            location.endpoints,
            user=location.user,
            password=password,
            password_file=password_file,
            tls=TLS(**location.tls_options) if location.is_tls else None,
            srv=location.name or None,
            timeout=5.0 if location.timeout is None else location.timeout,
        )

    def read_password(self) -> str | None:
        """
        Give the present password; None without a user.

        Raises:
            ConfigurationError: The password's file cannot be read, or is empty.
        """
        if self.password_file is None:
            return self.password
        try:
            password = Path(self.password_file).read_text("utf-8").rstrip("\r\n")
            reason = "it is empty"
        except (OSError, UnicodeDecodeError) as e:
            password = ""
            reason = (e.strerror or "it cannot be opened") if isinstance(e, OSError) else "it is not UTF-8 text"
        if not password:
            raise ConfigurationError(f"The password file {self.password_file!r} cannot be used: {reason}.")
        return password


def url_from(environ: Mapping[str, str]) -> str:
    """
    Give the URL that the environment names.

    Raises:
        ConfigurationError: It names none.
    """
    url = environ.get("ETCD_SETTINGS_URL")
    if not url:
        raise ConfigurationError(
            "Nothing says where the settings are. Give a URL such as 'etcd://localhost:2379/config/app/', "
            "or set $ETCD_SETTINGS_URL."
        )
    return url


def seconds(name: str, value: float, *, least: float = 0.001) -> float:
    """
    Check a duration that somebody gave.

    Raises:
        ConfigurationError: It is no number, or smaller than *least*.
    """
    if _is_number(value) and not math.isnan(value) and value >= least:
        return float(value)
    raise ConfigurationError(f"{name} is a number of seconds, and at least {least:g}.")


def _is_number(value: object) -> bool:
    # Callers without a type checker hand over what they read somewhere.
    return isinstance(value, (int, float)) and not isinstance(value, bool)

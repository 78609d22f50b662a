"""TLS, users and tokens: who is let in, who is not, and what they are told."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from etcd_settings import TLS, Connection
from etcd_settings.errors import (
    AuthenticationError,
    ConfigurationError,
    EtcdSettingsError,
    PermissionDeniedError,
    TLSError,
    UnavailableError,
)
from etcd_settings.etcd import Client
from etcd_settings.testing import EtcdServer

APP = "/config/app/"
PROMPTLY = 2.0
"""Seconds within which a refusal must be told: nothing is waited for."""


@pytest.fixture(scope="module")
def secured() -> Iterator[EtcdServer]:
    """A server with TLS and users."""
    with EtcdServer(tls=True, auth=True) as server:
        yield server


@pytest.fixture(scope="module")
def mutual() -> Iterator[EtcdServer]:
    """A server that asks its clients for certificates."""
    with EtcdServer(tls="mutual") as server:
        yield server


def refused(kind: type[EtcdSettingsError], where: str | Connection, *secrets: str) -> EtcdSettingsError:
    """Read where it is not allowed; check that it is told promptly, rightly, and without a secret."""
    started = time.monotonic()
    with Client(where) as client, pytest.raises(kind) as e:
        client.get(APP + "a")

    assert time.monotonic() - started < PROMPTLY
    shown = f"{e.value!s}{e.value!r}{e.value.__dict__}{e.value.__context__!r}{client!r}{client.connection!r}"
    for secret in secrets:
        assert secret not in shown
    return e.value


def test_the_url_of_a_secured_server_is_complete(secured: EtcdServer) -> None:
    """Certificate and credentials in the URL are all that is needed."""
    with Client(secured.url) as client:
        revision = client.put(APP + "a", "1")

        assert revision == client.get_prefix(APP).revision


def test_a_wrong_password_is_refused(secured: EtcdServer) -> None:
    """The error names the user and the endpoint, and neither password."""
    connection = Connection.from_url(secured.url)
    assert connection.password is not None
    url = secured.url.replace(f":{connection.password}@", ":wrong-4711@")

    error = refused(AuthenticationError, url, "wrong-4711", connection.password)

    assert isinstance(error, AuthenticationError)
    assert (secured.endpoint, "app") == (error.endpoint, error.user)


def test_no_user_is_refused_with_the_way_to_give_one(secured: EtcdServer) -> None:
    """Whoever forgot the user is told where to put it."""
    anonymous = Connection([secured.endpoint], tls=Connection.from_url(secured.url).tls)

    assert "etcd://user:password@" in str(refused(AuthenticationError, anonymous))


def test_a_forbidden_prefix_names_the_command_that_grants_it(secured: EtcdServer) -> None:
    """Of several layers each that is forbidden is named, and no other."""
    with Client(secured.url) as client:
        with pytest.raises(PermissionDeniedError, match="grant-permission --prefix=true ROLE read /other/"):
            client.get_prefix("/other/")
        with pytest.raises(PermissionDeniedError, match="grant-permission ROLE write /other/a"):
            client.put("/other/a", "1")
        with pytest.raises(PermissionDeniedError) as e:
            client.read({"a": "/else/", "b": APP, "c": "/other/"})

    problems = [problem for problem in e.value.problems if isinstance(problem, PermissionDeniedError)]
    assert ["/else/", "/other/"] == [problem.prefix for problem in problems]


def test_a_token_that_the_server_forgot_is_renewed() -> None:
    """A restart forgets simple tokens; reads and writes go on as if nothing had been."""
    with EtcdServer(auth=True) as server, Client(server.url) as client:
        client.put(APP + "a", "1")
        server.restart()
        assert client.get(APP + "a") is not None
        server.restart()
        client.put(APP + "a", "2")


def test_a_token_that_expired_is_renewed() -> None:
    """A token has a life; after it the client gets another."""
    with (
        EtcdServer(auth=True, args=("--auth-token-ttl", "1")) as server,
        Client(server.url) as client,
    ):
        client.put(APP + "a", "1")
        token = client._calls.identity._token
        deadline = time.monotonic() + 20
        while client._calls.identity._token == token and time.monotonic() < deadline:
            assert client.get(APP + "a") is not None
            time.sleep(0.7)  # a token that is used lives on: it must be left alone for its whole life
            time.sleep(1.5)

        assert client._calls.identity._token != token


def test_changed_roles_do_not_disturb_whoever_may_still_read() -> None:
    """Any change of users and roles makes every token "old"; the client renews it and goes on."""
    with EtcdServer(auth=True) as server, Client(server.url) as client:
        client.put(APP + "a", "1")
        server.etcdctl("user", "add", "another:word")

        assert client.get(APP + "a") is not None
        client.put(APP + "a", "2")


def test_credentials_are_no_harm_where_authentication_is_off(etcd_server: EtcdServer) -> None:
    """The server says that it needs none, and is read all the same."""
    with Client(Connection([etcd_server.endpoint], user="app", password="word")) as client:
        client.put(APP + "a", "1")

        assert client.get(APP + "a") is not None


def test_a_password_file_is_read_again_when_a_token_is_needed(tmp_path: Path) -> None:
    """A password that was changed on disk counts from the next login on, without a restart of the program."""
    with EtcdServer(auth=True) as server:
        connection = Connection.from_url(server.url)
        file = tmp_path / "password"
        file.write_text(f"{connection.password}\n")
        with Client(Connection([server.endpoint], user="app", password_file=file)) as client:
            client.put(APP + "a", "1")
            server.etcdctl("user", "passwd", "app", "--interactive=false", input="changed")
            file.write_text("changed")
            server.restart()

            assert client.get(APP + "a") is not None


def test_an_unknown_authority_is_not_trusted(secured: EtcdServer) -> None:
    """Without the server's authority the handshake ends with the reason."""
    assert "issuer" in str(refused(TLSError, Connection([secured.endpoint], tls=TLS())))


def test_a_certificate_for_another_name_is_not_trusted(secured: EtcdServer) -> None:
    """``server_name`` says for whom it must be, in place of the endpoint's host."""
    ca = Connection.from_url(secured.url).tls
    assert ca is not None
    other = Connection([secured.endpoint], tls=TLS(ca=ca.ca, server_name="etcd.example.com"))
    assert "etcd.example.com" in str(refused(TLSError, other))

    user = Connection.from_url(secured.url)
    named = Connection(
        [secured.endpoint], user="app", password=user.password, tls=TLS(ca=ca.ca, server_name="localhost")
    )
    with Client(named) as client:
        client.get(APP + "a")


def test_names_and_addresses_are_both_verified(secured: EtcdServer) -> None:
    """The certificate holds 127.0.0.1 and localhost; each endpoint is checked by what it is called."""
    url = secured.url.replace("127.0.0.1", "localhost")

    with Client(url) as client:
        client.get(APP + "a")


def test_a_client_certificate_is_shown(mutual: EtcdServer) -> None:
    """With it everything works; without it the refusal comes as a TLS error."""
    with Client(mutual.url) as client:
        client.put(APP + "a", "1")
    tls = Connection.from_url(mutual.url).tls
    assert tls is not None

    refused(TLSError, Connection([mutual.endpoint], tls=TLS(ca=tls.ca)))


def test_certificates_rotated_on_disk_count_from_the_next_connection_on(mutual: EtcdServer, tmp_path: Path) -> None:
    """A certificate that expires is replaced under the same name, and nobody restarts the program."""
    tls = Connection.from_url(mutual.url).tls
    assert tls is not None
    assert tls.ca is not None
    assert tls.cert is not None
    assert tls.key is not None
    cert, key = tmp_path / "client.pem", tmp_path / "client-key.pem"
    shutil.copy(tls.ca, cert)  # what lies there at first is of no use
    shutil.copy(tls.key, key)
    with Client(Connection([mutual.endpoint], tls=TLS(ca=tls.ca, cert=str(cert), key=str(key)))) as client:
        with pytest.raises(ConfigurationError, match="cert and key"):
            client.get(APP + "a")
        shutil.copy(tls.cert, cert)

        client.put(APP + "a", "1")


@pytest.mark.parametrize("option", ["ca", "cert"])
def test_a_missing_file_is_named(mutual: EtcdServer, option: str, tmp_path: Path) -> None:
    """The error tells which option names which file."""
    tls = {"ca": None, "cert": None} | {option: str(tmp_path / "nowhere.pem")}

    error = refused(ConfigurationError, Connection([mutual.endpoint], tls=TLS(**tls)))

    assert "nowhere.pem" in str(error)
    assert option in str(error)


def test_a_key_with_a_passphrase_is_refused_without_asking(mutual: EtcdServer, tmp_path: Path) -> None:
    """OpenSSL would ask on the terminal, and a service would hang at its start."""
    key = tmp_path / "key.pem"
    key.write_text(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIBvTBXBgkqhkiG9w0BBQ0w\n-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    tls = Connection.from_url(mutual.url).tls
    assert tls is not None

    refused(ConfigurationError, Connection([mutual.endpoint], tls=TLS(ca=tls.ca, cert=tls.cert, key=str(key))))


def test_plain_text_to_a_tls_port_is_told_so(secured: EtcdServer) -> None:
    """Etcd just hangs up, which looks like a restart; the error suggests ``etcds://``."""
    assert "etcds://" in str(refused(UnavailableError, Connection([secured.endpoint])))


def test_tls_to_a_plain_port_is_told_so(etcd_server: EtcdServer) -> None:
    """The error asks whether the server speaks TLS at all."""
    assert "speak" in str(refused(EtcdSettingsError, Connection([etcd_server.endpoint], tls=TLS())))


def test_no_secret_is_ever_logged(secured: EtcdServer, caplog: pytest.LogCaptureFixture) -> None:
    """Not even h2's own debugging tells the token or the password."""
    caplog.set_level(logging.DEBUG)
    connection = Connection.from_url(secured.url)
    assert connection.password is not None
    with Client(connection) as client:
        client.get(APP + "a")
        token = client._calls.identity._token

    assert token
    assert token not in caplog.text
    assert connection.password not in caplog.text

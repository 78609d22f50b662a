"""Where etcd is and who we are."""

from __future__ import annotations

from pathlib import Path

import pytest

from etcd_settings.connection import TLS, Connection, seconds
from etcd_settings.errors import ConfigurationError

SECRET = "q7Zk"


def test_the_default_is_a_local_etcd() -> None:
    """A connection without arguments goes to this machine's etcd, in plain text, as nobody."""
    connection = Connection()

    assert (("127.0.0.1:2379",), None, None, 5.0, 2.0, 1 << 30) == (
        connection.endpoints,
        connection.user,
        connection.tls,
        connection.timeout,
        connection.connect_timeout,
        connection.max_message,
    )


def test_equal_connections_are_equal() -> None:
    """Equal facts make equal connections with equal hashes, whatever kind of iterable and path they came in."""
    first = Connection(["A", "b:1"], user="u", password_file=Path("/p"), tls=TLS(ca="/ca"))
    second = Connection("a:2379,b:1", user="u", password_file="/p", tls=TLS("/ca"), timeout=5)

    assert first == second
    assert hash(first) == hash(second)


def test_no_repr_shows_a_password() -> None:
    """Neither the connection's repr nor its errors show the password."""
    connection = Connection(user="u", password=SECRET)

    assert SECRET not in repr(connection)
    with pytest.raises(ConfigurationError) as caught:
        Connection(password=SECRET)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["ca", "cert", "key"])
def test_a_pem_text_is_refused_and_not_shown(name: str) -> None:
    """Certificates and keys are paths; a text is refused without quoting it."""
    pem = f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----"

    with pytest.raises(ConfigurationError, match="PEM text") as caught:
        TLS(**{name: pem})

    assert SECRET not in str(caught.value)


def test_a_key_needs_a_certificate() -> None:
    """A client's key without its certificate cannot work, and is refused at once."""
    with pytest.raises(ConfigurationError, match="no certificate"):
        TLS(key="/key.pem")


def test_a_password_has_one_home() -> None:
    """A password and a password file contradict each other."""
    with pytest.raises(ConfigurationError, match="Keep one"):
        Connection(user="u", password="p", password_file="/p")


def test_a_user_needs_a_password() -> None:
    """A user without a password is refused, with the places where one can be put."""
    with pytest.raises(ConfigurationError, match=r"\$ETCD_SETTINGS_PASSWORD_FILE"):
        Connection.from_url("etcd://u@h/", environ={})


def test_durations_are_checked() -> None:
    """A timeout that is no positive number is refused by name."""
    for wrong in (0, -1, float("nan"), "5", True):
        with pytest.raises(ConfigurationError, match=r"^timeout is a number"):
            Connection(timeout=wrong)  # type: ignore[arg-type]  # what a caller without a type checker may do
    assert 0.0 == seconds("ttl", 0, least=0)


def test_the_largest_message_has_at_least_a_byte() -> None:
    """A limit that nothing could meet is refused."""
    with pytest.raises(ConfigurationError, match="max_message"):
        Connection(max_message=0)


def test_a_url_makes_a_connection() -> None:
    """Endpoints, credentials, TLS and timeout of the URL are the connection's; its prefix and TTL are not."""
    url = f"etcds://root:{SECRET}@a:1,b/config/?timeout=7&ttl=3&ca=/ca.pem&server_name=etcd"

    assert Connection(
        ["a:1", "b:2379"], user="root", password=SECRET, tls=TLS(ca="/ca.pem", server_name="etcd"), timeout=7
    ) == Connection.from_url(url, environ={})


def test_tls_is_the_schemes_choice() -> None:
    """`etcds` means TLS with the operating system's certificates, `etcd` means none."""
    assert TLS() == Connection.from_url("etcds://h/", environ={}).tls
    assert Connection.from_url("etcd://h/", environ={}).tls is None


def test_dns_names_the_endpoints_of_srv() -> None:
    """A connection by SRV has a domain and no endpoints; its TLS options choose TLS, as `etcds+srv` does."""
    plain = Connection.from_url("etcd+srv://example.com/", environ={})

    assert ("example.com", (), None) == (plain.srv, plain.endpoints, plain.tls)
    assert TLS(ca="/ca") == Connection.from_url("etcd+srv://example.com/?ca=/ca", environ={}).tls
    assert TLS() == Connection.from_url("etcds+srv://example.com/", environ={}).tls


def test_the_environment_completes_a_url() -> None:
    """The password of the environment is used where the URL names a user without one, and only there."""
    environ = {"ETCD_SETTINGS_PASSWORD": SECRET}

    assert SECRET == Connection.from_url("etcd://u@h/", environ=environ).password
    assert "mine" == Connection.from_url("etcd://u:mine@h/", environ=environ).password
    assert Connection.from_url("etcd://h/", environ=environ).password is None


def test_two_passwords_in_the_environment_contradict() -> None:
    """Both variables set is a mistake that nobody should have to search for."""
    environ = {"ETCD_SETTINGS_PASSWORD": SECRET, "ETCD_SETTINGS_PASSWORD_FILE": "/p"}

    with pytest.raises(ConfigurationError, match="both set") as caught:
        Connection.from_url("etcd://u@h/", environ=environ)

    assert SECRET not in str(caught.value)


def test_the_environment_may_name_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a URL `$ETCD_SETTINGS_URL` counts; an empty one is none."""
    monkeypatch.setenv("ETCD_SETTINGS_URL", "etcd://envhost/")

    assert ("envhost:2379",) == Connection.from_url().endpoints
    with pytest.raises(ConfigurationError, match=r"set \$ETCD_SETTINGS_URL"):
        Connection.from_url(environ={"ETCD_SETTINGS_URL": ""})


def test_only_etcd_has_connections() -> None:
    """A URL of a store of our own makes no connection."""
    with pytest.raises(ConfigurationError, match="'memory' leads to no etcd"):
        Connection.from_url("memory://m/", environ={})


def test_a_password_file_is_read_anew(tmp_path: Path) -> None:
    """A password that was changed on disk is the present one; its line end does not belong to it."""
    path = tmp_path / "password"
    path.write_text("old\n")
    connection = Connection.from_url("etcd://u@h/", environ={"ETCD_SETTINGS_PASSWORD_FILE": str(path)})
    assert "old" == connection.read_password()

    path.write_text(" new \r\n")

    assert " new " == connection.read_password()


def test_a_password_is_read_from_where_it_is() -> None:
    """Without a file the password is the given one; without a user there is none."""
    assert "p" == Connection(user="u", password="p").read_password()
    assert Connection().read_password() is None


@pytest.mark.parametrize(
    ("content", "words"), [(None, "No such file"), (b"\n", "empty"), (b"\xff" + SECRET.encode(), "UTF-8")]
)
def test_an_unusable_password_file_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    """A file that is missing, empty or no text is named with the reason, and nothing of it is shown."""
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=words) as caught:
        Connection(user="u", password_file=path).read_password()

    assert str(path) in str(caught.value)
    assert SECRET not in repr(caught.value)
    assert caught.value.__context__ is None

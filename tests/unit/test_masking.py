"""What is secret by its name is masked, wherever it stands."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from etcd_settings.fitting.descent import spot_for
from etcd_settings.masking import MASK, is_secret_name, masked, masked_text
from tests.making import make_entry

SECRET = "correct horse"


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "PASSWORD",
        "db_password",
        "db-passwd",
        "apiToken",
        "client-secret",
        "private_key",
        "Private-Key",
        "privatekey",
    ],
)
def test_names_that_are_secret(name: str) -> None:
    """A name that has one of the words in it, in any case, with hyphens or without."""
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["host", "passenger", "key", "private", "tok_en"])
def test_names_that_are_not(name: str) -> None:
    """Others are shown."""
    assert not is_secret_name(name)


def test_a_tree_is_masked_at_every_depth() -> None:
    """Below a secret name nothing shows, not even names; what stands beside it does."""
    tree = {
        "db": {"Password": SECRET, "host": "pg1", "replicas": [{"token": SECRET, "host": "pg2"}]},
        "secrets": {"a": SECRET},
    }

    expected = {"db": {"Password": MASK, "host": "pg1", "replicas": [{"token": MASK, "host": "pg2"}]}, "secrets": MASK}

    assert expected == masked(tree)
    assert MASK == masked(SECRET, ["db", "db-passwd", "x"])
    assert "pg1" == masked("pg1", ["db", "host"])


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        ("db/host", "pg1", "pg1"),
        ("db/password", SECRET, MASK),
        ("db/password", b"\xff", MASK),
        ("db/blob", b"\xff", b"\xff"),
        ("db.json", '{"host":  "pg1"}', '{"host":  "pg1"}'),
        ("db.json", f'{{"host": "pg1", "password": "{SECRET}"}}', f'{{"host": "pg1", "password": "{MASK}"}}'),
        ("db.toml", f'host = "pg1"\npassword = "{SECRET}"', f'{{"host": "pg1", "password": "{MASK}"}}'),
        ("db.toml", f"password = {SECRET}", MASK),
        ("db.json", b"\xff", MASK),
        ("db", f'{{"password": "{SECRET}"}}', f'{{"password": "{MASK}"}}'),
        ("hosts", f'[{{"token": "{SECRET}"}}]', f'[{{"token": "{MASK}"}}]'),
        ("hosts", "[1,  2]", "[1,  2]"),
        ("db", f'{{"password": "{SECRET}"', MASK),
        ("my-secrets.json", '{"a": 1}', MASK),
        ("db.yaml", f'a: \'{{"token": "{SECRET}"}}\'', f'{{"a": "{{\\"token\\": \\"{MASK}\\"}}"}}'),
    ],
)
def test_the_text_of_an_entry_is_masked(path: str, value: str | bytes, shown: str | bytes) -> None:
    """By its path, in documents and in JSON texts; one that does not parse and may hold a secret, as a whole."""
    assert shown == masked_text(path, make_entry(path, value))


class Login(BaseModel):
    pin: SecretStr = SecretStr("")
    user: str = ""


class Branch(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    login: Login | None = None
    logins: list[Login] = []
    by_name: dict[str, Login] = {}
    code: SecretStr = Field(SecretStr(""), alias="access-code")
    key: str = Field("", alias="api_token_name")
    api_token: str = Field("", alias="plain-name")
    pair: tuple[str, SecretStr] = ("", SecretStr(""))


def test_a_type_tells_what_else_is_secret() -> None:
    """By fields of secret types, or with another name that is secret; in every spelling, in lists and dicts too."""
    login = {"PIN": SECRET, "user": "app"}
    hidden_login = {"PIN": MASK, "user": "app"}
    tree = {
        "Login": login,
        "logins": [login, login],
        "by-name": {"Me": login},
        "Access_Code": SECRET,
        "Key": SECRET,
        "Plain_Name": SECRET,
        "pair": ["app", SECRET],
        "unknown": {"pin": "shown"},
    }

    shown = masked(tree, hidden=spot_for(Branch))

    assert {
        "Login": hidden_login,
        "logins": [hidden_login, hidden_login],
        "by-name": {"Me": hidden_login},
        "Access_Code": MASK,
        "Key": MASK,
        "Plain_Name": MASK,
        "pair": ["app", MASK],
        "unknown": {"pin": "shown"},
    } == shown
    for index in ("0", "²"):  # which is a digit, and no number
        assert MASK == masked(SECRET, ["logins", index, "pin"], spot_for(Branch))


def test_a_text_that_is_a_branch_to_the_type_is_looked_into() -> None:
    """JSON in a text is masked as the branch that it stands for."""
    shown = masked_text("login", make_entry("login", f'{{"pin": "{SECRET}"}}'), spot_for(Branch))

    assert f'{{"pin": "{MASK}"}}' == shown


class Rooted(BaseModel):
    model_config = {"etcd_path": "services/orders"}  # type: ignore[typeddict-unknown-key]  # as EtcdBaseSettings has it

    pin: SecretStr


def test_a_class_that_reads_a_branch_hides_in_that_branch() -> None:
    """What the class says by ``etcd_path`` is heeded."""
    beside = {"pin": "shown", "others": {"orders": {"pin": "shown"}}}
    tree = {**beside, "services": {"orders": {"pin": SECRET}}}

    expected = {**beside, "services": {"orders": {"pin": MASK}}}

    assert expected == masked(tree, hidden=spot_for(Rooted))

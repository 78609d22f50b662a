"""Keys that no field takes."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import pytest
from pydantic import AliasPath, BaseModel, ConfigDict, Field, ValidationError

from etcd_settings.errors import ConfigurationError, InvalidSettingsError
from etcd_settings.integrations.pydantic_settings import EtcdBaseSettings, EtcdSettingsConfigDict, EtcdSettingsSource
from tests.integrations.holding import held

KEYS = {"database/host": "h", "max_conections": "7", "dtabase/host": "i", "Zzz": "x"}


class Database(BaseModel):
    model_config = ConfigDict(extra="forbid")
    host: str = ""


class Settings(EtcdBaseSettings):
    database: Database = Database()
    max_connections: int = Field(default=1, validation_alias="MaxConnections")
    item: str = Field(default="", validation_alias=AliasPath("items", 0))


@pytest.mark.parametrize("extra", ["forbid", "ignore"])
def test_unknown_keys_are_ignored_by_default(extra: Literal["forbid", "ignore"]) -> None:
    """A prefix may hold keys of others, whatever ``extra`` says."""

    class Own(Settings):
        model_config = EtcdSettingsConfigDict(extra=extra)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        settings = Own(_etcd_source=held(KEYS))

    assert Database(host="h") == settings.database


def test_a_model_that_allows_extra_gets_them() -> None:
    """``extra="allow"`` passes unknown keys on, as they are spelled."""

    class Own(Settings):
        model_config = EtcdSettingsConfigDict(extra="allow")

    settings = Own(_etcd_source=held(KEYS))

    assert {"max_conections": "7", "dtabase": {"host": "i"}, "Zzz": "x"} == settings.model_extra


def test_unknown_keys_can_be_warned_of() -> None:
    """``"warn"`` is a `UserWarning` for each, with the key and the field that is nearest to it."""
    with pytest.warns(UserWarning, match="No field takes it") as caught:
        values = EtcdSettingsSource(Settings, held(KEYS), unknown="warn")()

    assert {
        "'/config/app/max_conections': No field takes it; the nearest is 'max_connections' (Settings)",
        "'/config/app/dtabase/host': No field takes it; the nearest is 'database' (Settings)",
        "'/config/app/Zzz': No field takes it (Settings)",
    } == {str(warning.message) for warning in caught}
    assert {"database": {"host": "h"}} == values


def test_unknown_keys_can_be_errors() -> None:
    """``"error"`` names all of them at once, with key and nearest field, and no value."""

    class Own(Settings):
        model_config = EtcdSettingsConfigDict(etcd_unknown="error", extra="allow")

    with pytest.raises(InvalidSettingsError) as caught:
        Own(_etcd_source=held(KEYS))

    errors = {one["loc"]: (one["keys"], one["msg"]) for one in caught.value.errors}
    assert {
        ("max_conections",): (
            ("/config/app/max_conections",),
            "No field takes it; the nearest is 'max_connections'",
        ),
        ("dtabase",): (("/config/app/dtabase/host",), "No field takes it; the nearest is 'database'"),
        ("Zzz",): (("/config/app/Zzz",), "No field takes it"),
    } == errors


def test_what_a_field_takes_is_not_unknown() -> None:
    """Any spelling, any alias, and the head of an alias path are known."""
    source = held({"MAXCONNECTIONS": "7", "Items/0": "a", "Database/HOST": "h"})

    settings = Settings(_etcd_source=source)
    EtcdSettingsSource(Settings, source, unknown="error")()

    assert (7, "a", "h") == (settings.max_connections, settings.item, settings.database.host)


def test_nested_unknown_keys_are_their_models_business() -> None:
    """Below the top a model's own ``extra`` decides, and pydantic tells."""
    with pytest.raises(ValidationError) as caught:
        Settings(_etcd_source=held({"database/nope": "1"}))

    assert [(("database", "nope"), "extra_forbidden")] == [(e["loc"], e["type"]) for e in caught.value.errors()]
    assert ["database.nope comes from etcd: '/config/app/database/nope'"] == caught.value.__notes__


def test_a_policy_that_does_not_exist_is_an_error() -> None:
    """A typing mistake in ``unknown`` is not silently the default."""
    wrong: Any = "wran"

    with pytest.raises(ConfigurationError, match="unknown='wran'"):
        EtcdSettingsSource(Settings, unknown=wrong)

"""`check` says whether a class accepts what etcd holds, `schema` what the class takes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from etcd_settings.testing import EtcdServer
from tests.cli.conftest import Run

SECRET = "correct horse"
MODELS = f'''
from pydantic import BaseModel, Field, SecretStr, field_validator

from etcd_settings.integrations.pydantic_settings import EtcdBaseSettings, EtcdSettingsConfigDict


class Database(BaseModel):
    host: str
    port: int = 5432
    password: SecretStr = SecretStr("{SECRET}")


class Plain(BaseModel):
    database: Database
    level: str = "info"
    api_token: str = "{SECRET}"
    tokens: dict[str, str] = Field({{"a": "{SECRET}"}}, examples=[{{"a": "{SECRET}"}}])
    nested: dict[str, dict[str, str]] = {{"a": {{"password": "{SECRET}", "host": "pg1"}}}}


class Reading(EtcdBaseSettings):
    model_config = EtcdSettingsConfigDict(etcd_layers=["common/", "orders/"], etcd_url="URL", env_prefix="SHOP_")

    database: Database
    region: str


class Raising(BaseModel):
    level: str

    @field_validator("level")
    @classmethod
    def refuse(cls, value):
        raise RuntimeError(f"not {{value}}")


class NoModel:
    def __init__(self, thing): ...


class NoSchema(BaseModel):
    of: type[BaseModel]
    call: __import__("collections.abc").abc.Callable
'''


@pytest.fixture(autouse=True)
def _models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, etcd_server: EtcdServer) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "shop_models.py").write_text(MODELS.replace("URL", etcd_server.url))
    yield
    sys.modules.pop("shop_models", None)


def put(server: EtcdServer, **values: str) -> None:
    for path, value in values.items():
        server.put(server.prefix + path.replace("__", "/"), value)


def test_check_accepts_what_is_valid(etcd_server: EtcdServer, run: Run) -> None:
    """It is exit code 0, with the revision that was judged."""
    put(etcd_server, database__host="pg1", database__port="5433")
    done = run("check", "shop_models:Plain", "--url", etcd_server.url)

    assert (0, "") == (done.code, done.err)
    assert f"at revision {etcd_server.revision()}" in done.out
    assert {"valid": True, "revision": etcd_server.revision(), "problems": []} == run(
        "check", "shop_models:Plain", "--url", etcd_server.url, "--json"
    ).json


def test_check_tells_every_problem_with_its_key(etcd_server: EtcdServer, run: Run) -> None:
    """It is exit code 1; what is wrong is told all at once, and no value is."""
    put(etcd_server, database__host="pg1", database__port="wrong horse", tokens="[]")
    done = run("check", "shop_models:Plain", "--url", etcd_server.url)
    told = run("check", "shop_models:Plain", "--url", etcd_server.url, "--json")

    assert (1, "", 1, "") == (done.code, done.err, told.code, told.err)
    assert "- database.port: " in done.out
    assert f"(from {etcd_server.prefix}database/port)" in done.out
    assert "wrong horse" not in done.out + told.out
    assert not told.json["valid"]
    assert [("database.port", "int_parsing", [f"{etcd_server.prefix}database/port"])] == [
        (problem["path"], problem["type"], problem["keys"])
        for problem in told.json["problems"]
        if problem["path"].startswith("database")
    ]
    assert "tokens" in [problem["path"] for problem in told.json["problems"]]


def test_check_names_keys_that_contradict_each_other(etcd_server: EtcdServer, run: Run) -> None:
    """No settings come of these at all."""
    put(etcd_server, level="info", level__deep="x", database__host="pg1")
    done = run("check", "shop_models:Plain", "--url", etcd_server.url, "--json")

    assert 1 == done.code
    assert ["ConflictError"] == [problem["type"] for problem in done.json["problems"]]
    assert f"{etcd_server.prefix}level" in done.json["problems"][0]["keys"]


def test_a_class_that_reads_etcd_is_built_as_a_program_builds_it(
    etcd_server: EtcdServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its layers count, and its environment variables, and its own URL where nobody names another."""
    put(etcd_server, common__database__host="pg1", orders__database__port="wrong")
    refused = run("check", "shop_models:Reading", "--json")

    assert ["database.port", "region"] == sorted(problem["path"] for problem in refused.json["problems"])
    monkeypatch.setenv("SHOP_DATABASE", '{"port": 1}')
    assert ["region"] == [problem["path"] for problem in run("check", "shop_models:Reading", "--json").json["problems"]]
    monkeypatch.delenv("SHOP_DATABASE")
    put(etcd_server, orders__database__port="5433")
    assert 1 == run("check", "shop_models:Reading").code
    monkeypatch.setenv("SHOP_REGION", "north")
    assert 0 == run("check", "shop_models:Reading").code
    assert 3 == run("check", "shop_models:Reading", "--url", "etcd://127.0.0.1:1/a/?timeout=1").code


def test_what_a_validator_raises_is_told_without_the_value(etcd_server: EtcdServer, run: Run) -> None:
    """Validators may raise anything."""
    put(etcd_server, level="wrong horse")
    done = run("check", "shop_models:Raising", "--url", etcd_server.url)

    assert (1, "") == (done.code, done.err)
    assert "the class raised RuntimeError" in done.out
    assert "last good" not in done.out
    assert "wrong horse" not in done.out


@pytest.mark.parametrize("verb", ["check", "schema"])
@pytest.mark.parametrize("target", ["shop_models:NoModel", "shop_models:Nothing", "shop_models", "nowhere:Model"])
def test_a_bad_model_is_code_6(verb: str, target: str, run: Run) -> None:
    """It is one line that names it."""
    done = run(verb, target)

    assert (6, "") == (done.code, done.out)
    assert target.partition(":")[0] in done.err
    assert 1 == len(done.err.splitlines())


def test_schema_is_the_json_schema(run: Run) -> None:
    """It names fields and types, and no secret that is a default."""
    schema = run("schema", "shop_models:Plain")

    assert (0, "") == (schema.code, schema.err)
    assert "string" == schema.json["properties"]["api_token"]["type"]
    assert "info" == schema.json["properties"]["level"]["default"]
    assert {"a": {"password": "**********", "host": "pg1"}} == schema.json["properties"]["nested"]["default"]
    assert "Database" in schema.json["$defs"]
    assert SECRET not in schema.out
    assert schema.out == run("schema", "shop_models:Plain", "--json").out


def test_a_class_without_a_json_schema_is_code_6(run: Run) -> None:
    """Not every type has one."""
    done = run("schema", "shop_models:NoSchema")

    assert (6, "") == (done.code, done.out)
    assert "no JSON Schema" in done.err

"""Why an update was refused is told without what was refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr, field_validator, model_validator

from etcd_settings import InvalidSettingsError, Live, Source, UnavailableError
from etcd_settings.errors import ConflictError, EtcdSettingsError
from etcd_settings.integrations.pydantic_settings import EtcdBaseSettings, EtcdSettingsConfigDict
from etcd_settings.stores.memory import MemoryStore
from tests.living import App
from tests.waiting import eventually

SECRET = "hunter2-hush"  # a marker that must not turn up anywhere


class Quoting(BaseModel):
    """Validators that quote what they refuse."""

    dsn: SecretStr = SecretStr("")
    api_token: str = ""
    host: str = ""
    port: int = 0

    @field_validator("dsn")
    @classmethod
    def _dsn(cls, dsn: SecretStr) -> SecretStr:
        if dsn.get_secret_value():
            raise ValueError(f"reversed: {dsn.get_secret_value()[::-1]}")
        return dsn

    @field_validator("api_token", "host")
    @classmethod
    def _quote(cls, value: str) -> str:
        assert not value, f"{value} is wrong"
        return value


class Whole(BaseModel):
    password: str = ""
    other: str = ""

    @model_validator(mode="after")
    def _quote(self) -> Whole:
        if self.other:
            raise ValueError(f"with {self.password} and {self.other}")
        return self


class Rooted(EtcdBaseSettings):
    model_config = EtcdSettingsConfigDict(etcd_url="memory://live-rooted/config/")
    quoting: Quoting = Quoting()


def plain(app: App, kind: type[Any]) -> Callable[[], Any]:
    """Make a factory that nobody can look into, and that lets pydantic's own error out."""
    return lambda: kind.model_validate(app.source.tree())


def refused(live: Live[Any], revision: int) -> EtcdSettingsError:
    assert "rejected" == live.wait(revision)
    rejection = live.rejection
    assert rejection is not None
    return rejection.error


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("dsn", "withheld"),  # secret by type
        ("api_token", "withheld"),  # secret by name
        ("host", "********** is wrong"),
        ("port", "valid integer"),
    ],
)
def test_pydantic_s_own_errors_are_scrubbed(
    app: App, path: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the factory is: what may quote is withheld at secret places, and masked elsewhere."""
    with Live(plain(app, Quoting)) as live:
        error = refused(live, app.put(path, SECRET))

    assert isinstance(error, InvalidSettingsError)
    assert (path,) == error.errors[0]["loc"]
    assert message in error.errors[0]["msg"]
    assert (None, None, None) == (error.__cause__, error.__context__, error.__traceback__)
    for shown in (SECRET, SECRET[::-1]):
        assert shown not in f"{error!r}{vars(error)}{caplog.text}"
    assert str(error) == str(pickle.loads(pickle.dumps(error)))


def test_the_start_scrubs_too(app: App) -> None:
    """What `start` raises is ours, and holds no value."""
    app.put("port", SECRET)

    with pytest.raises(InvalidSettingsError) as caught:
        Live(plain(app, Quoting)).start()

    error = caught.value
    assert (None, None) == (error.__cause__, error.__context__)
    assert SECRET not in f"{error!r}{vars(error)}"


def test_a_validator_of_the_whole_quotes_nothing(app: App) -> None:
    """All texts of its input are masked."""
    app.put("password", SECRET)
    with Live(plain(app, Whole)) as live:
        error = refused(live, app.put("other", "visible-text"))

    assert SECRET not in str(error)
    assert "visible-text" not in str(error)


def test_a_settings_class_names_the_keys() -> None:
    """They come with each error, as `Source.load` gives them."""
    store = MemoryStore.shared("live-rooted")
    with Live(Rooted) as live:
        error = refused(live, store.put("/config/quoting/host", SECRET))

    assert isinstance(error, InvalidSettingsError)
    assert ("/config/quoting/host",) == error.errors[0]["keys"]


def test_keys_that_contradict_each_other(app: App) -> None:
    """Our own errors are kept as they are."""
    app.put("a", "1")
    with Live(app.source.tree) as live:
        error = refused(live, app.put("a/b", "2"))

    assert isinstance(error, ConflictError)
    assert ("/config/app/a", "/config/app/a/b") == error.keys


def test_what_is_refused_is_not_saved_as_last_good(tmp_path: Path) -> None:
    """Neither at the start nor later; what is accepted is, and without a Live all that is read."""
    file = tmp_path / "last_good"
    store = MemoryStore()
    store.put("/config/port", SECRET)
    with Source(store=store, prefix="/config/", last_good=file) as source:
        live = Live(lambda: source.load(Quoting))
        with pytest.raises(InvalidSettingsError):
            live.start()
        assert not file.exists()

        store.put("/config/port", "1001")
        with live:
            assert b"MTAwMQ" in file.read_bytes() or b"1001" in file.read_bytes()
            saved = file.read_bytes()
            assert "rejected" == live.wait(store.put("/config/port", SECRET))
            source.refresh()
            assert saved == file.read_bytes()
            assert "applied" == live.wait(store.put("/config/port", "1002"))
            live.wait(store.put("/config/elsewhere", "1"))  # what was accepted is saved by now
            assert saved != file.read_bytes()
        saved = file.read_bytes()
        store.put("/config/port", "1003")
        source.refresh()

        assert saved != file.read_bytes()


def test_a_source_that_cannot_be_read_yet_is_tried_again(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """A candidate that leads to a new source, which is away, is refused, and built again until it is there."""
    monkeypatch.setattr("etcd_settings.live.dispatching._FIRST_RETRY", 0.01)
    told: list[object] = []
    away = MemoryStore()
    away.put("/config/value", "2")
    read = away.read

    def fail(*_: Any, **__: Any) -> Any:
        raise UnavailableError({"elsewhere": "connection refused"})

    monkeypatch.setattr(away, "read", fail)

    def factory() -> str:
        return str((other if "away" in app.source.tree() else app.source).tree().get("value", ""))

    with Source(store=away, prefix="/config/") as other, Live(factory, on_reject=told.append) as live:
        error = refused(live, app.put("away", "1"))
        assert isinstance(error, UnavailableError)
        monkeypatch.setattr(away, "read", read)

        eventually(lambda: live.current == "2")

        assert live.rejection is None
        assert "applied" == live.wait(away.put("/config/value", "3"), source=other)
    assert 1 == len(told)

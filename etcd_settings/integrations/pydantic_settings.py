"""
Make etcd a source of pydantic-settings.

`EtcdSettingsSource` stands in ``settings_customise_sources`` beside the sources that pydantic-settings brings;
`EtcdBaseSettings` is a ``BaseSettings`` that has it already: init arguments over environment over ``.env`` over secret
files over etcd over defaults.

It knows pydantic-settings: when sources are called, under which keys values of several sources meet, where it would
show a value. How trees fit types is the business of `etcd_settings.fitting`, and what is read when is the `Source`'s.

Invariant: one ``Settings()`` sees one snapshot of each source, taken when its turn comes and not before, and nothing
that it raises or logs on our behalf holds a value.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from etcd_settings.errors import ConfigurationError, ConflictError, InvalidSettingsError
from etcd_settings.snapshot import Snapshot
from etcd_settings.source import Source

if find_spec("pydantic_settings") is None:
    raise ConfigurationError(
        "etcd as a source of pydantic-settings takes pydantic-settings. "
        "Install it with `pip install 'etcd-settings[pydantic]'`."
    )

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from etcd_settings.fitting.aligning import align, is_covered, lay_over_factories
from etcd_settings.fitting.containers import Record
from etcd_settings.fitting.loading import Target, target_for
from etcd_settings.fitting.places import keys_of
from etcd_settings.fitting.scrubbing import Finding, findings, keys_at, scrubbed, secrets_in
from etcd_settings.masking import MASK

__all__ = ["EtcdBaseSettings", "EtcdSettingsConfigDict", "EtcdSettingsSource"]

Unknown: TypeAlias = Literal["ignore", "warn", "error"]
"""What becomes of a key that no field takes."""


class EtcdSettingsConfigDict(SettingsConfigDict, total=False):
    """The configuration of a settings class that reads etcd: what pydantic-settings knows, and where etcd is."""

    etcd_url: str | Source | None
    """Where the settings are, such as ``etcd://localhost/config/app/``; by default ``$ETCD_SETTINGS_URL``."""

    etcd_path: str
    """The branch to read, such as ``services/orders``; everything by default."""

    etcd_layers: Sequence[str]
    """Prefixes under the URL's, lowest first."""

    etcd_ttl: float
    """For how many seconds a snapshot is served from memory."""

    etcd_unknown: Unknown
    """What becomes of a top-level key that no field takes; ``"ignore"`` by default."""


@dataclass
class _Building:
    """One instance in the making."""

    settings_cls: type[BaseSettings]
    source: Source | str | None
    used: list[EtcdSettingsSource] = field(default_factory=list)


_building: ContextVar[_Building | None] = ContextVar("etcd_settings_building", default=None)


class EtcdSettingsSource(PydanticBaseSettingsSource):
    """
    Read settings from etcd.

    Making one reads nothing; calling it takes one snapshot of its source, from memory while that is fresh.

    Args:
        settings_cls: The class whose fields to fill.

        source: A URL or a `Source`; a URL means ``Source.shared(url)``. None takes what the class's configuration says
            (``etcd_url``, ``etcd_layers``, ``etcd_ttl``), or else ``$ETCD_SETTINGS_URL``.

        path: The branch to read, so that many classes may share one bulk read; by default ``etcd_path``.

        case_sensitive: Whether ``Host`` and ``host`` are two names; None for what the class's configuration says.

        unknown: What becomes of a top-level key that no field takes: ``"ignore"``, ``"warn"`` or ``"error"``, the
            latter two with the nearest field's name; by default ``etcd_unknown``, or else ``"ignore"``.

    Raises:
        ConfigurationError: An option is not usable.
    """

    def __init__(
        self,
        settings_cls: type[BaseSettings],
        source: Source | str | None = None,
        *,
        path: str | None = None,
        case_sensitive: bool | None = None,
        unknown: Unknown | None = None,
    ) -> None:
        super().__init__(settings_cls)
        config: Mapping[str, Any] = settings_cls.model_config
        self.path: str = config.get("etcd_path", "") if path is None else path
        self.unknown: Unknown = config.get("etcd_unknown", "ignore") if unknown is None else unknown
        if self.unknown not in ("ignore", "warn", "error"):
            raise ConfigurationError(
                f"unknown={self.unknown!r} is none of 'ignore', 'warn' and 'error'.", subject="unknown"
            )
        self.target: Target = target_for(settings_cls, case_sensitive=case_sensitive)
        self._given = source
        self._taken: Snapshot | None = None
        self.__name__ = type(self).__name__

    @property
    def source(self) -> Source:
        """Where the settings come from."""
        building = _building.get()
        given = self._given
        if given is None and building is not None and building.settings_cls is self.settings_cls:
            given = building.source
        if given is None:
            return _configured(self.settings_cls)
        return Source.shared(given) if isinstance(given, str) else given

    def __call__(self) -> dict[str, Any]:
        """
        Give what etcd holds for the fields, under the keys by which pydantic-settings merges it with other sources.

        Raises:
            InvalidSettingsError: There are keys that no field takes, and ``unknown="error"``.
            EtcdSettingsError: It could not be read, or keys contradict each other, or a value can't be decoded.
        """
        building = _building.get()
        if building is not None and building.settings_cls is self.settings_cls:
            building.used.append(self)
        self._taken = snapshot = self.source.snapshot()
        values = self.target.fit(snapshot, self.path)
        if not isinstance(values, dict):
            raise self._no_branch(snapshot)
        self._heed_unknown(values)
        if self.config.get("nested_model_default_partial_update"):
            lay_over_factories(values, self.target)
        align(values, self.current_state, self.target.plan)
        return _Quiet(values)

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 — inherited
        """Give one field's value, its key, and that nothing needs to be decoded any more."""
        slot = self._record.table.named(field_name)
        key = field_name if slot is None else slot.key
        return self().get(key), key, False

    def secrets(self) -> Iterator[str]:
        """Find the texts that no message may quote, in what this source gave and in what stood above it."""
        if self._taken is not None:
            yield from secrets_in(self.target.fit(self._taken, self.path), self.target.plan)
        yield from secrets_in(self.current_state, self.target.plan)

    def keys(self, found: Finding) -> tuple[str, ...]:
        """Give the keys that a finding is about; none if a source above has the say there."""
        if self._taken is None or is_covered(self.current_state, found.loc):
            return ()
        return keys_at(self.target.trace(self._taken, self.path), self.target.plan, found)

    def __repr__(self) -> str:
        return f"EtcdSettingsSource(path={self.path!r}, unknown={self.unknown!r})"

    def _set_settings_sources_data(self, states: dict[str, dict[str, Any]]) -> None:
        """Take a name that is not taken: pydantic-settings keeps what sources gave by their names."""
        super()._set_settings_sources_data(states)
        base, number = type(self).__name__, 1
        self.__name__ = base
        while self.__name__ in states:
            number += 1
            self.__name__ = f"{base}[{number}]"

    @property
    def _record(self) -> Record:
        plan = self.target.plan
        assert isinstance(plan, Record)  # settings classes are models
        return plan

    def _no_branch(self, snapshot: Snapshot) -> ConflictError:
        keys = keys_of(self.target.trace(snapshot, self.path))
        return ConflictError(
            keys, "a branch of settings was asked for, and a single value is there", mend="Ask for its parent."
        )

    def _heed_unknown(self, values: dict[str, Any]) -> None:
        table = self._record.table
        names = [name for name in values if name not in table.exact]
        if not names:
            return
        if self.unknown != "ignore":
            self._complain(names)
        if self.settings_cls.model_config.get("extra") != "allow":
            for name in names:
                del values[name]

    def _complain(self, names: Sequence[str]) -> None:
        assert self._taken is not None
        traced = self.target.trace(self._taken, self.path)
        table = self._record.table
        errors: list[dict[str, Any]] = []
        for name in names:
            near = get_close_matches(table.fold(name), table.folded, n=1, cutoff=0.5)
            hint = f"; the nearest is {table.folded[near[0]].fields[0]!r}" if near else ""
            errors.append(
                {
                    "loc": (name,),
                    "type": "unknown_key",
                    "msg": f"No field takes it{hint}",
                    "keys": tuple(keys_of(traced[name])),
                }
            )
        if self.unknown == "error":
            raise InvalidSettingsError(self.target.name, errors)
        for error in errors:
            keys = ", ".join(map(repr, error["keys"]))
            warnings.warn(f"{keys}: {error['msg']} ({self.target.name})", UserWarning, stacklevel=2)


class EtcdBaseSettings(BaseSettings):
    """
    Settings that etcd is a source of: init arguments > environment > ``.env`` > secret files > etcd > defaults.

    Where etcd is, says the configuration, an `EtcdSettingsConfigDict`, or else ``$ETCD_SETTINGS_URL``. Nothing named
    ``env_*`` in the configuration applies to keys in etcd.

    Args:
        _etcd_source: A URL or a `Source` for this one instance, in place of the configured one.

    Raises:
        ValidationError: pydantic's own, with every input masked. Its notes name the keys in etcd.
        EtcdSettingsError: Etcd could not be read, or keys contradict each other.
    """

    if TYPE_CHECKING:
        # Type checkers make the __init__ of a model from its fields, so that is how they learn of the argument.
        _etcd_source: Source | str | None = None
    else:

        def __init__(self, /, *, _etcd_source=None, **values):
            building = _Building(type(self), _etcd_source)
            token = _building.set(building)
            try:
                super().__init__(**values)
            except ValidationError as e:
                failure = _mended(e, building)
            except SettingsError as e:
                failure = SettingsError(*e.args)  # its cause holds the text that does not parse
            else:
                return
            finally:
                _building.reset(token)
            raise failure  # outside the handler: the context would hold the values

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put etcd below all that pydantic-settings reads by itself; override it to put it elsewhere."""
        return (
            init_settings,
            env_settings,
            dotenv_settings,
            file_secret_settings,
            EtcdSettingsSource(settings_cls),
        )


class _Quiet(dict[str, Any]):
    """What a source gave, without a word about its values: pydantic-settings can be told to log them."""

    def __repr__(self) -> str:
        return repr(dict.fromkeys(self, MASK))


def _configured(settings_cls: type[BaseSettings]) -> Source:
    config: Mapping[str, Any] = {**settings_cls.model_config}
    url = config.get("etcd_url")
    if isinstance(url, Source):
        return url
    options: dict[str, Any] = {name: config[f"etcd_{name}"] for name in ("layers", "ttl") if f"etcd_{name}" in config}
    return Source.shared(url, **options)


def _mended(error: ValidationError, building: _Building) -> ValidationError:
    """Make pydantic's error without values, with notes on the keys in etcd."""
    plan = target_for(building.settings_cls).plan
    secrets = {secret for source in building.used for secret in source.secrets()}
    found = findings(error, plan, secrets=secrets)
    mended = scrubbed(error, found)
    for one in found:
        keys = [key for source in building.used for key in source.keys(one)]
        if keys:
            mended.add_note(f"{'.'.join(map(str, one.loc))} comes from etcd: {', '.join(map(repr, keys))}")
    return mended

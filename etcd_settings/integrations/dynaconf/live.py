"""
Stand for a Dynaconf object that follows etcd.

`Dynaconf.reload` empties an object before it fills it, and does not validate. So a change makes a new object, which
loads and validates by itself, and then one reference is swapped.

It knows how a Dynaconf object is made. When to make one is the business of `etcd_settings.live`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn, Self

from dynaconf import Dynaconf

from etcd_settings.errors import ConfigurationError
from etcd_settings.integrations.dynaconf.options import LOADER, bare, find
from etcd_settings.live import Live

__all__ = ["LiveDynaconf", "Loaded"]

_ENVIRONMENT = "dynaconf.loaders.env_loader"

_IN_PLACE = frozenset(
    (
        *("set", "update", "setdefault", "setenv", "using_env", "using_namespace", "namespace", "fresh"),
        *("clean", "unset", "unset_all", "load_file", "execute_loaders", "configure"),
    )
)


class Loaded(Mapping[str, Any]):
    """
    One state of the settings.

    As a mapping it shows the values as they were when it was made, by which `Live` tells what changed.

    Args:
        settings: The Dynaconf object.

        revision: The revision of etcd that it was made of.
    """

    def __init__(self, settings: Any, revision: int) -> None:
        self.settings, self.revision = settings, revision
        self._values: dict[str, Any] = settings.as_dict()

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<Loaded: {len(self)} settings at revision {self.revision}>"


class LiveDynaconf:
    """
    A ``Dynaconf(…)`` that follows etcd.

    It loads and validates when it is made. On every change it makes a new Dynaconf object, which loads everything and
    runs the validators; if that succeeds, the new one is in use, and otherwise the old one stays. Read `current` once
    where several values must belong together.

    Args:
        dynaconf_kwargs: What ``Dynaconf`` takes. The loader need not be named; without ``loaders``, the environment
            stays on top of etcd.

    Attributes:
        live: The `Live` behind it: ``on_change``, ``wait``, ``status``, ``rejection``,
            ``current.revision``.

    Raises:
        ConfigurationError: An option is not usable.
        ValidationError: Dynaconf's own: a validator refuses what etcd holds.
        EtcdSettingsError: Etcd could not be read, or what it holds is not usable.

    Thread-safe. A forked child goes on with the settings that it had, and follows etcd by itself.
    """

    live: Live[Loaded]

    def __init__(self, **dynaconf_kwargs: Any) -> None:
        kwargs = _with_loader(dynaconf_kwargs)
        live: Live[Loaded] = Live(lambda: _load(kwargs))
        vars(self)["live"] = live
        live.start()

    @property
    def current(self) -> Any:
        """The Dynaconf object in use; it is not changed any more."""
        return self.live.current.settings

    def reload(self, env: None = None, silent: None = None) -> None:  # noqa: ARG002  # as Dynaconf has it
        """
        Wait until what etcd holds now is in use, or was refused.

        Raises:
            TimeoutError: That did not happen in ten seconds.
            EtcdSettingsError: Etcd could not be read.
        """
        source = find(bare(self.current), None).source
        self.live.wait(source.refresh().revision, source=source)

    def get_fresh(self, key: str, default: Any = None, cast: Any = None) -> Any:
        """Give a setting, as ``get`` does: what is in use is what etcd holds."""
        return self.current.get(key, default, cast=cast)

    def close(self) -> None:
        """Follow etcd no more; the settings stay as they are. Closing twice is harmless."""
        self.live.close()

    def __getattr__(self, name: str) -> Any:
        if name in _IN_PLACE:
            _refuse(name)
        if name == "live":  # it was not made
            raise AttributeError(name)
        return getattr(self.current, name)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        _refuse("assignment")

    def __setitem__(self, name: str, value: Any) -> NoReturn:
        _refuse("assignment")

    def __getitem__(self, name: str) -> Any:
        return self.current[name]

    def __contains__(self, name: object) -> bool:
        return name in self.current

    def __iter__(self) -> Iterator[str]:
        return iter(self.current)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.current(*args, **kwargs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<LiveDynaconf on {self.live!r}>"


def _load(kwargs: Mapping[str, Any]) -> Loaded:
    settings = bare(Dynaconf(**copy.deepcopy(dict(kwargs))))  # copies: Dynaconf writes into what it is given
    return Loaded(settings, find(settings, None).source.snapshot().revision)  # the very snapshot that it has read


def _with_loader(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in kwargs.items() if name.upper() not in ("LOADERS", "LOADERS_FOR_DYNACONF")}
    given = [value for name, value in kwargs.items() if name not in rest]
    if len(given) > 1 or not all(isinstance(one, (list, tuple)) for one in given):
        raise ConfigurationError("loaders= takes one list of module paths.", subject="loaders")
    loaders = list(given[0]) if given else [_ENVIRONMENT]
    if LOADER not in loaders:
        loaders.insert(loaders.index(_ENVIRONMENT) if _ENVIRONMENT in loaders else len(loaders), LOADER)
    return {**rest, "LOADERS_FOR_DYNACONF": loaders}


def _refuse(what: str) -> NoReturn:
    raise TypeError(
        f"LiveDynaconf takes no {what}: the settings are replaced as a whole when etcd changes. "
        "Write to etcd, or make a Dynaconf(…) for settings of your own."
    )

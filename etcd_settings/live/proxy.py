"""Stand for the newest settings, so that code which holds an object once sees every reload."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NoReturn, SupportsIndex

from etcd_settings.errors import NotStartedError

__all__ = ["Proxy"]


class Proxy:
    """
    Whatever the settings are at this moment.

    Attributes, items, ``repr``, equality and iteration are those of the newest settings, and ``isinstance`` says so
    too. Two reads may see two versions. It can't be assigned to, and has no hash, since what it equals changes.
    """

    __slots__ = ("_kind", "_newest")
    __hash__ = None  # type: ignore[assignment]  # that is how a class says that it has none

    def __init__(self, newest: Callable[[], Any], kind: Callable[[], type[Any] | None]) -> None:
        object.__setattr__(self, "_newest", newest)
        object.__setattr__(self, "_kind", kind)

    # Type checkers see the settings' own type in place of this one, and `isinstance` asks `__class__`.
    @property
    def __class__(self) -> type[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        # Wakes nobody up: gevent, as it patches, asks every object what it is, and must start no thread by that.
        return object.__getattribute__(self, "_kind")() or Proxy

    @__class__.setter
    def __class__(self, _: type[Any]) -> NoReturn:  # pyright: ignore[reportIncompatibleMethodOverride]
        _refuse()

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(_newest(self), name)
        except NotStartedError:
            if not name.startswith("__"):
                raise
        raise AttributeError(name)  # likewise: whether it has a __wrapped__, for example

    def __setattr__(self, name: str, value: object) -> NoReturn:
        _refuse()

    def __delattr__(self, name: str) -> NoReturn:
        _refuse()

    def __repr__(self) -> str:
        try:
            return repr(_newest(self))
        except NotStartedError:
            return "<settings that have not been loaded>"

    def __str__(self) -> str:
        return str(_newest(self))

    def __eq__(self, other: object) -> bool:
        return bool(_newest(self) == (_newest(other) if type(other) is Proxy else other))

    def __bool__(self) -> bool:
        return bool(_newest(self))

    def __dir__(self) -> list[str]:
        return dir(_newest(self))

    def __iter__(self) -> Iterator[Any]:
        return iter(_newest(self))

    def __len__(self) -> int:
        return len(_newest(self))

    def __contains__(self, item: object) -> bool:
        return item in _newest(self)

    def __getitem__(self, item: Any) -> Any:
        return _newest(self)[item]

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        """Have copies and pickles hold the settings of this moment."""
        return _newest(self).__reduce_ex__(protocol)  # type: ignore[no-any-return]  # of any object


def _newest(proxy: Any) -> Any:
    return object.__getattribute__(proxy, "_newest")()


def _refuse() -> NoReturn:
    raise AttributeError("Live settings are read-only here: write to etcd, and the change arrives.")

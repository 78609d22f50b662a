"""
Make etcd a repository of python-decouple.

decouple asks a repository for one option at a time, first ``in`` and then ``[]``, by a flat name in capitals. Here such
a name finds a place in the tree of settings: ``DATABASE__HOST`` and ``DATABASE_HOST`` both find ``database/host``.

It knows names, and decouple's way to ask; being asked is all there is to being a repository, so that nothing of
decouple is imported. How fresh the settings are, and what happens in an outage, is the `Source`'s business.

Invariant: the two lookups of one option are answered from one snapshot, whatever other threads do meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol, Unpack

from etcd_settings.errors import ConfigurationError, ConflictError, DecodeError, EtcdSettingsError
from etcd_settings.options import Keywords
from etcd_settings.snapshot import Snapshot
from etcd_settings.source import Source
from etcd_settings.spelling import spell
from etcd_settings.tree import Traced, Tree, layer_trees, object_in, traced_trees

__all__ = ["EtcdRepository", "Repository"]


class Repository(Protocol):
    """What decouple takes settings from: its own ``RepositoryEnv``, a `dict`, an `EtcdRepository`."""

    def __contains__(self, option: Any, /) -> bool: ...
    def __getitem__(self, option: Any, /) -> Any: ...


class EtcdRepository:
    """
    Settings in etcd, as decouple asks for them: ``config = Config(EtcdRepository("etcd://localhost/config/app/"))``.

    Making one reads nothing. Names are compared without regard to case, and a hyphen in a key is an underscore in a
    name. In a name with two underscores these stand for the slash, and single ones for themselves; in a name without,
    every underscore may be either.

    Args:
        source: A URL or a `Source`; a URL means ``Source.shared(url)``, and None ``$ETCD_SETTINGS_URL``.

        fallback: Who is asked for what etcd does not have. An outage is an error all the same, unless ``required`` is
            false: settings of two origins must not change places because a network is down.

        **options: What `Source` takes besides, such as ``layers`` or ``required``; only with a URL.

    Raises:
        ConfigurationError: The URL or an option is not usable.

    Thread-safe. What it raises when it is asked is the source's errors, and `ConflictError` if several keys go by the
    name that was asked for.
    """

    def __init__(
        self,
        source: Source | str | None = None,
        *,
        fallback: Repository | None = None,
        **options: Unpack[Keywords],
    ) -> None:
        if isinstance(source, Source) and options:
            names = ", ".join(options)
            raise ConfigurationError(f"Give {names} to the Source; here they go with a URL only.", subject=names)
        self.source: Source = source if isinstance(source, Source) else Source.shared(source, **options)
        self.fallback = fallback
        self._view: _View | None = None
        self._answer = _Answer()

    def __contains__(self, option: str) -> bool:
        text = self._look_up(option)
        self._answer.last = option, text
        return text is not None

    def __getitem__(self, option: str) -> str:
        last, self._answer.last = self._answer.last, None
        text = last[1] if last is not None and last[0] == option else self._look_up(option)
        if text is None:
            raise KeyError(option)
        return text

    def __repr__(self) -> str:
        return f"<EtcdRepository of {self.source!r}>"

    def _look_up(self, option: str) -> str | None:
        text = self._current_view().text(option)
        if text is None and self.fallback is not None and option in self.fallback:
            # decouple's own repositories count the environment among what they hold, but do not give it.
            with suppress(KeyError):
                text = self.fallback[option]
        return text

    def _current_view(self) -> _View:
        snapshot, view = self.source.snapshot(), self._view
        if view is None or view.snapshot is not snapshot:
            view = self._view = _View(snapshot)
        return view


class _Answer(threading.local):
    """What this thread's last ``in`` was about, and what its ``[]`` will give."""

    last: tuple[str, str | None] | None = None


class _View:
    """One snapshot's settings by their names. It never changes."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._names = _Names(layer_trees(snapshot))

    def text(self, option: str) -> str | None:
        """Give the text of an option; None if there is none of that name."""
        found = self._names.find(option)
        if not found:
            return None
        if len(found) > 1 or isinstance(found[0].value, _Clash):
            raise self._conflict(option)
        text = spell(found[0].value, where=option)
        if isinstance(text, bytes):
            raise DecodeError(self._traced(option)[0][1], "UTF-8 text")
        return text

    def _conflict(self, option: str) -> EtcdSettingsError:
        found = self._traced(option)
        names = sorted({name for name, _ in found if "__" in name})
        mend = "Rename one of them"
        if len(names) > 1 or (names and "__" not in option):
            mend += f", or ask for {' or '.join(map(repr, names))}"
        return ConflictError([key for _, key in found], f"{option!r} may mean any of them", mend=f"{mend}.")

    def _traced(self, option: str) -> list[tuple[str, str]]:
        """Find the names and keys that an option could mean; slow, for errors."""
        found = _Names(traced_trees(self.snapshot)).find(option)
        return [(one.name, key) for one in found for key in sorted(_keys(one.value))]


@dataclass(frozen=True, slots=True)
class _Named:
    """A setting, and the name that has two underscores for every slash."""

    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class _Clash:
    """What stands in a layer where several keys go by one name."""

    values: tuple[Any, ...]


class _Names:
    """
    Find settings by the names that people give to decouple.

    Names are folded in each layer before the layers are laid over one another; so two spellings in one layer clash, and
    of two layers the higher wins however it spells.
    """

    def __init__(self, layers: Iterable[Tree]) -> None:
        nothing: Tree = {}
        self._strict: dict[str, list[_Named]] = {}
        self._loose: dict[str, list[_Named]] = {}
        for path, value in _leaves(reduce(_lay, map(_folded, layers), nothing)):
            named = _Named("__".join(path), value)
            self._strict.setdefault(named.name, []).append(named)
            self._loose.setdefault("_".join(path), []).append(named)

    def find(self, option: str) -> Sequence[_Named]:
        name = _fold(option)
        return (self._strict if "__" in name else self._loose).get(name, ())


def _fold(name: str) -> str:
    return name.replace("-", "_").upper()


def _folded(tree: Tree) -> Tree:
    """Fold the names of one layer."""
    folded: Tree = {}
    for name, value in tree.items():
        _add(folded, _fold(name), _folded(value) if isinstance(value, dict) else value)
    return folded


def _add(folded: Tree, name: str, value: Any) -> None:
    if name not in folded:
        folded[name] = value
    elif isinstance(folded[name], dict) and isinstance(value, dict):  # two spellings of a branch may share its children
        for below, child in value.items():
            _add(folded[name], below, child)
    else:
        folded[name] = _Clash((folded[name], value))


def _lay(lower: Tree, upper: Tree) -> Tree:
    """Do as `nodes.merge` does, and fold the names in a text below that is a JSON object, too."""
    merged = dict(lower)
    for name, value in upper.items():
        below = object_in(lower[name]) if isinstance(value, dict) and name in lower else None
        merged[name] = value if below is None else _lay(_folded(below), value)
    return merged


def _leaves(tree: Tree, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), value


def _keys(value: Any) -> set[str]:
    """Give the keys that traced values came from."""
    match value:
        case Traced(origin=origin):
            return {origin.key}
        case _Clash(values=values):
            return {key for inside in values for key in _keys(inside)}
        case dict():
            return {key for inside in value.values() for key in _keys(inside)}
        case _:
            return set()

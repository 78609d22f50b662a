"""
Load what etcd holds into a Dynaconf object, when Dynaconf says so.

All environments come in one read. Dynaconf empties an object before it reloads it, and a setting before it loads that
one: so everything is read and parsed before anything is put, and if that fails, what was there is put back before the
error is raised.

It knows when Dynaconf calls its loaders. What a value means is parsed elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from dynaconf.loaders.base import SourceMetadata

from etcd_settings.errors import EtcdSettingsError
from etcd_settings.integrations.dynaconf.laying import forget, lay, let_defaults_be_cleaned, restore_default
from etcd_settings.integrations.dynaconf.naming import parts_of, placed
from etcd_settings.integrations.dynaconf.options import IDENTIFIER, LOADER, Place, allowed_tokens, bare, find, separator
from etcd_settings.integrations.dynaconf.parsing import Branch, Parser
from etcd_settings.nodes import merge
from etcd_settings.snapshot import Snapshot
from etcd_settings.tree import Tree, traced_trees

__all__ = ["load"]


@dataclass(frozen=True, slots=True)
class _Layer:
    """What one environment has, unread."""

    metadata: SourceMetadata
    tree: Tree


_held: WeakKeyDictionary[Any, list[_Layer]] = WeakKeyDictionary()
"""Object → what was loaded into it last."""


def load(obj: Any, env: str | None = None, silent: bool = True, key: str | None = None, validate: bool = False) -> None:
    """
    Load the settings into an object; Dynaconf calls it.

    The first load takes what is in memory if that is fresh; every later one asks etcd. In an outage the settings stay.

    Args:
        obj: The Dynaconf object.

        env: The environment to load, beside the current one.

        silent: Nothing: an outage is an error unless the URL says ``required=false``, and so is what cannot be read.

        key: The one setting to load; None for all.

        validate: Whether to run the validators afterwards.

    Raises:
        EtcdSettingsError: Etcd could not be read, or what it holds is not usable. What the object had, it has again.
    """
    settings = bare(obj)
    held = _held.get(settings)
    name = _name(settings, key)
    try:
        layers = _read(settings, find(settings, env), is_fresh=held is None and name is None)
        values = [_parsed(settings, layer, name) for layer in layers]
    except EtcdSettingsError:
        _put_back(settings, env, silent, key)
        raise
    _put(settings, layers, values, name)
    if validate:
        settings.validators.validate()


def _name(settings: Any, key: str | None) -> str | None:
    return parts_of([key], separator(settings))[0] if key else None


def _read(settings: Any, place: Place, *, is_fresh: bool) -> list[_Layer]:
    snapshot = place.source.snapshot(max_age=None if is_fresh else 0)
    title, mark = place.source.options.title, separator(settings)
    trees = dict(zip(snapshot.layers, _trees(snapshot, mark), strict=True))
    layers: list[_Layer] = []
    for environment, layer in place.environments.items():
        tree: Tree = {}
        for one in trees.values() if layer is None else [trees[layer]]:
            tree = merge(tree, one)
        layers.append(_Layer(SourceMetadata(IDENTIFIER, title, environment), tree))
    return layers


def _trees(snapshot: Snapshot, mark: str | None) -> list[Tree]:
    return [placed(tree, mark) for tree in traced_trees(snapshot)]


def _parsed(settings: Any, layer: _Layer, name: str | None) -> Branch:
    tree = layer.tree if name is None else {other: value for other, value in layer.tree.items() if other == name}
    return Parser(settings, allowed_tokens(settings)).tree(tree)


def _put(settings: Any, layers: list[_Layer], values: list[Branch], name: str | None) -> None:
    for old in _held.get(settings, []):
        forget(settings, old.metadata, name)
    for layer in layers:
        let_defaults_be_cleaned(settings, layer.tree)
    if name is not None:
        restore_default(settings, name)
    for layer, branch in zip(layers, values, strict=True):
        lay(settings, branch, layer.tree, layer.metadata)
    _held[settings] = layers
    history = settings.loaded_by_loaders
    for kind in [
        kind for kind, brought in history.items() if getattr(kind, "loader", "") == IDENTIFIER and not brought
    ]:
        del history[kind]


def _put_back(settings: Any, env: str | None, silent: bool, key: str | None) -> None:
    """Put back what the object had, and over it what the later loaders have, which do not get their turn now."""
    held, name = _held.get(settings), _name(settings, key)
    if held is None:
        return
    _put(settings, held, [_parsed(settings, layer, name) for layer in held], name)
    modules = settings.loaders
    names = [module.__name__ for module in modules]
    for module in modules[names.index(LOADER) + 1 :] if LOADER in names else []:
        module.load(settings, env, silent=silent, key=key)

"""
Load a snapshot into a type: fit, validate, and say what is wrong without showing a value.

A `Target` is a type with its plan, made once and kept. pydantic-settings validates by itself and asks a target to
`fit`; everybody else calls `load`.

Fitting runs on plain trees, which is fast and knows no keys. Only when something is wrong is the snapshot gone through
a second time, traced, to say which keys are to blame.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from etcd_settings.errors import InvalidSettingsError, combine
from etcd_settings.fitting.places import Nodes, Run, Unfit, branches
from etcd_settings.fitting.planning import Planner
from etcd_settings.fitting.plans import MISSING, Plan
from etcd_settings.fitting.records import config_of
from etcd_settings.fitting.scrubbing import findings, keys_at, secrets_in
from etcd_settings.nodes import Tree, object_in
from etcd_settings.snapshot import Snapshot
from etcd_settings.tree import layer_trees, traced_trees

__all__ = ["Target", "load", "target_for"]


@dataclass(frozen=True)
class Target:
    """
    A type that settings are loaded into.

    Args:
        kind: The type.

        plan: How to fit trees to it.

    Frozen, and therefore safe to share between threads.
    """

    kind: Any = field(repr=False)
    plan: Plan = field(repr=False)

    @property
    def name(self) -> str:
        return getattr(self.kind, "__name__", None) or str(self.kind)

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.kind)

    def fit(self, snapshot: Snapshot, path: str = "") -> Any:
        """
        Give the value for pydantic that *snapshot* holds at *path*; `MISSING` if there is nothing.

        Raises:
            ConflictError: Keys contradict each other, or spell one field twice, or a list has a gap.
            DecodeError: A value is not what its key or its field promises.
            EtcdSettingsError: Problems of several kinds, all listed.
        """
        try:
            return self._fit(layer_trees(snapshot), path, Run())
        except Unfit:
            pass
        self.trace(snapshot, path)
        raise AssertionError("the thorough run found no problem where the fast one did")  # a bug of ours

    def trace(self, snapshot: Snapshot, path: str = "") -> Any:
        """Do as `fit`, slowly, and give for every leaf where it came from."""
        run = Run(thorough=True)
        traced = self._fit(traced_trees(snapshot), path, run)
        if run.problems:
            raise combine(run.problems)
        return traced

    def invalid(self, error: ValidationError, snapshot: Snapshot, path: str = "") -> InvalidSettingsError:
        """Make our error of pydantic's, which holds values: with keys and without inputs."""
        secrets = secrets_in(self.fit(snapshot, path), self.plan)
        traced = self.trace(snapshot, path)
        return InvalidSettingsError(
            self.name,
            [
                {"loc": found.loc, "type": found.kind, "msg": found.message, "keys": keys_at(traced, self.plan, found)}
                for found in findings(error, self.plan, secrets=secrets)
            ],
        )

    def known(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Give those values alone that a field takes."""
        tables = self.plan.tables()
        return {name: value for name, value in values.items() if any(name in table.exact for table in tables)}

    def _fit(self, trees: Sequence[Tree], path: str, run: Run) -> Any:
        nodes: Nodes = trees
        for name in filter(None, path.split("/")):
            if not nodes:
                break
            if not isinstance(nodes[-1], dict):
                opened = object_in(nodes[-1])
                if opened is None:
                    run.no_branch(nodes[-1])
                    return MISSING
                nodes = (opened,)
            nodes = [branch[name] for branch in branches(nodes) if name in branch]
        return self.plan.fit(nodes, run) if nodes else self.plan.absent()


def target_for(kind: Any, *, case_sensitive: bool | None = None) -> Target:
    """
    Give the target for a type; made once for each.

    Args:
        kind: Anything that pydantic's `TypeAdapter` takes.

        case_sensitive: Whether ``Host`` and ``host`` are two names; None for what the type's configuration says.
    """
    config = config_of(kind)
    if case_sensitive is None:
        case_sensitive = bool(config.get("case_sensitive"))
    decoding = config.get("enable_decoding") is not False
    try:
        # With its repr, since `int | str` equals `str | int`, and yet they are not the same.
        return _target(kind, repr(kind), case_sensitive, decoding)
    except TypeError:  # metadata may be unhashable
        return _target.__wrapped__(kind, "", case_sensitive, decoding)


@lru_cache(maxsize=256)
def _target(kind: Any, _spelled: str, case_sensitive: bool, decoding: bool) -> Target:
    return Target(kind, Planner(case_sensitive=case_sensitive, enable_decoding=decoding).root(kind))


def _is_settings(kind: Any) -> bool:
    """Tell whether *kind* is a settings class, for which a prefix may hold keys of others whatever ``extra`` says."""
    module: Any = sys.modules.get("pydantic_settings")  # not loaded: then nobody can have made one
    return module is not None and isinstance(kind, type) and issubclass(kind, module.BaseSettings)


def load(kind: Any, snapshot: Snapshot, path: str = "") -> Any:
    """Do what `etcd_settings.fitting.load` says."""
    target = target_for(kind)
    value = target.fit(snapshot, path)
    if value is MISSING:
        raise InvalidSettingsError(target.name, [{"loc": (), "type": "missing", "msg": "Nothing is there", "keys": ()}])
    if _is_settings(kind) and isinstance(value, dict):
        value = target.known(value)
    try:
        return target.adapter.validate_python(value)
    except ValidationError as e:
        failure = target.invalid(e, snapshot, path)
    del value  # some print the variables of a traceback
    raise failure  # outside the handler: pydantic's error holds values

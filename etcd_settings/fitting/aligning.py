"""
Let fitted values meet those of others: of the sources above, and of defaults.

Whoever merges nested values goes by their names, and a field may go by several. Here ours get the names that the others
use, so that two values for one field never stand side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

from pydantic import BaseModel

from etcd_settings.fitting.loading import Target, target_for
from etcd_settings.fitting.plans import Plan
from etcd_settings.fitting.unions import contradicted

__all__ = ["align", "is_covered", "lay_over_factories"]


def align(values: dict[str, Any], above: Mapping[str, Any], plan: Plan) -> None:
    """
    Use in *values* the names that the sources above use.

    Without this, an environment variable for the second of a field's aliases would lose against a value of ours for the
    first.
    """
    for name, higher in above.items():
        for table in plan.tables():
            slot = table.exact.get(name)
            if slot is None:
                continue
            if slot.key != name and slot.key in values:
                values[name] = values.pop(slot.key)
            for rival in slot.rivals:
                if rival != name:
                    values.pop(rival, None)
        below = plan.below(name)
        ours = values.get(name)
        if below is not None and isinstance(higher, dict) and isinstance(ours, dict):
            align(ours, higher, below)


def is_covered(above: Any, loc: Sequence[int | str]) -> bool:
    """Tell whether the sources above hold a single value at a location, or on the way to it."""
    for part in loc:
        if not isinstance(above, dict):
            return True
        above = above.get(part, above)  # locations also name members of unions, which are no steps down
    return not isinstance(above, dict)


def lay_over_factories(values: dict[str, Any], target: Target) -> None:
    """
    Complete branches with what the ``default_factory`` of their field makes.

    For partial updates of defaults: pydantic-settings itself knows those of ``default=`` alone.
    """
    for name, info in target.kind.model_fields.items():
        key = next((key for key in target.plan.names(name) if key in values), name)
        ours = values.get(key)
        takes_data = getattr(info, "default_factory_takes_validated_data", False)
        if info.default_factory is not None and isinstance(ours, dict) and not takes_data:
            values[key] = _over(ours, info.default_factory())


def _over(values: dict[str, Any], default: Any) -> dict[str, Any]:
    """Lay *values* over those of a model or dataclass; give them alone if they are meant for another type."""
    if not isinstance(default, BaseModel) and not is_dataclass(default):
        return values
    table = target_for(type(default)).plan.tables()[0]
    if contradicted(table, [values]):
        return values
    merged = dict(values)
    for spec in table.fields:
        child = getattr(default, spec.name, None)
        ours = values.get(spec.preferred)
        if spec.preferred not in values:
            merged[spec.preferred] = child
        elif isinstance(ours, dict):
            merged[spec.preferred] = _over(ours, child)
    return merged

"""What fitting costs: one look at every node, whatever the number of fields."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, Field, create_model

from etcd_settings.fitting.loading import Target, target_for
from etcd_settings.snapshot import Snapshot
from tests.unit.fitting.snapshots import snapshot


def calls(work: Callable[[], object]) -> int:
    """Count the Python functions that *work* calls: time that no busy machine can change."""
    count = 0

    def note(frame: object, event: str, arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def model(fields: int) -> Any:
    inner = create_model("Inner", Name=(str, ""), sizes=(list[int], []))
    make: Any = create_model
    return make("Model", **{f"field_{n}": (inner, Field(default=inner(), alias=f"Alias-{n}")) for n in range(fields)})


def warm(kind: Any, held: Snapshot) -> Target:
    target = target_for(kind)
    target.fit(held)  # plans are made once
    return target


@pytest.mark.parametrize("layers", [1, 3])
def test_the_cost_grows_with_the_keys(layers: int) -> None:
    """Twice the keys cost about twice as much."""
    kind = model(200)

    def cost(filled: int) -> int:
        keys = {f"ALIAS_{n}/{name}": "1" for n in range(filled) for name in ("name", "Sizes/0", "sizes-/x")}
        held = snapshot(*[keys] * layers)
        target = warm(kind, held)
        return calls(lambda: target.fit(held))

    assert cost(200) < 2.2 * cost(100)


def test_fields_without_keys_cost_nothing() -> None:
    """What fitting costs depends on what etcd holds: ten times the fields for the same keys cost the same."""
    held = snapshot({f"alias-{n}/NAME": "x" for n in range(20)})

    few, many = warm(model(20), held), warm(model(200), held)

    assert calls(lambda: many.fit(held)) <= 1.1 * calls(lambda: few.fit(held))


def test_a_type_is_planned_once() -> None:
    """The second load of a type looks at no annotation."""

    class Once(BaseModel):
        x: int = 0

    assert target_for(Once) is target_for(Once)
    assert target_for(list[Once]) is target_for(list[Once])


def test_types_that_are_equal_and_not_the_same_have_plans_of_their_own() -> None:
    """``int | str`` equals ``str | int``, and yet their members are tried in another order."""
    assert target_for(list[int | str]) is not target_for(list[str | int])


def test_plans_do_not_pile_up() -> None:
    """Unknown names, of which there may be any number, are not remembered."""
    target = target_for(model(1))
    target.fit(snapshot({f"unknown{n}": "x" for n in range(100)}))

    assert [1, 1] == [len(table.exact) for table in target.plan.tables()] * 2

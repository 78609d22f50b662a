"""No value is ever in an error, whatever is wrong with it and wherever it stands."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from etcd_settings.documents import SUFFIXES
from etcd_settings.errors import EtcdSettingsError
from etcd_settings.spelling import flatten, spell
from etcd_settings.tree import as_list, branch, build, explain, traced_trees
from tests.making import Value, make_entry, make_layers, make_snapshot

MARKER = "hunter2"


def everything_in(error: BaseException | None, seen: set[int]) -> Iterator[str]:
    """Give all that a log, a debugger or a pickle could get out of an error: texts, facts, causes, contexts."""
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield from (str(error), repr(error), repr(error.args), repr(vars(error)), repr(getattr(error, "__notes__", "")))
    yield "".join(traceback.format_exception_only(error))
    yield from everything_in(error.__cause__, seen)
    yield from everything_in(error.__context__, seen)
    for problem in getattr(error, "problems", ()):
        yield from everything_in(problem, seen)


def assert_silent(error: EtcdSettingsError) -> None:
    leaked = [text for text in everything_in(error, set()) if MARKER in text]
    assert [] == leaked
    assert MARKER.encode() not in pickle.dumps(error)


BROKEN = [
    *(f"{MARKER}", f'"{MARKER}"', f"[{MARKER}", f'["{MARKER}"]', f'{{"a": "{MARKER}"'),
    *(f'{{"{MARKER}": NaN}}', f'{{"a": "{MARKER}\\x"}}', "[" * 400 + MARKER),
    *(f'a = "{MARKER}', f'a = 1\na = "{MARKER}"', f"{MARKER} = {MARKER}", f"['{MARKER}']\n['{MARKER}']"),
    *(f"a: !!{MARKER} 1", f"a: !!timestamp {MARKER}", f"a: *{MARKER}", f"{MARKER}: [", f"1: {MARKER}\n'1': x"),
    *(
        f"a: !!int {MARKER}",
        f"a: !!binary {MARKER}é",
        f"? [{MARKER}]\n: 1",
        f"%{MARKER}\n",
        f"\t{MARKER}: 1",
        f"@{MARKER}",
    ),
]
VALUES = st.one_of(
    st.sampled_from(BROKEN),
    st.builds(lambda before, after: before + MARKER.encode() + after, st.binary(max_size=4), st.binary(max_size=4)),
)
PATHS = st.builds(
    "{}{}".format,
    st.sampled_from(["a", "b", "a/b", "a/c", "a//b", "a/", "", "d/a/b"]),
    st.one_of(st.just(""), st.sampled_from(SUFFIXES)),
)


@given(layers=st.dictionaries(st.sampled_from(["", "x/"]), st.dictionaries(PATHS, VALUES, max_size=5), max_size=2))
@example(layers={"": {f"k{number}{suffix}": text for number, text in enumerate(BROKEN) for suffix in SUFFIXES}})
def test_building_leaks_nothing(layers: dict[str, dict[str, Value]]) -> None:
    """Conflicts and broken documents of every kind name keys and places only."""
    snapshot = make_layers(layers)
    for use in (build, traced_trees, lambda snapshot: explain(snapshot, "a/b")):
        try:
            use(snapshot)
        except EtcdSettingsError as e:
            assert_silent(e)


@given(value=st.binary(max_size=4))
def test_decoding_leaks_nothing(value: bytes) -> None:
    """`UnicodeDecodeError` quotes what it could not decode; ours does not, and drops the other."""
    entry = make_entry("a", MARKER.encode() + value + b"\xff")

    with pytest.raises(EtcdSettingsError) as caught:
        _ = entry.text

    assert_silent(caught.value)


@pytest.mark.parametrize("name", ["a", "", "a/b", "a.json"])
@pytest.mark.parametrize(
    "value",
    [MARKER + "\ud800", [MARKER + "\ud800"], [MARKER, object()], {MARKER: {1, (2, object())}}],
    ids=["half a pair", "half a pair in a list", "an object", "a set"],
)
def test_spelling_leaks_nothing(value: Any, name: str) -> None:
    """What cannot be written is named by its path."""
    with pytest.raises(EtcdSettingsError) as caught:
        flatten({name: [value]})
    assert_silent(caught.value)

    with pytest.raises(EtcdSettingsError) as caught:
        spell(value if not isinstance(value, dict) else [value])
    assert_silent(caught.value)


@pytest.mark.parametrize("text", BROKEN)
def test_asking_a_tree_leaks_nothing(text: str) -> None:
    """Neither a value on the way to a branch nor an item of a list with a gap is shown."""
    tree = build(make_snapshot({"a": text, "l/1": text}))

    with pytest.raises(EtcdSettingsError) as caught:
        branch(tree, "a/b")
    assert_silent(caught.value)
    with pytest.raises(EtcdSettingsError) as caught:
        as_list(tree["l"], "l")
    assert_silent(caught.value)

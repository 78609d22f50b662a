"""Generate keys, values, entries, layers and trees for the laws in ``tests/property``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from etcd_settings.documents import SUFFIXES
from etcd_settings.errors import EtcdSettingsError
from etcd_settings.spelling import as_text
from etcd_settings.tree import build
from tests.making import make_snapshot

Values = Mapping[str, bytes]

# Few names, so that keys meet: conflicts, bases and layers are what the laws are about.
_segments = st.sampled_from(["a", "b", "0", "1", "ü", "a.json", "\udcff"])
_last_segments = st.one_of(
    _segments,
    st.builds("{}{}".format, st.sampled_from(["a", "b", "0"]), st.sampled_from(SUFFIXES)),
    st.sampled_from(["", ".json"]),
)


@st.composite
def any_paths(draw: st.DrawFn) -> str:
    """Paths of every kind: plain, documents, markers, and now and then with an empty segment."""
    above = draw(st.lists(st.one_of(_segments, _segments, _segments, st.just("")), max_size=2))
    return "/".join([*above, draw(_last_segments)])


raw_values = st.one_of(
    st.sampled_from(
        [
            *(b"", b"text", b"5432", b"null", b"[1]", b'["x", {"a": 1}]'),
            *(b"{}", b'{"a": 1}', b'{"a": {"b": "x"}, "b": "y"}', b'{"b": "{\\"a\\": 2}"}'),
            *(b"a = 1", b"a: {b: 1}", b"{", b'{"a": "\xff"}', b"\xff"),
        ]
    ),
    st.binary(max_size=6),
)

any_entries: st.SearchStrategy[Values] = st.dictionaries(any_paths(), raw_values, max_size=7)
"""Path → value, as wild as etcd can be: many of them conflict."""


def _agreeing(values: Values) -> Values:
    """Leave out what contradicts what is there before it: a plan needs a tree to start from."""
    kept: Values = {}
    for path, value in values.items():
        more = {**kept, path: value}
        try:
            as_text(build(make_snapshot(more)))
        except EtcdSettingsError:
            continue
        kept = more
    return kept


held_entries = any_entries.map(_agreeing)
"""Path → value, as wild as etcd can be while it builds a tree."""


any_layers: st.SearchStrategy[Mapping[str, Values]] = st.dictionaries(
    st.sampled_from(["", "common/", "app/"]), any_entries, max_size=3
)

names = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1, max_size=8)
"""Whatever may name a branch."""

leaf_names = names.filter(lambda name: not name.endswith(SUFFIXES))
"""Whatever may name a leaf."""

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)

_scalars_in_lists = st.one_of(
    texts,
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(),
    st.dates(),
    st.times(),
    st.datetimes(timezones=st.just(dt.UTC)),
)

scalars = _scalars_in_lists | st.floats()
"""Whatever TOML, JSON and YAML know as a single value."""

lists = st.recursive(
    st.lists(_scalars_in_lists, max_size=3),
    lambda inner: st.lists(inner | st.dictionaries(names, inner, max_size=2), max_size=3),
    max_leaves=6,
)

leaves = st.one_of(scalars, lists, st.binary(max_size=4))


def trees(values: st.SearchStrategy[Any] = leaves) -> st.SearchStrategy[dict[str, Any]]:
    """Nested mappings with *values* as leaves, empty ones included."""
    table = st.dictionaries(leaf_names, values, max_size=3)
    return st.recursive(
        table,
        lambda inner: st.builds(
            lambda branches, leaves: {**branches, **leaves},
            st.dictionaries(names, inner, max_size=3),
            st.dictionaries(leaf_names, values, max_size=2),
        ),
        max_leaves=8,
    )

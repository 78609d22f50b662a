"""Laws of keys and ranges."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from etcd_settings.keys import ALL_KEYS, decode_key, encode_key, normalize_prefix, range_end


@given(prefix=st.binary(min_size=1, max_size=6), key=st.binary(min_size=1, max_size=6))
@example(prefix=b"a\xff", key=b"b")  # two published clients get this one wrong
@example(prefix=b"\xff", key=b"\xff\xff")
def test_range_end_selects_exactly_the_prefix(prefix: bytes, key: bytes) -> None:
    """A key lies in the range if, and only if, it starts with the prefix."""
    end = range_end(prefix)

    in_range = prefix <= key and (end == ALL_KEYS or key < end)

    assert key.startswith(prefix) == in_range


@given(prefix=st.binary(max_size=4), rest=st.binary(max_size=4))
@example(prefix=b"a\xff", rest=b"\xff")
def test_whatever_starts_with_the_prefix_lies_in_the_range(prefix: bytes, rest: bytes) -> None:
    """Random keys seldom start with a random prefix, so this law gets keys that do."""
    end = range_end(prefix)

    assert end == ALL_KEYS or prefix + rest < end


@given(st.binary())
@example(bytes(range(256)))
@example(b"\xed\xa0\x80")  # half of a surrogate pair in UTF-8's way, which is no UTF-8
def test_every_key_makes_the_round_trip(key: bytes) -> None:
    """Decoded for people and encoded for etcd, a key is the same bytes."""
    assert key == encode_key(decode_key(key))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_makes_the_round_trip(text: str) -> None:
    """A key written as text reads back as the same text."""
    assert text == decode_key(encode_key(text))


@given(st.binary(), st.binary())
def test_segments_decode_as_the_whole_does(one: bytes, two: bytes) -> None:
    """A slash never stands within a character, so a key may be parted before it is decoded."""
    assert f"{decode_key(one)}/{decode_key(two)}" == decode_key(one + b"/" + two)


@given(st.text(max_size=8))
def test_normalizing_a_prefix_twice_changes_nothing(prefix: str) -> None:
    """A normalized prefix is normal."""
    assert normalize_prefix(prefix) == normalize_prefix(normalize_prefix(prefix))

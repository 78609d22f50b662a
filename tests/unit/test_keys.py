"""Keys are bytes, users write text; prefixes are ranges."""

from __future__ import annotations

import pytest

from etcd_settings.keys import ALL_KEYS, decode_key, encode_key, normalize_prefix, range_end


@pytest.mark.parametrize(
    ("prefix", "normalized"),
    [
        ("/config/app", "/config/app/"),
        ("/config/app/", "/config/app/"),
        ("config", "config/"),
        ("/", "/"),
        ("", ""),
    ],
)
def test_a_prefix_ends_in_a_slash(prefix: str, normalized: str) -> None:
    """Else ``/config/app`` would read ``/config/app2/…`` too; only the empty prefix, which means all keys, has none."""
    assert normalized == normalize_prefix(prefix)


@pytest.mark.parametrize(
    ("prefix", "end"),
    [
        (b"/config/app/", b"/config/app0"),
        (b"a", b"b"),
        (b"a\xff", b"b"),
        (b"a\xff\xff", b"b"),
        (b"a\xfe", b"a\xff"),
        (b"\xff\xff", ALL_KEYS),
        (b"", ALL_KEYS),
    ],
)
def test_a_range_ends_before_the_next_prefix(prefix: bytes, end: bytes) -> None:
    """Trailing 0xff bytes have no successor; what remains is incremented, and nothing remaining means "to the end"."""
    assert end == range_end(prefix)


def test_a_text_key_is_utf_8() -> None:
    """What users write as text, etcdctl shows as the same text."""
    assert "/größe".encode() == encode_key("/größe")
    assert "/größe" == decode_key("/größe".encode())


def test_bytes_are_a_key_already() -> None:
    """A key given as bytes is left alone, whatever it holds."""
    assert b"\xff\x00" == encode_key(b"\xff\x00")


def test_half_a_surrogate_pair_is_no_key() -> None:
    """Text that no bytes stand for is refused, not replaced."""
    with pytest.raises(UnicodeEncodeError):
        encode_key("\ud800")

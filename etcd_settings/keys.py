"""
Do arithmetic on keys: prefixes, ranges, paths.

Etcd keys are bytes, all 256 of them; users write `str`. The bridge is UTF-8 with ``surrogateescape``, so that any key
makes the round trip. Nothing here reads or writes anything.
"""

from __future__ import annotations

__all__ = ["ALL_KEYS", "decode_key", "encode_key", "normalize_prefix", "range_end"]

ALL_KEYS = b"\0"
"""As a ``range_end`` it means: to the end of the key space. As a ``key`` it is the smallest that etcd accepts."""


def encode_key(key: str | bytes) -> bytes:
    """Turn a key as users write it into the bytes that etcd holds."""
    return key if isinstance(key, bytes) else key.encode("utf-8", "surrogateescape")


def decode_key(key: bytes) -> str:
    """Turn a key's bytes into a `str` from which `encode_key` makes the same bytes again."""
    return key.decode("utf-8", "surrogateescape")


def normalize_prefix(prefix: str) -> str:
    """Add the slash that keeps ``/config/app`` from reading ``/config/app2/…``; an empty prefix stays empty."""
    return prefix if not prefix or prefix.endswith("/") else prefix + "/"


def range_end(prefix: bytes) -> bytes:
    r"""
    Give the first key after all those that start with *prefix*.

    Strip trailing 0xff bytes and increment the last; nothing left means "to the end", which etcd spells ``\0``
    (etcd's clientv3, ``GetPrefixRangeEnd``).
    """
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else ALL_KEYS

"""The kit's shop window."""

from __future__ import annotations

import pytest

from etcd_settings import testing


def test_every_name_is_there() -> None:
    """What ``__all__`` names can be imported, `dir` shows it, and each stands under its own name."""
    assert sorted(testing.__all__) == dir(testing)
    assert testing.__all__ == [getattr(testing, name).__name__ for name in testing.__all__]


def test_any_other_name_is_missing() -> None:
    """Names that come in late do not hide a mistake."""
    with pytest.raises(AttributeError, match="no attribute 'EtcdSever'"):
        _ = testing.EtcdSever

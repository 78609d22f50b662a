"""
Read the text in which etcd publishes its figures.

Only as much of Prometheus' text format (version 0.0.4) as etcd writes: one sample a line, no timestamps.
"""

from __future__ import annotations

__all__ = ["parse_metrics"]


def parse_metrics(text: str) -> dict[str, float]:
    """Map each sample's name, with its labels exactly as printed, to its value."""
    samples = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}

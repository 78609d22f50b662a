"""Name the keys that writers change and readers watch."""

from __future__ import annotations

from collections.abc import Mapping

APP = "/config/app/"
COMMON, PRODUCTION = APP + "common/", APP + "production/"
APART = "apart/"
"""Has not one character in common with `APP`, so that no single watch covers both without covering everything."""

TWINS = (COMMON + "twin", PRODUCTION + "twin", APART + "twin", APP + "twin", APP + "zwilling")
"""Keys that are only ever written and deleted together, with one value."""

SINGLES = tuple(f"{place}k{i}" for place in (COMMON, PRODUCTION, APART, APP) for i in range(8))

SENTINEL = APP + "sentinel"

VIEWS: Mapping[str, Mapping[str, str]] = {
    "one layer": {"": APP},
    "two layers": {"common/": COMMON, "production/": PRODUCTION},
    "layers apart": {COMMON: COMMON, APART: APART},
}
"""What readers watch: name → layer → whole prefix."""

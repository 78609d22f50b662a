"""
Load keys into a typed model, beside pydantic validating a ready dict.

Ours is the whole way: read from etcd, build the tree, fit it to the model, validate. The yardstick is the same read
plus `model_validate` of a nested dict that nobody had to build. The peer is a plain subclass of pydantic-settings'
`EnvSettingsSource` over the same snapshot, the way in which sources for remote stores are usually written; it is given
lists as JSON texts, since it can't do lists by index.

All run in turn in one process, on one etcd, and the medians are compared. The table varies the keys and the fields, to
show that the cost grows with their sum.

    python benchmarks/typed_model.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pydantic import BaseModel, create_model
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

from etcd_settings.etcd import Client, Put
from etcd_settings.integrations.pydantic_settings import EtcdBaseSettings
from etcd_settings.snapshot import Snapshot
from etcd_settings.source import Source
from etcd_settings.testing import EtcdServer

PREFIX = "/config/app/"
GROUP = 20
"""Fields in each nested model."""

SIZES = [(500, 500), (1000, 500), (2000, 500), (4000, 500), (2000, 125), (2000, 250), (2000, 1000)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    print(" keys fields |    read validate |    ours ratio  cached |     naive")
    with EtcdServer() as server:
        for keys, fields in SIZES:
            measure(server.url, keys, fields, options.rounds)
    print("Times in ms, medians. ratio: ours ÷ (read + validate). cached: Settings() within the TTL.")
    print("naive: an EnvSettingsSource subclass, without the read.")


def measure(url: str, keys: int, fields: int, rounds: int) -> None:
    ready = nested(keys, fields)
    fill(url, ready)
    model, settings, naive = make_model(BaseModel, fields), make_model(EtcdBaseSettings, fields), make_naive(fields)
    with Source(url) as source:
        assert source.load(model) == model.model_validate(ready)
        runs: dict[str, Callable[[], object]] = {
            "read": source.refresh,
            "validate": lambda: model.model_validate(ready),
            "ours": lambda: (source.refresh(), source.load(model)),
            "cached": lambda: settings(_etcd_source=source),
            "naive": partial(naive, source.snapshot()),
        }
        times = race(runs, rounds)
    ratio = times["ours"] / (times["read"] + times["validate"])
    print(
        f"{keys:>5} {fields:>6} | {times['read']:7.2f} {times['validate']:8.2f} | {times['ours']:7.2f} {ratio:5.2f} "
        f"{times['cached']:7.2f} | {times['naive']:9.2f}"
    )


def nested(keys: int, fields: int) -> dict[str, dict[str, list[str]]]:
    """Spread the keys over the fields, as items of lists; with more fields than keys some stay empty."""
    groups: dict[str, dict[str, list[str]]] = {}
    for key in range(keys):
        number = key % fields
        groups.setdefault(f"group_{number // GROUP}", {}).setdefault(f"field_{number % GROUP}", []).append(f"v{key}")
    return groups


def make_model(base: type[BaseModel], fields: int) -> Any:
    make: Any = create_model
    sizes = [min(GROUP, fields - start) for start in range(0, fields, GROUP)]
    groups = [make("Group", **{f"field_{n}": (list[str], []) for n in range(size)}) for size in sizes]
    return make("Settings", __base__=base, **{f"group_{n}": (group, group()) for n, group in enumerate(groups)})


def make_naive(fields: int) -> Callable[[Snapshot], object]:
    snapshots: list[Snapshot] = []

    class NaiveSource(EnvSettingsSource):
        def _load_env_vars(self) -> Mapping[str, str | None]:
            lists: dict[str, list[str]] = {}
            for path, entry in snapshots[-1].items():
                lists.setdefault(path.rpartition("/")[0], []).append(entry.text)
            return {path: json.dumps(items) for path, items in lists.items()}

    class Naive(BaseSettings):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (NaiveSource(settings_cls, env_prefix="", env_nested_delimiter="/"),)

    model = make_model(Naive, fields)

    def run(snapshot: Snapshot) -> object:
        snapshots.append(snapshot)
        return model()

    return run


def fill(url: str, groups: Mapping[str, Mapping[str, list[str]]]) -> None:
    puts = [
        Put(f"{PREFIX}{group}/{field}/{index}", item)
        for group, lists in groups.items()
        for field, items in lists.items()
        for index, item in enumerate(items)
    ]
    with Client(url) as client:
        client.delete_prefix(PREFIX)
        for start in range(0, len(puts), 128):
            client.txn(success=puts[start : start + 128])


def race(contestants: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Give each contestant's median time in milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) * 1e3 for name, taken in times.items()}


if __name__ == "__main__":
    main()

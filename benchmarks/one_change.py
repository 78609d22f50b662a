"""
Change one key among 1,000, 10,000 and 100,000, and measure what that costs who watches.

*event to snapshot* is the time from a decoded event to the new snapshot, with all that etcd's store does in between but
for the wire. *branch* is ``tree("service7")`` of that snapshot, a branch that holds as many keys however many there are
in all; *change* is what `Snapshot.changed_since` takes. *put to branch* is the whole way of a change through a real
etcd, from the call that writes it to the branch in the hands of who iterates `Source.watch`. None of them may grow with
the number of keys.

*spread* is the mean of *event to snapshot* over 3,000 changes of as many keys. Every thousand of them, all rows are put
in order once: that does grow with the keys, and is shared by a thousand.

    python benchmarks/one_change.py [--keys 1000 10000 100000] [--rounds 200]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from etcd_settings import Source
from etcd_settings.etcd import Client, Put
from etcd_settings.snapshot import Entry, Snapshot
from etcd_settings.testing import EtcdServer
from etcd_settings.tree import branch, build

PREFIX = "/config/app/"
BRANCH, BRANCH_KEYS = "service7", 10

T = TypeVar("T")


@dataclass
class Times:
    """Milliseconds, one for each round."""

    keys: int
    snapshot: list[float]
    branch: list[float]
    change: list[float]
    whole: list[float]
    spread: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    report([measure(keys, options.rounds) for keys in options.keys])


def measure(keys: int, rounds: int) -> Times:
    with EtcdServer() as server, Client(server.url) as client:
        fill(client, keys)
        snapshot = client.get_prefix(PREFIX)
        evolved = evolve_often(snapshot, rounds)
        return Times(keys, *evolved, whole_way(server.url, client, rounds), spread(snapshot, keys))


def fill(client: Client, keys: int) -> None:
    for start in range(0, keys, 125):
        client.txn(
            success=[
                Put(f"{PREFIX}service{i // BRANCH_KEYS}/key{i % BRANCH_KEYS}", f"value-{i}-of-the-benchmark")
                for i in range(start, min(start + 125, keys))
            ]
        )


def evolve_often(snapshot: Snapshot, rounds: int) -> tuple[list[float], list[float], list[float]]:
    """Apply one change after the other, as the store's watch does; the first ones pay for what is made once."""
    made: list[float] = []
    built: list[float] = []
    compared: list[float] = []
    for number in range(rounds + 5):
        path, revision = f"{BRANCH}/key{number % BRANCH_KEYS}", snapshot.revision + 1
        before = snapshot
        written = Entry(PREFIX + path, str(number).encode(), "", 2, revision, number + 2)
        taken, snapshot = timed(lambda: before.evolve(revision, {"": {path: written}}))  # noqa: B023  # called at once
        made.append(taken)
        built.append(timed(lambda: branch(build(snapshot, BRANCH), BRANCH))[0])  # noqa: B023  # called at once
        compared.append(timed(lambda: snapshot.changed_since(before))[0])  # noqa: B023  # called at once
    return made[5:], built[5:], compared[5:]


def spread(snapshot: Snapshot, keys: int) -> float:
    """Give the mean time of changes that never meet the same key again soon."""
    began, changes = time.perf_counter(), 3_000
    for number in range(changes):
        path = f"service{number * 7 % keys // BRANCH_KEYS}/key{number * 7 % BRANCH_KEYS}"
        revision = snapshot.revision + 1
        snapshot = snapshot.evolve(
            revision, {"": {path: Entry(PREFIX + path, b"changed", "", 2, revision, number + 2)}}
        )
    return (time.perf_counter() - began) * 1000 / changes


def whole_way(url: str, client: Client, rounds: int) -> list[float]:
    times: list[float] = []
    with Source(url, timeout=30) as source, source.watch() as snapshots:
        next(snapshots)
        for number in range(min(rounds, 100) + 5):
            began = time.perf_counter()
            client.put(f"{PREFIX}{BRANCH}/key1", str(number))
            next(snapshots)
            source.tree(BRANCH)
            times.append((time.perf_counter() - began) * 1000)
    return times[5:]


def timed(run: Callable[[], T]) -> tuple[float, T]:
    began = time.perf_counter()
    result = run()
    return (time.perf_counter() - began) * 1000, result


def report(all_times: list[Times]) -> None:
    print(f"one change; a branch of {BRANCH_KEYS} keys; milliseconds, median and 99th of 100\n")
    print(f"{'keys':>8}{'event to snapshot':>22}{'branch':>18}{'change':>18}{'put to branch':>22}{'spread':>10}")
    for times in all_times:
        columns = (times.snapshot, times.branch, times.change, times.whole)
        cells = [f"{statistics.median(each):.3f} {percentile(each):.3f}" for each in columns]
        print(f"{times.keys:>8}{cells[0]:>22}{cells[1]:>18}{cells[2]:>18}{cells[3]:>22}{times.spread:>10.3f}")


def percentile(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]


if __name__ == "__main__":
    main()

"""
Start and close many Lives, then reload one many times, and print what the process holds on the way.

The lives are on a real etcd, each with a source and connections of its own. The reloads are on a store in memory,
where a million takes minutes; every one builds, compares, swaps and calls back, and every hundredth is refused.

    python benchmarks/leaks.py [--cycles 10000] [--reloads 1000000]
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel

from etcd_settings import Live, Source
from etcd_settings.etcd import Client
from etcd_settings.testing import EtcdServer

POINTS = 10


class Settings(BaseModel):
    number: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=10_000)
    parser.add_argument("--reloads", type=int, default=1_000_000)
    options = parser.parse_args()
    logging.getLogger("etcd_settings").setLevel(logging.CRITICAL)  # the refusals
    print(f"{'':24}{'memory KiB':>12}{'threads':>9}{'descriptors':>13}{'objects':>10}{'seconds':>9}")
    with EtcdServer() as server:
        with Client(server.url) as client:
            client.put("/config/app/number", "1")
        curve("starts and ends", options.cycles, lambda count: cycle(server.url, count))
    with Source("memory://leaks/config/app/") as source, Live(lambda: source.load(Settings), debounce=(0, 0)) as live:
        told: list[int] = [0]
        live.on_change(lambda change: told.__setitem__(0, change.new.number))
        curve("reloads", options.reloads, lambda count: reload(live, source, count))
        print(f"{live.status().reloads} reloads took effect; the last callback was told of {told[0]}")


def curve(what: str, total: int, work: Callable[[int], None]) -> None:
    """Print a line at the beginning and after each part of the work; the first part warms up."""
    begun, done = time.monotonic(), 0
    work(warm := min(total, 200))
    for point in range(POINTS + 1):
        count = total * point // POINTS - done
        work(count)
        done += count
        memory, threads, descriptors, objects = held()
        print(
            f"{what if not point else '':16}{done:8}{memory:12}{threads:9}{descriptors:13}{objects:10}"
            f"{time.monotonic() - begun:9.1f}",
            flush=True,
        )
    print(f"(after {warm} more to warm up)")


def held() -> tuple[int, int, int, int]:
    """Give memory in KiB, threads, descriptors and objects, once those of closed lives have had time to go."""
    deadline = time.monotonic() + 2
    while threading.active_count() > 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024, threading.active_count(), descriptors, len(gc.get_objects())


def cycle(url: str, count: int) -> None:
    for _ in range(count):
        with Source(url) as source, Live(lambda: source.load(Settings)) as live:
            assert live.current.number == 1


def reload(live: Live[Settings], source: Source, count: int) -> None:
    for number in range(count):
        revision = source.store.put("/config/app/number", "many" if number % 100 == 99 else str(number))
        live.wait(revision, timeout=60)


if __name__ == "__main__":
    main()

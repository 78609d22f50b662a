"""
Measure what live settings cost: reading them, and the way from a write to a callback.

Reading is compared with reading the same attribute of a plain object that another object holds. The way is compared
with a bare watch in the same process: one client writes, a bare `Client.watch` and a `Live` without debounce both wait
for it, and both times are taken of the same write.

    python benchmarks/live.py [--writes 300] [--keys 100]
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
import timeit
from queue import SimpleQueue
from typing import Any

from pydantic import BaseModel

from etcd_settings import Live, Source
from etcd_settings.etcd import Client, Put
from etcd_settings.testing import EtcdServer

PREFIX = "/config/app/"
LOOPS = 500_000


class Settings(BaseModel):
    number: int = 0
    by_name: dict[str, str] = {}


class Holder:
    """A plain object that holds another."""

    def __init__(self, current: Settings) -> None:
        self.current = current


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writes", type=int, default=300)
    parser.add_argument("--keys", type=int, default=100)
    options = parser.parse_args()
    with EtcdServer() as server, Source(server.url) as source, Client(server.url) as client:
        client.txn(success=[Put(f"{PREFIX}by_name/k{number}", "v") for number in range(options.keys)])
        with Live(lambda: source.load(Settings), debounce=(0, 0)) as live:
            reading(live)
            reacting(live, client, options.writes)


def reading(live: Live[Settings]) -> None:
    settings, holder = live.current, Holder(live.current)
    print("reading an attribute               ns")
    print(f"settings.number               {timed('o.number', settings):7.1f}")
    print(f"holder.current.number         {timed('o.current.number', holder):7.1f}")
    print(f"live.current.number           {timed('o.current.number', live):7.1f}")
    print(f"live.proxy.number             {timed('o.number', live.proxy):7.1f}")


def timed(statement: str, subject: object) -> float:
    return min(timeit.repeat(statement, globals={"o": subject}, number=LOOPS, repeat=7)) / LOOPS * 1e9


def reacting(live: Live[Settings], client: Client, writes: int) -> None:
    bare: SimpleQueue[tuple[int, float]] = SimpleQueue()
    ours: SimpleQueue[tuple[int, float]] = SimpleQueue()
    live.on_change(lambda change: ours.put((change.new.number, time.perf_counter())))
    with client.watch(PREFIX) as watch:
        threading.Thread(target=follow, args=[watch, bare], daemon=True).start()
        while bare.empty():  # until the bare watch stands
            live.wait(client.put(PREFIX + "number", "-1"))
        live.wait(client.put(PREFIX + "number", "-2"))
        for told in (bare, ours):
            while told.get(timeout=10)[0] != -2:
                pass
        delays: dict[str, list[float]] = {"bare watch": [], "live callback": []}
        missed = 0
        for number in range(writes):
            begun = time.perf_counter()
            client.put(PREFIX + "number", str(number))
            for name, told in (("bare watch", bare), ("live callback", ours)):
                found, at = told.get(timeout=10)
                missed += found != number
                delays[name].append((at - begun) * 1e3)
    print(f"\nwrite → told, {writes} writes     p50 ms  p99 ms")
    for name, taken in delays.items():
        print(f"{name:28}{statistics.median(taken):9.2f}{statistics.quantiles(taken, n=100)[-1]:8.2f}")
    ratio = statistics.median(delays["live callback"]) / statistics.median(delays["bare watch"])
    print(f"live ÷ bare (p50): {ratio:.2f}; missed: {missed}")


def follow(watch: Any, told: SimpleQueue[tuple[int, float]]) -> None:
    for batch in watch:
        for event in batch.events:
            told.put((int(event.entry.text), time.perf_counter()))


if __name__ == "__main__":
    main()

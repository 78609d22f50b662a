"""
Read 10,000 keys cold into a nested tree, beside the bare RPC that only fetches the bytes.

Cold means a new connection each time. The bare RPC is measured twice: with grpcio (if it is installed) and with our own
transport; neither parses the answer. All run in turn in one process, on one etcd, and the medians are compared.

    python benchmarks/cold_read.py [--keys 10000] [--rounds 30]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from etcd_settings import tree
from etcd_settings.connection import Connection
from etcd_settings.etcd import Client, Put
from etcd_settings.etcd.endpoints import Endpoints
from etcd_settings.etcd.messages import message
from etcd_settings.testing import EtcdServer

PREFIX = "/config/app/"
RANGE = "/etcdserverpb.KV/Range"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    with EtcdServer() as server:
        fill(server.url, options.keys)
        request = message("RangeRequest")(key=PREFIX.encode(), range_end=b"/config/app0").SerializeToString()
        with bare_grpcio(server.endpoint, request) as grpcio:
            contestants = {
                "bytes only, grpcio": grpcio,
                "bytes only, our transport": lambda: bare_ours(server.url, request),
                "keys into a nested tree, ours": lambda: ours(server.url),
            }
            times = race({name: run for name, run in contestants.items() if run}, options.rounds)
    report(times, options.keys)


def fill(url: str, keys: int) -> None:
    with Client(url) as client:
        for start in range(0, keys, 128):
            client.txn(
                success=[
                    Put(f"{PREFIX}service{i % 100}/group{i // 1000}/key{i}", f"value-{i}-of-the-benchmark")
                    for i in range(start, min(start + 128, keys))
                ]
            )


@contextmanager
def bare_grpcio(endpoint: str, request: bytes) -> Iterator[Callable[[], object] | None]:
    try:
        import grpc
    except ImportError:
        yield None
        return

    def run() -> object:
        with grpc.insecure_channel(endpoint, options=[("grpc.max_receive_message_length", -1)]) as channel:
            return channel.unary_unary(RANGE)(request)

    yield run


def bare_ours(url: str, request: bytes) -> bytes:
    endpoints = Endpoints(Connection.from_url(url))
    try:
        return endpoints.call(RANGE, request, deadline=time.monotonic() + 5, action="reading")
    finally:
        endpoints.close()


def ours(url: str) -> tree.Tree:
    with Client(url) as client:
        return tree.build(client.get_prefix(PREFIX))


def race(contestants: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Run all in turn, so that a slow moment of the machine meets all of them."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 3):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            if number >= 3:  # the first ones warm up caches and the allocator
                times[name].append((time.perf_counter() - start) * 1000)
    return times


def report(times: dict[str, list[float]], keys: int) -> None:
    mine = statistics.median(times["keys into a nested tree, ours"])
    print(f"{keys} keys, cold; milliseconds\n")
    print(f"{'':34}{'min':>8}{'median':>8}{'ours is × as long':>20}")
    for name, taken in times.items():
        median = statistics.median(taken)
        print(f"{name:34}{min(taken):8.1f}{median:8.1f}{mine / median:20.2f}")


if __name__ == "__main__":
    main()

"""
Show 10,000 keys as a whole process, beside etcdctl, on one etcd; and start for the help alone.

All run in turn, and the medians are compared. Python itself, which does nothing here, is the floor.

    python benchmarks/command_line.py [--keys 10000] [--rounds 20]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from etcd_settings.etcd import Client, Put
from etcd_settings.testing import EtcdServer, find_binaries

OURS = [sys.executable, "-m", "etcd_settings"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    with EtcdServer() as server:
        fill(server, options.keys)
        # Installed packages have their bytecode; without it each start would compile all of this one anew.
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env |= {"ETCD_SETTINGS_URL": server.url, "ETCDCTL_API": "3", "ETCDCTL_ENDPOINTS": server.endpoint}
        commands = {
            "etcdctl get --prefix": [str(find_binaries().etcdctl), "get", "--prefix", server.prefix],
            "etcd-settings show": [*OURS, "show"],
            "etcd-settings pull": [*OURS, "pull", "--format", "json"],
            "etcd-settings --help": [*OURS, "--help"],
            "python -c pass": [sys.executable, "-c", "pass"],
        }
        times = race(commands, env, options.rounds)
    peer = statistics.median(times["etcdctl get --prefix"])
    print(f"{options.keys} keys, {options.rounds} rounds, whole processes")
    for name, each in times.items():
        median = statistics.median(each)
        print(f"{name:<24}{median * 1000:7.0f} ms{median / peer:7.2f} x")


def fill(server: EtcdServer, keys: int) -> None:
    with Client(server.url) as client:
        for start in range(0, keys, 128):
            client.txn(
                success=[
                    Put(f"{server.prefix}service{i % 100}/group{i // 1000}/key{i}", f"value-{i}-of-the-benchmark")
                    for i in range(start, min(start + 128, keys))
                ]
            )


def race(commands: Mapping[str, Sequence[str]], env: Mapping[str, str], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in commands}
    for lap in range(rounds + 1):
        for name, command in commands.items():
            started = time.perf_counter()
            subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
            if lap:  # the first one fills caches, and writes bytecode
                times[name].append(time.perf_counter() - started)
    return times


if __name__ == "__main__":
    main()

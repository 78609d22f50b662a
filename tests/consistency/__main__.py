"""Run trials one after the other until the time is over; exit with 1 and the seed if one finds something."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter

from etcd_settings.testing import find_binaries
from tests.consistency.readers import ViolationError
from tests.consistency.trial import Outcome, run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.consistency")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long faults strike, in all")
    parser.add_argument("--trial", type=float, default=60.0, help="how long one seed may take")
    parser.add_argument("--seed", type=int, default=1, help="the first seed; later trials count on from it")
    parser.add_argument("--auth", action="store_true", help="with users, roles and tokens")
    parser.add_argument("--cluster", action="store_true", help="three members")
    parser.add_argument("--relist", type=float, default=20.0, help="seconds after which readers read everything again")
    options = parser.parse_args()
    print("etcd", ".".join(map(str, find_binaries().version)), flush=True)
    logging.disable(logging.ERROR)  # outages are what this is about
    outcomes: list[Outcome] = []
    left, seed = options.seconds, options.seed
    while left > 0:
        began = time.monotonic()
        try:
            outcome = run(
                seed=seed,
                seconds=min(left, options.trial),
                auth=options.auth,
                cluster=options.cluster,
                relist=options.relist,
            )
        except ViolationError as e:
            print(f"seed {seed}: VIOLATION: {e}", flush=True)
            return 1
        print(outcome, flush=True)
        outcomes.append(outcome)
        left, seed = left - (time.monotonic() - began), seed + 1
    faults: Counter[str] = Counter()
    for outcome in outcomes:
        faults.update(outcome.faults)
    counts = {name: sum(getattr(each, name) for each in outcomes) for name in ("events", "states", "refused")}
    print(
        f"{len(outcomes)} seeds, {faults.total()} faults, {counts['events']} events, {counts['states']} states, "
        f"{counts['refused']} refused, 0 violations"
    )
    print(", ".join(f"{name}: {count}" for name, count in sorted(faults.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())

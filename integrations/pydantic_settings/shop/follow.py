"""Follow etcd, and say what happens: what a server would do beside its work."""

from __future__ import annotations

import signal
import sys
import threading

from pydantic import ValidationError

from etcd_settings import Change, EtcdSettingsError, Live, Rejection
from shop.settings import Settings


def tell(change: Change[Settings]) -> None:
    print(f"changed: {', '.join(sorted(change.paths))}", flush=True)


def complain(rejection: Rejection) -> None:
    print(f"refused, and the last good settings stay: {rejection.error}", flush=True)


def main() -> int:
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    live = Live(Settings, on_reject=complain)

    @live.on_change("database")
    def reconnect(change: Change[Settings]) -> None:
        print(f"a pool of {change.new.database.pool_size} to {change.new.database.host}", flush=True)

    live.on_change(tell)
    try:
        with live:
            print(f"open, with a pool of {live.current.database.pool_size}", flush=True)
            stopped.wait()
    except (EtcdSettingsError, ValidationError) as e:
        print(f"The shop stays closed: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

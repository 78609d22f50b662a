"""Change keys at random, in every way that etcd knows, whatever happens to it meanwhile."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from etcd_settings.connection import Connection
from etcd_settings.errors import EtcdSettingsError
from etcd_settings.etcd import Client, Delete, Put
from etcd_settings.testing.gateway import Gateway
from tests.consistency.keys import APP, SINGLES, TWINS

__all__ = ["Writer"]


class Writer:
    """
    Write until `close`, on a thread of its own.

    Args:
        connection: Where etcd is, past all spoilt lines, as somebody who may write everything.

        gateways: Ways to grant leases; one is chosen each time.

        chance: What to do next, and when.
    """

    def __init__(self, connection: Connection, gateways: list[Gateway], chance: random.Random) -> None:
        self._client, self._gateways, self._chance = Client(connection), gateways, chance
        self._stopping = threading.Event()
        self.turn = threading.Lock()  # whoever holds it keeps the writer from writing
        self.writes = self.failures = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        self._thread.join(30)
        self._client.close()

    def _run(self) -> None:
        kinds: dict[Callable[[], object], int] = {
            self._put: 10,
            self._delete: 4,
            self._write_twins: 6,
            self._delete_twins: 1,
            self._delete_many: 1,
            self._lend: 2,
            self._burst: 1,
        }
        while not self._stopping.wait(self._chance.expovariate(40)):
            (write,) = self._chance.choices([*kinds], [*kinds.values()])
            try:
                with self.turn:
                    write()
                self.writes += 1
            except (EtcdSettingsError, OSError):  # it may have happened or not; the ledger will tell
                self.failures += 1

    def _value(self) -> str:
        return f"{self._chance.getrandbits(32):x}" * self._chance.choice([0, 1, 1, 1, 2000])

    def _put(self) -> None:
        self._client.put(self._chance.choice(SINGLES), self._value())

    def _delete(self) -> None:
        self._client.delete(self._chance.choice(SINGLES))

    def _write_twins(self) -> None:
        value = self._value()
        self._client.txn(success=[Put(key, value) for key in self._chance.sample(TWINS, len(TWINS))])

    def _delete_twins(self) -> None:
        self._client.txn(success=[Delete(key) for key in TWINS])

    def _delete_many(self) -> None:
        self._client.delete_prefix(APP + "k")

    def _burst(self) -> None:
        for key in self._chance.sample(SINGLES, 20):
            self._client.put(key, self._value())

    def _lend(self) -> None:
        """Write a key that goes with its lease, by itself after a second or two, or at once with a revocation."""
        gateway = self._chance.choice(self._gateways)
        lease = int(gateway.call("lease/grant", {"TTL": 1})["ID"])
        self._client.put(self._chance.choice(SINGLES), self._value(), lease=lease)
        if self._chance.random() < 0.3:
            gateway.call("lease/revoke", {"ID": lease})

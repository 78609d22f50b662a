"""Run writers, faults and readers against one etcd for a while, and judge."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from etcd_settings.connection import Connection
from etcd_settings.errors import EtcdSettingsError
from etcd_settings.keys import range_end
from etcd_settings.testing import EtcdCluster, EtcdServer, Proxy
from etcd_settings.testing.gateway import to_base64
from tests.consistency.faults import Faults
from tests.consistency.keys import APART, COMMON, VIEWS
from tests.consistency.ledger import Ledger
from tests.consistency.readers import Reader, ViolationError
from tests.consistency.writers import Writer

__all__ = ["Outcome", "run"]

PATIENCE = 30.0
"""Seconds that readers may take, after all faults, to come to etcd's last state."""

OFTEN = ("--experimental-watch-progress-notify-interval", "300ms")
"""Mere progress raises what a reader claims to know, so that there has to be much of it; the default is 10 minutes."""


@dataclass
class Outcome:
    """What happened in one trial."""

    seed: int
    events: int = 0
    states: int = 0
    writes: int = 0
    failed: int = 0
    refused: int = 0
    faults: dict[str, int] = field(default_factory=dict)


def run(*, seed: int, seconds: float, auth: bool = False, cluster: bool = False, relist: float = 20.0) -> Outcome:
    """
    Run one trial.

    Args:
        seed: Of everything that is left to chance, but for the timing of threads and processes.

        seconds: How long faults strike; starting and the end come on top.

        auth: With users, roles and tokens.

        cluster: Three members in place of one.

        relist: Seconds after which readers read everything again. The protocol itself must be right, so that is rare.

    Raises:
        ViolationError: A reader was given what etcd never had, or did not come to the end.
    """
    outcome, ledger = Outcome(seed), Ledger()
    with (
        EtcdCluster(auth=auth, args=OFTEN) if cluster else EtcdServer(auth=auth, args=OFTEN) as site,
        _lines(site) as lines,
    ):
        if auth:
            _let_app_read(site)
        readers: list[Reader] = []
        writers: list[Writer] = []
        faults = Faults(site, lines, ledger, lambda: _quiet(site, readers, writers), random.Random(f"{seed} faults"))
        ledger.begin(faults.gateway())
        near = replace(Connection.from_url(site.url), endpoints=tuple(line.endpoint for line in lines))
        with ExitStack() as stack:
            readers += [_reader(stack, seed, name, near, relist) for name in VIEWS]
            writers += [_writer(stack, seed, number, site) for number in range(2)]
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                faults.strike()
                ledger.catch_up(faults.gateway())
                for reader in readers:
                    reader.judge(ledger)
            for writer in writers:
                writer.close()
            _come_to_the_end(ledger, faults, readers)
        outcome.events, outcome.faults = ledger.events, faults.count
        outcome.states = sum(reader.states for reader in readers)
        outcome.writes = sum(writer.writes for writer in writers)
        outcome.failed = sum(writer.failures for writer in writers)
        outcome.refused = sum(reader.refused for reader in readers)
    return outcome


def _come_to_the_end(ledger: Ledger, faults: Faults, readers: list[Reader]) -> None:
    time.sleep(3)  # for the last leases to run out
    deadline = time.monotonic() + PATIENCE
    last = ledger.catch_up(faults.gateway())
    while time.monotonic() < deadline and any(reader.told.last < last for reader in readers):
        faults.gateway().put(f"{APART}end", "here")  # so that every view has something to be told
        time.sleep(0.2)
    ledger.catch_up(faults.gateway())
    for reader in readers:
        reader.judge(ledger)
        if reader.told.last < last or reader.iterated.last == 0:
            raise ViolationError(f"{reader.name}: at revision {reader.told.last}, and etcd has been at {last} for long")
        reader.judge_the_end()


def _reader(stack: ExitStack, seed: int, name: str, connection: Connection, relist: float) -> Reader:
    reader = Reader(name, connection, VIEWS[name], relist=relist, chance=random.Random(f"{seed} {name}"))
    stack.callback(reader.close)
    return reader


def _writer(stack: ExitStack, seed: int, number: int, site: EtcdServer | EtcdCluster) -> Writer:
    members = site.members if isinstance(site, EtcdCluster) else (site,)
    gateways = [site.site.gateway(member.endpoint) for member in members]
    writer = Writer(Connection.from_url(site.root_url), gateways, random.Random(f"{seed} writer {number}"))
    stack.callback(writer.close)
    return writer


@contextmanager
def _quiet(site: EtcdServer | EtcdCluster, readers: list[Reader], writers: list[Writer]) -> Iterator[None]:
    with ExitStack() as stack:
        for writer in writers:
            stack.enter_context(writer.turn)
        newest = (site.leader() if isinstance(site, EtcdCluster) else site).put(COMMON + "k0", "quiet")
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and any(reader.told.last < newest for reader in readers):
            time.sleep(0.01)
        yield


@contextmanager
def _lines(site: EtcdServer | EtcdCluster) -> Iterator[list[Proxy]]:
    members = site.members if isinstance(site, EtcdCluster) else (site,)
    with ExitStack() as stack:
        yield [stack.enter_context(Proxy(member.endpoint)) for member in members]


def _let_app_read(site: EtcdServer | EtcdCluster) -> None:
    """Let the application read what lies apart too, and nothing in between."""
    member = site.leader() if isinstance(site, EtcdCluster) else site
    key = APART.encode()
    permission = {"permType": "READWRITE", "key": to_base64(key), "range_end": to_base64(range_end(key))}
    try:
        member.call("auth/role/grant", {"name": "app", "perm": permission})
    except EtcdSettingsError as e:
        raise AssertionError from e

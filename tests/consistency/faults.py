"""
Strike servers and lines, and put them right again.

Each fault comes back when etcd is healthy, so that the ledger can read on. Some compact the history while readers are
away; what they compact, the ledger has read before.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from etcd_settings.keys import range_end
from etcd_settings.testing import EtcdCluster, EtcdServer, Member, Proxy
from etcd_settings.testing.gateway import Gateway, to_base64
from tests.consistency.keys import COMMON
from tests.consistency.ledger import Ledger

__all__ = ["Faults"]


class Faults:
    """
    What can happen to one server or one cluster.

    Args:
        site: The server or cluster.

        lines: The readers' ways to its members.

        ledger: Reads the history before it is compacted.

        quiet: Keeps writers quiet while its context lasts, and comes back when readers know all that was written.

        chance: What happens, and for how long.
    """

    def __init__(
        self,
        site: EtcdServer | EtcdCluster,
        lines: Sequence[Proxy],
        ledger: Ledger,
        quiet: Callable[[], AbstractContextManager[None]],
        chance: random.Random,
    ) -> None:
        self._site, self._lines, self._ledger, self._quiet, self._chance = site, lines, ledger, quiet, chance
        self.count: dict[str, int] = {}
        self._kinds: list[Callable[[], None]] = [
            self.kill,
            self.restart,
            self.pause,
            self.compact,
            self.away_during_compaction,
            self.next_is_a_compacted_deletion,
            self.black_hole,
            self.hang_up,
            self.cut_in_midst,
            self.down_during_compaction,
        ]
        if isinstance(site, EtcdCluster):
            self._kinds += [self.rolling_restart, self.part]

    def strike(self) -> None:
        """Let one of them happen."""
        fault = self._chance.choice(self._kinds)
        self.count[fault.__name__] = self.count.get(fault.__name__, 0) + 1
        fault()

    def gateway(self) -> Gateway:
        """Give a way to a member that is up and has a leader."""
        member = self._site.leader() if isinstance(self._site, EtcdCluster) else self._site
        return member.site.gateway(member.endpoint)

    def kill(self) -> None:
        """A member dies, and comes back."""
        member = self._member()
        member.kill()
        self._wait(1.0)
        self._site.heal()

    def restart(self) -> None:
        """A member restarts in good order, and has forgotten its simple tokens."""
        self._member().restart()
        self._site.heal()

    def pause(self) -> None:
        """A member stands still; its kernel does not."""
        self._member().pause()
        self._wait(3.0)
        self._site.heal()

    def compact(self) -> None:
        """History goes while readers watch."""
        self._compact(self._ledger.catch_up(self.gateway()))

    def away_during_compaction(self) -> None:
        """Readers lose their lines, and what they missed is compacted: exactly up to a deletion, as often as not."""
        for line in self._lines:
            line.cut()
        self._wait(1.0)
        self._compact(self._somewhere(self._ledger.catch_up(self.gateway())))
        self._heal_lines()

    def next_is_a_compacted_deletion(self) -> None:
        """All is known; the very next revision is a deletion, and compacted before readers are back (etcd #19179)."""
        with self._quiet():
            for line in self._lines:
                line.cut()
            singles = {"key": to_base64(COMMON + "k"), "range_end": to_base64(range_end(f"{COMMON}k".encode()))}
            deletion = int(self.gateway().call("kv/deleterange", singles)["header"]["revision"])
            self._ledger.catch_up(self.gateway())
            self._compact(deletion, physical=True)
        self._heal_lines()

    def down_during_compaction(self) -> None:
        """Lines swallow everything, history is compacted, and then the member that readers were on restarts."""
        for line in self._lines:
            line.swallow()
        self._wait(1.0)
        self._compact(self._somewhere(self._ledger.catch_up(self.gateway())))
        self._member().restart()
        self._site.heal()
        self._heal_lines()

    def black_hole(self) -> None:
        """A line swallows everything, for shorter or longer than it takes to notice."""
        lines = self._lines if self._chance.random() < 0.5 else [self._chance.choice(self._lines)]
        for line in lines:
            line.swallow()
        self._wait(self._chance.choice([1.0, 3.0, 12.0]))
        self._heal_lines()

    def hang_up(self) -> None:
        """Every line is reset, a few times in a row."""
        for _ in range(self._chance.randint(1, 5)):
            for line in self._lines:
                line.drop()
            self._wait(0.2)

    def cut_in_midst(self) -> None:
        """Lines end after so many bytes, wherever that is in a message."""
        for line in self._lines:
            line.cut_after(self._chance.randint(1, 20_000))
        self._wait(2.0)
        self._heal_lines()

    def rolling_restart(self) -> None:
        """Every member restarts, one after the other."""
        assert isinstance(self._site, EtcdCluster)
        for member in self._chance.sample(self._site.members, len(self._site.members)):
            member.restart()
        self._site.heal()

    def part(self) -> None:
        """A member is parted from the others, and readers still reach it."""
        assert isinstance(self._site, EtcdCluster)
        with self._site.partition(self._chance.randrange(len(self._site.members))):
            self._wait(5.0)
        self._site.heal()

    def _member(self) -> Member:
        return self._chance.choice(self._site.members) if isinstance(self._site, EtcdCluster) else self._site

    def _somewhere(self, until: int) -> int:
        deletion = self._ledger.last_deletion()
        return deletion if deletion is not None and self._chance.random() < 0.5 else until

    def _compact(self, revision: int, *, physical: bool | None = None) -> None:
        body = {"revision": revision, "physical": self._chance.random() < 0.7 if physical is None else physical}
        try:
            self.gateway().call("kv/compaction", body)
        except Exception as e:  # an earlier one went further
            if "compacted" not in str(e):
                raise

    def _heal_lines(self) -> None:
        for line in self._lines:
            line.heal()
            if self._chance.random() < 0.5:
                line.drop()

    def _wait(self, longest: float) -> None:
        time.sleep(self._chance.uniform(0, longest))

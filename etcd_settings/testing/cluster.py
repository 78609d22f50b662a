"""
Give a test a real cluster, whose members it can kill, freeze, part from the others, and restore from a backup.

The members talk to each other through one proxy each, because only what goes through us can be cut without root's
privileges. A proxy sees who is calling: etcd's members name themselves in a header of the requests that carry raft's
messages, ``X-Server-From`` (etcd's server/etcdserver/api/rafthttp, the same in 3.4 and 3.5).

It knows members and proxies; it knows nothing of sources and settings.

Invariant: nothing is left behind, neither a process nor a folder, however the program ends.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
import weakref
from collections.abc import Generator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from etcd_settings.errors import EtcdSettingsError
from etcd_settings.testing.binaries import Binaries
from etcd_settings.testing.member import POLL, Member, StartError
from etcd_settings.testing.ports import HOST
from etcd_settings.testing.proxy import Proxy
from etcd_settings.testing.server import make_site, remove_folder
from etcd_settings.testing.site import PREFIX, ROOT, Ports, Site

__all__ = ["EtcdCluster"]

ELECTION = 20.0  # seconds: many times the election timeout of a cluster, which is one


class EtcdCluster:
    """
    Real etcds on the loopback interface that make one cluster, gone with the test. Not thread-safe.

    Use it in a ``with``, or call `start` and, at last, `close`. What can be done to `EtcdServer` can be done to each of
    its `members`.

    Args:
        size: How many members.

        tls: As `EtcdServer` has it; members speak plain text among themselves.

        auth: As `EtcdServer` has it.

        prefix: The prefix that `url` names.

        args: More flags for every member.

        binaries: Which etcd; by default `find_binaries` decides.

        start_timeout: Seconds until every member must be healthy.
    """

    def __init__(
        self,
        size: int = 3,
        *,
        tls: bool | Literal["mutual"] = False,
        auth: bool = False,
        prefix: str = PREFIX,
        args: tuple[str, ...] = (),
        binaries: Binaries | None = None,
        start_timeout: float = 60.0,
    ) -> None:
        self.site = make_site(tls=tls, auth=auth, prefix=prefix, args=args, binaries=binaries)
        self._forget = weakref.finalize(self, remove_folder, self.site.folder, os.getpid())
        self._links: dict[str, Proxy] = {}
        self._ids: dict[str, int] = {}
        self._parted: set[str] = set()
        self.members: tuple[Member, ...] = tuple(
            _LinkedMember(self.site, f"etcd{i}", self._links, start_timeout=start_timeout) for i in range(size)
        )

    def __repr__(self) -> str:
        return f"<EtcdCluster of {', '.join(f'{member.name}: {member.state}' for member in self.members)}>"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Where clients find the members, as ``host:port``."""
        return tuple(member.endpoint for member in self.members)

    @property
    def url(self) -> str:
        """The URL of the application's settings, with every member in it."""
        return self.site.url(self.endpoints)

    @property
    def root_url(self) -> str:
        """The same for the user who may do everything; equal to `url` without authentication."""
        return self.site.url(self.endpoints, ROOT)

    @property
    def prefix(self) -> str:
        """The prefix of the application's settings, with its trailing slash."""
        return self.site.prefix

    def start(self) -> None:
        """
        Start the members that are down, and come back when all are healthy.

        Raises:
            StartError: One did not come up.
        """
        for member in self.members:
            if member.name not in self._links:
                link = self._links[member.name] = Proxy(_NOWHERE, identify=_sender)
                link.start()
        for member in self.members:
            member.launch()
        for member in self.members:
            member.wait_ready()
        self._ids = {member.name: int(member.status()["header"]["member_id"]) for member in self.members}
        if self.site.auth:
            self.site.secure(self.members[0].endpoint)

    def stop(self) -> None:
        """End every member as an administrator would. Addresses and data stay, for the next `start`."""
        for member in self.members:
            member.stop()

    def close(self) -> None:
        """End it for good, and remove its folder. Closing twice is harmless, and so is closing in a forked child."""
        for member in self.members:
            member.close()
        for link in self._links.values():
            link.close()
        self._links.clear()
        self._forget()

    def heal(self) -> None:
        """Undo whatever was done to the members, and come back when all are healthy."""
        self._parted.clear()
        for link in self._links.values():
            link.heal()
        for member in self.members:
            member.resume()
        self.start()

    def leader(self, *, timeout: float = ELECTION) -> Member:
        """
        Give the member that leads, once most of them say so: never one that is down, paused or parted.

        Raises:
            StartError: There was none for *timeout* seconds.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            able = [member for member in self.members if member.state == "up" and member.name not in self._parted]
            votes = [_leader_seen_by(member) for member in able]
            for member in able:
                if votes.count(self._ids[member.name]) > len(self.members) // 2:
                    return member
            time.sleep(POLL)
        raise StartError("the cluster", f"it had no leader for {timeout:g} seconds", self.members[0].log_tail())

    def put(self, key: str | bytes, value: str | bytes) -> int:
        """Write one key, given as a whole, by another way than our own client. Gives the revision."""
        return self.leader().put(key, value)

    def delete_prefix(self, prefix: str | bytes | None = None) -> int:
        """Delete the keys under a prefix, by default the application's. Gives their number."""
        return self.leader().delete_prefix(prefix)

    @contextlib.contextmanager
    def partition(self, index: int) -> Generator[Member]:
        """
        Part one member from the others while the block runs; clients still reach it.

        Both sides lose their connections and cannot make new ones. The others elect a leader if they lost theirs.
        Nested, it parts each of several members from all others.
        """
        lonely = self.members[index]
        self._parted.add(lonely.name)
        self._part()
        try:
            yield lonely
        finally:
            self._parted.discard(lonely.name)
            self._part()

    def backup(self, path: str | os.PathLike[str]) -> Path:
        """Save all that the cluster holds to a file (`etcdctl snapshot save`)."""
        file = Path(path).absolute()
        self.leader().etcdctl("snapshot", "save", file)
        return file

    def restore(self, path: str | os.PathLike[str]) -> None:
        """Stop every member, give them the data of a backup instead of their own, and start them at their addresses."""
        self.stop()
        for member in self.members:
            member.load(Path(path).absolute())
        self.start()

    def _part(self) -> None:
        """Tell each link whom not to let through: everybody, for a parted member; the parted, for the others."""
        ids = {name: f"{number:x}" for name, number in self._ids.items()}  # as they stand in the header
        for name, link in self._links.items():
            others = ids.keys() - {name}
            link.block({ids[other] for other in (others if name in self._parted else others & self._parted)})


class _LinkedMember(Member):
    """A member that the others reach through its proxy."""

    def __init__(self, site: Site, name: str, links: Mapping[str, Proxy], *, start_timeout: float) -> None:
        super().__init__(site, name=name, start_timeout=start_timeout)
        self._links = links

    def _peers(self, ports: Ports) -> Mapping[str, str]:
        self._links[self.name].target = f"{HOST}:{ports.peer}"
        return {name: f"http://{link.endpoint}" for name, link in self._links.items()}


_NOWHERE = f"{HOST}:1"  # refuses, until the member has chosen its port
_SENDER = re.compile(rb"^X-Server-From: ([0-9a-f]+)\r$", re.MULTILINE)


def _sender(head: bytes) -> str | None:
    match = _SENDER.search(head)
    return None if match is None else match[1].decode("ascii")


def _leader_seen_by(member: Member) -> int | None:
    try:
        return int(member.status().get("leader", "0"))
    except (EtcdSettingsError, OSError):
        return None

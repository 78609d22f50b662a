"""
Ask a cluster how it is: members, alarms, and what each endpoint says of itself.

Whoever asks an endpoint wants the truth of that one, so these calls do not move on to another. A member tells its
status without a leader too, and to anybody, so it is asked without a token first: fetching one takes a quorum.

It knows etcd's services ``Cluster`` and ``Maintenance``. It knows nothing of keys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from etcd_settings.connection import Connection
from etcd_settings.errors import AuthenticationError, EtcdSettingsError, PermissionDeniedError
from etcd_settings.etcd.calls import Calls, Purpose
from etcd_settings.etcd.messages import message
from etcd_settings.etcd.requests import span

__all__ = ["Alarm", "Member", "MemberStatus", "alarms", "health", "members", "status"]

T = TypeVar("T")

_KINDS = {0: "NONE", 1: "NOSPACE", 2: "CORRUPT"}


@dataclass(frozen=True, slots=True)
class Member:
    """
    A member of the cluster.

    Args:
        id: Its number, which `etcdctl` prints in hexadecimal.

        name: Its name; ``""`` until it has started for the first time.

        client_urls: Where clients find it.

        peer_urls: Where other members find it.

        is_learner: Whether it only learns as yet, and has no vote.
    """

    id: int
    name: str
    client_urls: tuple[str, ...]
    peer_urls: tuple[str, ...]
    is_learner: bool


@dataclass(frozen=True, slots=True)
class Alarm:
    """
    Something that keeps a member from working as it should, until somebody mends and disarms it.

    Args:
        member_id: Which member.

        kind: ``"NOSPACE"`` (no more writes), ``"CORRUPT"``, or the number of one that is not known here.
    """

    member_id: int
    kind: str


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """
    What one endpoint says of itself. If it did not answer, *error* says why, and all else is None or empty.

    Args:
        version: Its etcd's version, such as ``"3.5.9"``.

        member_id: Which member answers there.

        leader: The leader's id as it knows it; None if it knows none.

        revision: The revision that it has seen.

        raft_term: The term of the last election.

        db_size: Bytes of its database on disk.

        db_size_in_use: Bytes thereof that hold something.

        is_learner: Whether it only learns as yet, and has no vote.

        errors: What is wrong in its own eyes, such as a missing leader.

        error: Why it did not answer; None if it did.
    """

    version: str | None = None
    member_id: int | None = None
    leader: int | None = None
    revision: int | None = None
    raft_term: int | None = None
    db_size: int | None = None
    db_size_in_use: int | None = None
    is_learner: bool | None = None
    errors: tuple[str, ...] = ()
    error: EtcdSettingsError | None = None

    @property
    def is_leader(self) -> bool:
        """Whether it leads the cluster."""
        return self.leader is not None and self.leader == self.member_id


def members(calls: Calls, timeout: float | None) -> tuple[Member, ...]:
    """Give the members of the cluster, by name."""
    answer = _ask(calls, "Cluster/MemberList", timeout, "asking for the members", linearizable=True)
    found = [
        Member(each.ID, each.name, tuple(each.clientURLs), tuple(each.peerURLs), each.isLearner)
        for each in answer.members
    ]
    return tuple(sorted(found, key=lambda member: (member.name, member.id)))


def alarms(calls: Calls, timeout: float | None) -> tuple[Alarm, ...]:
    """Give all alarms that are raised."""
    answer = _ask(calls, "Maintenance/Alarm", timeout, "asking for alarms")
    return tuple(Alarm(each.memberID, _KINDS.get(each.alarm, str(each.alarm))) for each in answer.alarms)


def status(connection: Connection, endpoints: Sequence[str], timeout: float | None) -> dict[str, MemberStatus]:
    """Ask each endpoint for its status."""
    return _each(connection, endpoints, lambda one: _status(one, timeout))


def health(connection: Connection, endpoints: Sequence[str], timeout: float | None) -> dict[str, bool]:
    """Ask each endpoint whether it serves: a read that takes a quorum, and no alarm."""
    return _each(connection, endpoints, lambda one: _health(one, timeout))


def _status(connection: Connection, timeout: float | None) -> MemberStatus:
    anonymous = replace(connection, user=None, password=None, password_file=None)
    try:
        try:
            answer = _ask_status(anonymous, timeout)
        except (AuthenticationError, PermissionDeniedError):
            answer = _ask_status(connection, timeout)
    except EtcdSettingsError as e:
        return MemberStatus(error=e)
    return MemberStatus(
        version=answer.version,
        member_id=answer.header.member_id,
        leader=answer.leader or None,
        revision=answer.header.revision,
        raft_term=answer.raftTerm,
        db_size=answer.dbSize,
        db_size_in_use=answer.dbSizeInUse,
        is_learner=answer.isLearner,
        errors=tuple(answer.errors),
    )


def _ask_status(connection: Connection, timeout: float | None) -> Any:
    with closing(Calls(connection)) as calls:
        return _ask(calls, "Maintenance/Status", timeout, "asking for the status")


def _health(connection: Connection, timeout: float | None) -> bool:
    with closing(Calls(connection)) as calls:
        try:
            request, purpose = message("RangeRequest")(**span("health", prefix=False)), Purpose("read", b"health")
            calls.call("KV/Range", request, "RangeResponse", purpose=purpose, deadline=calls.deadline(timeout))
        except PermissionDeniedError:
            pass  # who says that has asked the others
        except AuthenticationError:
            raise  # it tells of the caller, and not of the member
        except EtcdSettingsError:
            return False
        try:
            return not alarms(calls, timeout)
        except EtcdSettingsError:
            return False


def _ask(calls: Calls, path: str, timeout: float | None, action: str, **fields: Any) -> Any:
    name = path.rpartition("/")[2]
    request = message(f"{name}Request")(**fields)
    purpose = Purpose("read", b"", action=action)
    return calls.call(path, request, f"{name}Response", purpose=purpose, deadline=calls.deadline(timeout))


def _each(connection: Connection, endpoints: Sequence[str], ask: Callable[[Connection], T]) -> dict[str, T]:
    """Ask all at once, since one that does not answer takes the whole timeout."""
    from concurrent.futures import ThreadPoolExecutor  # not for those who only read settings

    alone = [replace(connection, endpoints=(endpoint,), srv=None) for endpoint in endpoints]
    with ThreadPoolExecutor(len(alone), thread_name_prefix="etcd-settings-ask") as pool:
        return dict(zip(endpoints, pool.map(ask, alone), strict=True))

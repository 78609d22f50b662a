"""
Carry out a plan in one transaction.

Etcd takes 128 operations at one level of a transaction. What is beyond goes into inner transactions, which belong to
the outer one.

Invariant: all of a plan is carried out, or nothing. It is never split here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from etcd_settings.errors import ConcurrentWriteError, TooManyChangesError
from etcd_settings.etcd import Client, Delete, Get, Put, Txn
from etcd_settings.etcd.requests import Request
from etcd_settings.publish.guard import MAX_OPERATIONS, guard, written_since
from etcd_settings.publish.planning import Plan
from etcd_settings.publish.splitting import MAX_CHANGES

__all__ = ["apply"]

_GROUP = 64
"""Operations in each inner transaction, and inner ones at most: etcd takes as many in each as they leave of the 128."""


def apply(plan: Plan, client: Client, *, after: int | None = None, timeout: float | None = None) -> int:
    """
    Carry out *plan*, whole or not at all; an empty one asks etcd for nothing.

    Args:
        plan: What to do.

        client: A client of the cluster that the plan's snapshot came from.

        after: The revision of the part that was carried out just before, for parts of a plan (see
            `etcd_settings.publish.split`); None for the first of them, and for a whole plan.

        timeout: Seconds for the whole call; None takes the connection's.

    Returns:
        The revision that did it; the plan's own if there was nothing to do.

    Raises:
        ConcurrentWriteError: Somebody else wrote since the plan's revision, or *after*. Nothing was written.
        TooManyChangesError: One transaction cannot carry it. Nothing was written.
        MessageTooLargeError: It is larger than etcd's ``--max-request-bytes`` (1.5 MiB). Nothing was written.
        EtcdSettingsError: Etcd did not answer, or refused it.
    """
    if after is not None:
        plan = replace(plan, revision=after)
    requests: list[Request] = [Put(edit.key, edit.new or b"") for edit in plan.puts]
    requests += [Delete(edit.key) for edit in plan.deletes]
    if not requests:
        return plan.revision
    if len(requests) > MAX_CHANGES:
        raise TooManyChangesError(len(requests), MAX_CHANGES)
    done = client.txn(
        compare=guard(plan), success=_nested(requests), failure=[Get(plan.prefix, prefix=True)], timeout=timeout
    )
    if not done.succeeded:
        found = done.responses[0]
        assert isinstance(found, tuple)
        raise ConcurrentWriteError(written_since(plan, found), done.revision)
    return done.revision


def _nested(requests: Sequence[Request]) -> Sequence[Request]:
    if len(requests) <= MAX_OPERATIONS:
        return requests
    starts = range(0, len(requests), _GROUP)
    return [Txn(success=tuple(requests[start : start + _GROUP])) for start in starts]

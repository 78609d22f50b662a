"""
Carry out a plan in one transaction.

Invariant: all of a plan is carried out, or nothing. It is never split here.
"""

from __future__ import annotations

from dataclasses import replace

from etcd_settings.errors import ConcurrentWriteError
from etcd_settings.etcd import Client, Delete, Get, Put
from etcd_settings.etcd.requests import Request, nest
from etcd_settings.publish.guard import guard, written_since
from etcd_settings.publish.planning import Plan

__all__ = ["apply"]


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
    done = client.txn(
        compare=guard(plan), success=nest(requests), failure=[Get(plan.prefix, prefix=True)], timeout=timeout
    )
    if not done.succeeded:
        found = done.responses[0]
        assert isinstance(found, tuple)
        raise ConcurrentWriteError(written_since(plan, found), done.revision)
    return done.revision

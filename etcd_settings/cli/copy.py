"""Copy settings from one place to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from etcd_settings.cli.changing import How, carry_out, changing, single_prefix
from etcd_settings.cli.exits import Code, Stop
from etcd_settings.cli.places import find_place, open_client
from etcd_settings.cli.verbs import Asked, verb
from etcd_settings.errors import ConflictError, EtcdSettingsError
from etcd_settings.tree import build

if TYPE_CHECKING:
    from etcd_settings.publish import Plan
    from etcd_settings.snapshot import Snapshot

__all__ = ["command"]


@verb(
    "json",
    "secrets",
    examples="""
    etcd-settings copy etcd://localhost/config/app/ etcd://localhost/config/app-copy/
    etcd-settings copy etcd://staging:2379/config/app/ etcd://production:2379/config/app/ --dry-run
    etcd-settings copy etcd://staging:2379/config/app/ etcd://production:2379/config/app/ --prune --yes
    """,
)
@click.argument("src")
@click.argument("dst")
@click.option("--prune", is_flag=True, help="Delete in DST what SRC lacks.")
@changing
def command(asked: Asked, src: str, dst: str, prune: bool, how: How) -> None:
    """
    Copy all keys under the URL SRC to the URL DST, perhaps of another cluster.

    Values go byte for byte, all at one revision of SRC, and in one transaction, which is refused if somebody else
    writes to DST meanwhile. On a terminal it shows the changes and asks. An empty SRC is an error, and so are two
    prefixes of one cluster of which one is within the other.

    With --json: {"applied", "revision", "changes"}; revision is that of DST, the new one if anything was written, and
    each change is {"kind", "path", "old", "new"}; kind is "create", "put" or "delete".
    """
    mask = asked.mask()
    source, target = find_place(src), find_place(dst)
    source_prefix, target_prefix = single_prefix(source), single_prefix(target)
    with open_client(source) as reader, open_client(target) as writer:
        from etcd_settings.publish import plan_entries

        there = reader.get_prefix(source_prefix)
        if not there:
            raise Stop(Code.NO, f"Nothing is under {source.title} at revision {there.revision}, so nothing was copied.")
        now = writer.get_prefix(target_prefix)
        if there.cluster_id == now.cluster_id and _are_nested(source_prefix, target_prefix):
            raise Stop(
                Code.UNUSABLE,
                f"{source.title} and {target.title} are one within the other, in one cluster.\n"
                f"Name prefixes of which none begins with the other.",
            )
        plan = plan_entries(now, {path: entry.value for path, entry in there.items()}, prune=prune)
        if not prune:
            _refuse_contradictions(plan, now)
        carry_out(plan, writer, target, asked, how, mask=mask)


def _are_nested(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _refuse_contradictions(plan: Plan, now: Snapshot) -> None:
    """Refuse keys that contradict what stays in DST: no program could read its settings any more."""
    try:
        build(plan.outcome(now))
    except EtcdSettingsError as e:  # that a document does not parse is no business of a copy
        conflicts = [problem for problem in e.problems if isinstance(problem, ConflictError)]
    else:
        return
    if conflicts:
        raise Stop(
            Code.NO,
            f"After this copy nobody could read DST. {conflicts[0]}\nNothing was written. Perhaps --prune helps.",
        )

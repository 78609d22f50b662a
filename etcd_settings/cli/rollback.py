"""Bring all settings back to what they were."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from etcd_settings.cli.changing import How, carry_out, changing, single_prefix
from etcd_settings.cli.exits import Code, Stop
from etcd_settings.cli.places import open_client
from etcd_settings.cli.verbs import Asked, layer_option, verb
from etcd_settings.errors import CompactedError

if TYPE_CHECKING:
    from etcd_settings.etcd import Client
    from etcd_settings.snapshot import Snapshot

__all__ = ["command"]


@verb(
    "where",
    "json",
    "secrets",
    examples="""
    etcd-settings history database/host
    etcd-settings rollback --to-revision 1234 --dry-run
    etcd-settings rollback --to-revision 1234 --yes
    """,
)
@click.option(
    "--to-revision", metavar="N", type=click.IntRange(min=1), required=True, help="The revision to bring back."
)
@layer_option
@changing
def command(asked: Asked, to_revision: int, layer: str | None, how: How) -> None:
    """
    Bring all keys under the prefix back to what they were at revision N.

    Byte for byte, in one transaction: what was changed or deleted since is written anew, and what is new is deleted. It
    is refused if somebody else writes meanwhile. On a terminal it shows the changes and asks. How far back it can go is
    up to etcd, which forgets what it compacts.

    With --json: {"applied", "revision", "changes"}; revision is the new one, or the one that was read if nothing was
    written, and each change is {"kind", "path", "old", "new"}; kind is "create", "put" or "delete".
    """
    mask, place = asked.mask(), asked.place()
    prefix = single_prefix(place, layer)
    with open_client(place) as client:
        from etcd_settings.publish import plan_entries

        now = client.get_prefix(prefix)
        if to_revision > now.revision:
            raise Stop(
                Code.UNUSABLE,
                f"Revision {to_revision} has not been yet: {place.title} is at revision {now.revision}.\n"
                f"Name an earlier one; etcd-settings history shows those of a key.",
            )
        then = _read(client, prefix, to_revision)
        values = {path: entry.value for path, entry in then.items()}
        carry_out(plan_entries(now, values, prune=True), client, place, asked, how, mask=mask)


def _read(client: Client, prefix: str, revision: int) -> Snapshot:
    try:
        return client.get_prefix(prefix, revision=revision)
    except CompactedError:
        from etcd_settings.etcd.history import oldest_revision

        oldest = oldest_revision(client, prefix)
    raise Stop(
        Code.NO,
        f"Revision {revision} is gone: etcd has compacted its history. Nothing was written.\n"
        f"The oldest revision that can be brought back is {oldest}.",
    )

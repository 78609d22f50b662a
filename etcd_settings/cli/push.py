"""Write a file of settings into etcd, whole or not at all."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from etcd_settings.cli.changing import have_confirmed
from etcd_settings.cli.check import judge_outcome, write_problems
from etcd_settings.cli.differences import differences, write_differences
from etcd_settings.cli.exits import Code, Stop
from etcd_settings.cli.files import read_file
from etcd_settings.cli.output import write, write_json
from etcd_settings.cli.places import open_client
from etcd_settings.cli.targets import import_type
from etcd_settings.cli.verbs import Asked, layer_option, verb

if TYPE_CHECKING:
    from etcd_settings.options import Options
    from etcd_settings.publish import Plan

__all__ = ["command"]


@verb(
    "where",
    "json",
    "secrets",
    examples="""
    etcd-settings push settings.toml --dry-run
    etcd-settings push settings.toml --validate shop.settings:Settings
    etcd-settings push settings.yaml --prune --yes --json
    """,
)
@click.argument("file")
@click.option("--prune", is_flag=True, help="Delete what the file lacks. It stays otherwise.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask. Only on a terminal anybody is asked.")
@click.option("--validate", metavar="MODULE:CLASS", help="Write only if this class accepts what etcd would hold then.")
@layer_option
def command(
    asked: Asked, file: str, *, prune: bool, dry_run: bool, yes: bool, validate: str | None, layer: str | None
) -> None:
    """
    Write the settings in FILE (TOML, JSON, YAML) into etcd, in one transaction.

    It shows what changes, and what is equal already stays as it is, byte for byte. If somebody else writes one of these
    keys meanwhile, nothing is written, and the exit code is 5. Past 128 keys a deletion by somebody else may go
    unnoticed, which is told then; past 4,096 changes nothing is written.

    With --json: {"applied", "revision", "changes", "problems"}; revision is the new one, or the one that was read if
    nothing was written. Each of changes is {"kind", "path", "old", "new"}; problems are those of `check`.
    """
    from etcd_settings.publish import apply, plan  # 45 ms of HTTP/2 and protobuf

    desired, mask = read_file(file), asked.mask()
    target = None if validate is None else import_type(validate)
    place = asked.place()
    with open_client(place) as client:
        snapshot = client.read(place.prefixes, timeout=place.timeout)
        planned = plan(snapshot, desired, prune=prune, layer=layer)
        problems = [] if target is None else judge_outcome(target, place, planned.outcome(snapshot))
        changes = differences(planned, mask)
        if not asked.as_json:
            write_differences(changes)
        if problems and not asked.as_json:
            write_problems(problems, f"what {place.title} would hold", str(validate))
        acts = bool(changes) and not dry_run and not problems
        if acts:
            have_confirmed(planned, f"Write this to {place.title}?", yes=yes)
        revision = apply(planned, client, timeout=place.timeout) if acts else planned.revision
    if asked.as_json:
        shown = [asdict(change) for change in changes]
        write_json({"applied": acts, "revision": revision, "changes": shown, "problems": problems})
    elif not problems:
        write(_summary(planned, place, revision, applied=acts))
    if problems:
        raise Stop(Code.NO, "Nothing was written.")


def _summary(planned: Plan, place: Options, revision: int, *, applied: bool) -> str:
    if not planned.edits:
        return f"{place.title} holds all of it already, at revision {revision}."
    written, deleted = len(planned.puts), len(planned.deletes)
    if applied:
        return f"Wrote {written} and deleted {deleted} at revision {revision}."
    return f"Nothing was written: {written} to write, {deleted} to delete at revision {revision}."

"""Write a file of settings into etcd, whole or not at all."""

from __future__ import annotations

from typing import Any

import click

from etcd_settings.cli.changing import How, carry_out, changing
from etcd_settings.cli.check import judge_outcome, write_problems
from etcd_settings.cli.files import read_file
from etcd_settings.cli.places import open_client
from etcd_settings.cli.targets import import_type
from etcd_settings.cli.verbs import Asked, layer_option, verb

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
@click.option("--validate", metavar="MODULE:CLASS", help="Write only if this class accepts what etcd would hold then.")
@changing
@layer_option
def command(asked: Asked, file: str, *, prune: bool, validate: str | None, how: How, layer: str | None) -> None:
    """
    Write the settings in FILE (TOML, JSON, YAML) into etcd, in one transaction.

    It shows what changes, and what is equal already stays as it is, byte for byte. If somebody else writes one of these
    keys meanwhile, nothing is written, and the exit code is 5. Past 128 keys a deletion by somebody else may go
    unnoticed, which is told then; past 4,096 changes nothing is written, unless with --batch.

    With --json: {"applied", "revision", "changes", "problems"}; revision is the new one, or the one that was read if
    nothing was written. Each of changes is {"kind", "path", "old", "new"}; problems are those of `check`.
    """
    from etcd_settings.publish import plan  # 45 ms of HTTP/2 and protobuf

    desired, mask = read_file(file), asked.mask()
    target = None if validate is None else import_type(validate)
    place = asked.place()
    with open_client(place) as client:
        snapshot = client.read(place.prefixes, timeout=place.timeout)
        planned = plan(snapshot, desired, prune=prune, layer=layer)

        def judge() -> list[dict[str, Any]]:
            problems = [] if target is None else judge_outcome(target, place, planned.outcome(snapshot))
            if problems and not asked.as_json:
                write_problems(problems, f"what {place.title} would hold", str(validate))
            return problems

        carry_out(planned, client, place, asked, how, mask=mask, judge=judge)

"""Write a file of settings into etcd, whole or not at all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from etcd_settings.cli.changing import How, carry_out, changing
from etcd_settings.cli.check import judge_outcome, write_problems
from etcd_settings.cli.exits import Code, Stop
from etcd_settings.cli.files import file_argument, read_file
from etcd_settings.cli.output import read_or_not
from etcd_settings.cli.places import open_client
from etcd_settings.cli.targets import import_type
from etcd_settings.cli.verbs import Asked, layer_option, verb

if TYPE_CHECKING:
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
    sops decrypt settings.yaml | etcd-settings push - --format yaml
    """,
)
@file_argument
@click.option("--prune", is_flag=True, help="Delete what the file lacks. It stays otherwise.")
@click.option("--validate", metavar="MODULE:CLASS", help="Write only if this class accepts what etcd would hold then.")
@changing
@layer_option
def command(
    asked: Asked, file: str, form: str | None, *, prune: bool, validate: str | None, how: How, layer: str | None
) -> None:
    """
    Write the settings in FILE (TOML, JSON, YAML; - is stdin) into etcd, in one transaction.

    It shows what changes, and what is equal already stays as it is, byte for byte. Etcd holds texts: numbers, booleans,
    null and lists become JSON. If somebody else writes one of these keys meanwhile, nothing is written, and the exit
    code is 5. Past 128 keys a deletion by somebody else may go unnoticed, which is told then; past 4,096 changes
    nothing is written, unless with --batch.

    Settings are deleted with --prune alone: without it a file in which a single value stands for a table of etcd is
    refused. With --validate, a class judges what etcd would hold, as `check` has it, and its secrets are masked, unless
    --model names another.

    With --json: {"applied", "revision", "changes", "problems"}; revision is the new one, or the one that was read if
    nothing was written. Each of changes is {"kind", "path", "old", "new"}; problems are those of `check`.
    """
    from etcd_settings.publish import plan  # 45 ms of HTTP/2 and protobuf

    desired = read_file(file, form)
    mask = replace(asked, model=asked.model or validate).mask()
    target = None if validate is None else import_type(validate)
    if target is not None:
        _warn_of_nulls(desired, target, str(validate))
    place = asked.place()
    with open_client(place) as client:
        snapshot = client.read(place.prefixes)
        planned = plan(snapshot, desired, prune=prune, layer=layer)
        if prune and not desired:
            _refuse_nothing(file, planned)
        elif not prune:
            _refuse_loss(planned)

        def judge() -> list[dict[str, Any]]:
            problems = [] if target is None else judge_outcome(target, place, planned.outcome(snapshot))
            if problems and not asked.as_json:
                with read_or_not():
                    write_problems(problems, f"what {place.title} would hold", str(validate))
            return problems

        carry_out(planned, client, place, asked, how, mask=mask, judge=judge)


def _warn_of_nulls(desired: dict[str, Any], target: Any, name: str) -> None:
    from etcd_settings.fitting.descent import nulls_as_text

    paths = nulls_as_text(desired, target)
    if paths:
        more = f" and {len(paths) - 1} others" if paths[1:] else ""
        click.echo(
            f"{paths[0]!r}{more} is null in the file. Etcd will hold the text null, which {name} takes as a text.",
            err=True,
        )


def _refuse_nothing(file: str, planned: Plan) -> None:
    """Refuse to delete everything because of a file that is probably empty by mistake."""
    if planned.deletes:
        raise Stop(
            Code.NO,
            f"{file!r} holds nothing, and with --prune all {len(planned.deletes)} keys would go. Nothing was written.\n"
            f"If that is meant, say `etcdctl del --prefix {planned.prefix}`.",
        )


def _refuse_loss(planned: Plan) -> None:
    """Refuse to put a single value where a branch is: mostly somebody took all lines out of a table."""
    if planned.replaced:
        path, *others = planned.replaced
        more = f" and {len(others)} others" if others else ""
        raise Stop(
            Code.NO,
            f"{path!r}{more} is a single value in the file, and a table in etcd. Nothing was written.\n"
            "Say --prune if what is in the table is to go, or take the name out of the file.",
        )

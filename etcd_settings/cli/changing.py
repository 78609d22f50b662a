"""
Show what a plan changes, have it confirmed, and carry it out: for verbs that write keys byte for byte.

Whoever sits at a terminal is asked first; a program has asked by calling. A plan without changes asks nobody, and
writes nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, TypeVar

import click

from etcd_settings.cli.differences import differences, write_differences
from etcd_settings.cli.exits import Code, Stop
from etcd_settings.cli.output import write, write_json
from etcd_settings.cli.verbs import Asked, Mask
from etcd_settings.options import Options

if TYPE_CHECKING:
    from etcd_settings.etcd import Client
    from etcd_settings.publish import Plan

__all__ = ["carry_out", "changing", "have_confirmed", "single_prefix"]

Function = TypeVar("Function", bound=Callable[..., None])


def changing(function: Function) -> Function:
    """Give a verb the options ``--dry-run`` and ``--yes``."""
    function = click.option("--yes", is_flag=True, help="Do not ask. Without a terminal nobody is asked anyway.")(
        function
    )
    return click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")(function)


def single_prefix(place: Options) -> str:
    """
    Give the one prefix that a place stands for.

    Raises:
        Stop: It has several layers.
    """
    if len(place.layers) == 1:
        return place.prefix + place.layers[0]
    example = place.prefix + place.layers[-1]
    raise Stop(
        Code.UNUSABLE,
        f"{place.title} has {len(place.layers)} layers, and this takes one prefix.\n"
        f"Name the one that you mean in the URL, such as {example}.",
    )


def carry_out(plan: Plan, client: Client, asked: Asked, mask: Mask, *, dry_run: bool, yes: bool) -> None:
    """
    Show *plan*, ask, and apply it, and say at which revision that was done.

    Raises:
        Abort: It was declined.
        EtcdSettingsError: What `etcd_settings.publish.apply` raises.
    """
    from etcd_settings.publish import apply

    changes = differences(plan, mask)
    if not asked.as_json:
        write_differences(changes)
    summary = f"{len(plan.puts)} to write, {len(plan.deletes)} to delete under {plan.prefix!r}"
    acts = bool(changes) and not dry_run
    if acts:
        have_confirmed(plan, f"{summary}. Go on?", yes=yes)
    revision = apply(plan, client) if acts else plan.revision
    if asked.as_json:
        write_json({"applied": acts, "revision": revision, "changes": [asdict(change) for change in changes]})
    elif not changes:
        write(f"Nothing to change under {plan.prefix!r} at revision {revision}.")
    else:
        write(f"{'Done' if acts else 'Nothing was written'} at revision {revision}: {summary}.")


def have_confirmed(plan: Plan, question: str, *, yes: bool) -> None:
    """
    Say what the plan's guard does not see, and ask whoever sits at a terminal, unless *yes* was said already.

    Raises:
        Abort: It was declined.
    """
    from etcd_settings.publish import sees_deletions

    if not sees_deletions(plan):
        click.echo(
            "So many keys cannot be guarded one by one: another's deletion meanwhile would not be seen.", err=True
        )
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        click.confirm(question, abort=True, err=True)

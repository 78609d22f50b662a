"""
Show what a plan changes, have it confirmed, and carry it out: for all verbs that write.

Whoever sits at a terminal is asked first; a program has asked by calling. A plan without changes asks nobody, and
writes nothing.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from etcd_settings.cli.differences import differences, write_differences
from etcd_settings.cli.exits import Code, Stop
from etcd_settings.cli.output import read_or_not, write, write_json
from etcd_settings.cli.verbs import Asked, Mask
from etcd_settings.errors import MessageTooLargeError, TooManyChangesError
from etcd_settings.options import Options

if TYPE_CHECKING:
    from etcd_settings.etcd import Client
    from etcd_settings.publish import Plan

__all__ = ["How", "carry_out", "changing", "have_confirmed", "single_prefix"]


@dataclass(frozen=True, slots=True)
class How:
    """
    How a verb is to write.

    Args:
        dry_run: ``--dry-run``.

        yes: ``--yes``.

        batch: ``--batch``.
    """

    dry_run: bool
    yes: bool
    batch: bool


def changing(function: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options of those that write; its function gets them as one `How`."""

    @click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
    @click.option("--yes", is_flag=True, help="Do not ask. Only on a terminal anybody is asked.")
    @click.option("--batch", is_flag=True, help="Use several transactions if one cannot carry all. It says how many.")
    @functools.wraps(function)
    def run(*args: Any, dry_run: bool, yes: bool, batch: bool, **kwargs: Any) -> None:
        function(*args, how=How(dry_run, yes, batch), **kwargs)

    return run


def single_prefix(place: Options, layer: str | None = None) -> str:
    """
    Give the one prefix that a place stands for, or that of one of its layers.

    Raises:
        Stop: It has several layers and none was named, or it has no such layer.
    """
    if layer is None and len(place.layers) == 1:
        layer = place.layers[0]
    if layer in place.layers:
        return f"{place.prefix}{layer}"
    example = place.prefix + place.layers[-1]
    problem = f"has {len(place.layers)} layers, and this takes one" if layer is None else f"has no layer {layer!r}"
    raise Stop(Code.UNUSABLE, f"{place.title} {problem}.\nName the one that you mean in the URL, such as {example}.")


def carry_out(
    plan: Plan,
    client: Client,
    place: Options,
    asked: Asked,
    how: How,
    *,
    mask: Mask,
    judge: Callable[[], list[dict[str, Any]]] | None = None,
) -> None:
    """
    Show *plan*, ask, apply it, and say at which revision that was done.

    Args:
        plan: What is to change.

        client: Where.

        place: Where, as it was asked for.

        asked: How the verb was asked.

        how: How it is to write.

        mask: What hides secrets.

        judge: Gives the problems that the result would have, and shows them; then nothing is written.

    Raises:
        Abort: It was declined.
        Stop: It was judged to be bad.
        EtcdSettingsError: What `etcd_settings.publish.apply` raises.
    """
    from etcd_settings.etcd.requests import MAX_CHANGES
    from etcd_settings.publish import split

    if len(plan.edits) > MAX_CHANGES and not how.batch:  # here, since a dry run is to tell what the real one would
        raise TooManyChangesError(len(plan.edits), MAX_CHANGES)
    changes = differences(plan, mask)
    if not asked.as_json:
        with read_or_not():
            write_differences(changes)
    problems = None if judge is None else judge()
    parts = split(plan) if how.batch else (plan,)
    acts = bool(changes) and not (how.dry_run or problems)
    if len(parts) > 1:
        click.echo(f"This takes {len(parts)} transactions, of which readers may see some before others.", err=True)
    if acts:
        have_confirmed(parts, f"{_summary(plan)} under {place.title}. Go on?", yes=how.yes)
    revision = _apply(parts, client) if acts else plan.revision
    with read_or_not():
        if asked.as_json:
            told = {"applied": acts, "revision": revision, "changes": [asdict(change) for change in changes]}
            write_json(told if problems is None else {**told, "problems": problems})
        elif not (changes or problems):
            write(f"{place.title} holds all of it already, at revision {revision}.")
        elif acts:
            how_many = f" in {len(parts)} transactions, the last" if len(parts) > 1 else ""
            write(f"Wrote {len(plan.puts)} and deleted {len(plan.deletes)}{how_many} at revision {revision}.")
        elif not problems:
            write(f"Nothing was written at revision {revision}: {_summary(plan)}.")
    if problems:
        raise Stop(Code.NO, "Nothing was written.")


def have_confirmed(parts: Iterable[Plan], question: str, *, yes: bool) -> None:
    """
    Say what the guard of a plan, or of its parts, does not see, and ask whoever sits at a terminal.

    Raises:
        Abort: It was declined.
    """
    from etcd_settings.publish import sees_deletions

    if not all(map(sees_deletions, parts)):
        click.echo(
            "So many keys cannot be guarded one by one: another's deletion meanwhile would not be seen.", err=True
        )
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        click.confirm(question, abort=True, err=True)


def _summary(plan: Plan) -> str:
    return f"{len(plan.puts)} to write, {len(plan.deletes)} to delete"


def _apply(parts: Sequence[Plan], client: Client) -> int:
    """Carry out the parts of a plan, and say of those that were, if not all can be."""
    from etcd_settings.publish import apply, split

    revision, done = parts[0].revision, 0
    try:
        with _progress(parts) as tracked:
            for part in tracked:
                revision = apply(part, client, after=revision if done else None)
                done += 1
    except BaseException as e:
        if done:
            left = f"{done} of {len(parts)} transactions are in etcd, the last at revision {revision}."
            click.echo(f"{left} The same command writes the rest.", err=True)
        elif isinstance(e, MessageTooLargeError) and len(split(parts[0])) > 1:
            raise Stop(Code.UNUSABLE, f"{e}\nOr use several transactions, with --batch.") from e
        raise
    return revision


@contextmanager
def _progress(parts: Sequence[Plan]) -> Generator[Iterable[Plan]]:
    if len(parts) == 1 or not sys.stderr.isatty():
        yield parts
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        yield progress.track(parts, description="Writing")

"""
Make verbs: commands that share their options, their manners and the shape of their help.

A verb names the shared options that it takes, and its function gets them as one `Asked`: where the settings are, how to
show them, what to hide. What is found out only when needed (a place, a class to import) is a method.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import click

from etcd_settings.cli.exits import CODES
from etcd_settings.cli.places import find_place
from etcd_settings.keys import normalize_prefix
from etcd_settings.masking import SECRET_NAMES, Hidden, masked, masked_text
from etcd_settings.options import Options
from etcd_settings.snapshot import Entry
from etcd_settings.spelling import spell

__all__ = ["Asked", "Mask", "Verb", "debugging", "layer_option", "verb"]

_DEBUG = "etcd_settings.debug"

Shared: TypeAlias = Literal["where", "json", "secrets"]


@dataclass(frozen=True, slots=True)
class Asked:
    """
    How a verb was asked. An option that the verb does not take has its default.

    Args:
        url: ``--url``.

        prefix: ``--prefix``.

        as_json: ``--json``.

        reveal: ``--reveal``.

        model: ``--model``.
    """

    url: str | None = None
    prefix: str | None = None
    as_json: bool = False
    reveal: bool = False
    model: str | None = None

    def place(self, *, needs_prefix: bool = True) -> Options:
        """Say where the settings are; see `find_place`."""
        return find_place(self.url, self.prefix, needs_prefix=needs_prefix)

    def target(self) -> Any:
        """
        Import what ``--model`` names; None without it.

        Raises:
            Stop: It cannot be imported, or holds no settings.
        """
        if self.model is None:
            return None
        from etcd_settings.cli.targets import import_type

        return import_type(self.model)

    def mask(self) -> Mask:
        """Give what hides secrets, or with ``--reveal`` hides nothing; raises what `target` raises."""
        target = self.target()
        if target is None or self.reveal:
            return Mask(reveal=self.reveal)
        from etcd_settings.fitting.descent import spot_for

        return Mask(hidden=spot_for(target))


@dataclass(frozen=True, slots=True)
class Mask:
    """
    Hide secrets in all that is shown.

    Args:
        reveal: Hide nothing.

        hidden: What is secret besides what has a secret's name.
    """

    reveal: bool = False
    hidden: Hidden | None = None

    def value(self, value: Any, path: str = "") -> Any:
        """Give a value that stands at *path* in the tree, a whole branch too, as it may be shown."""
        names = [name for name in path.split("/") if name]
        return value if self.reveal else masked(value, names, self.hidden)

    def text(self, path: str, entry: Entry) -> str | bytes:
        """Give what one entry holds, as it may be shown; bytes if it is no text."""
        return spell(entry.value) if self.reveal else masked_text(path, entry, self.hidden)


class Verb(click.Command):
    """
    A command whose help ends with examples and exit codes.

    Args:
        examples: Lines of a shell, with comments between them.
    """

    def __init__(self, *args: Any, examples: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples.strip().splitlines()

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's signature
        """Write examples and exit codes."""
        with formatter.section("Examples"):
            for line in self.examples:
                formatter.write(f"  {line.strip()}\n" if line.strip() else "\n")
        write_codes(formatter)


def write_codes(formatter: click.HelpFormatter) -> None:
    """Write what each exit code means."""
    with formatter.section("Exit codes"):
        formatter.write_dl([(str(int(code)), meaning) for code, meaning in CODES.items()])


def verb(*shared: Shared, examples: str) -> Callable[[Callable[..., None]], Verb]:
    """
    Make a verb of a function that takes an `Asked`, and then its own arguments by name.

    Its options stand before the shared ones; ``--debug`` comes to every verb.

    Args:
        shared: Which of the shared options it takes: ``"where"`` (``--url``, ``--prefix``), ``"json"`` (``--json``),
            ``"secrets"`` (``--reveal``, ``--model``).

        examples: What its help shows.
    """

    def decorate(function: Callable[..., None]) -> Verb:
        @functools.wraps(function)
        def run(**params: Any) -> None:
            common = {name: params.pop(name) for name in Asked.__slots__ if name in params}
            function(Asked(**common), **params)

        made = click.command(name=function.__module__.rpartition(".")[2], cls=Verb, examples=examples)(run)
        made.params += [option for kind in shared for option in _SHARED[kind]()] + [_debug()]
        return made

    return decorate


def debugging(ctx: click.Context) -> bool:
    """Tell whether ``--debug`` was given."""
    return bool(ctx.meta.get(_DEBUG))


def layer_option(function: Callable[..., None]) -> Callable[..., None]:
    """Let a verb that is about one layer take ``--layer``."""

    def normalized(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
        return None if value is None else normalize_prefix(value)

    text = "Which of the URL's layers, if it names several."
    return click.option("--layer", metavar="LAYER", callback=normalized, help=text)(function)


def _where() -> Iterator[click.Option]:
    yield click.Option(
        ["--url"],
        metavar="URL",
        help="Where the settings are, such as etcd://localhost:2379/config/app/. Default: $ETCD_SETTINGS_URL, or else "
        "what etcdctl's own variables say.",
    )
    yield click.Option(
        ["--prefix"], metavar="PREFIX", help="The prefix, where no URL names it: with etcdctl's variables."
    )


def _json() -> Iterator[click.Option]:
    yield click.Option(["--json", "as_json"], is_flag=True, help="Print JSON, for programs.")


def _secrets() -> Iterator[click.Option]:
    names = ", ".join(SECRET_NAMES[:-1])
    yield click.Option(
        ["--reveal"],
        is_flag=True,
        help=f"Show secrets too. They are masked otherwise: all whose name contains {names} or {SECRET_NAMES[-1]}.",
    )
    yield click.Option(
        ["--model"], metavar="MODULE:CLASS", help="A settings class: its SecretStr fields are masked, too."
    )


_SHARED: dict[str, Callable[[], Iterator[click.Option]]] = {"where": _where, "json": _json, "secrets": _secrets}


def _debug() -> click.Option:
    def note(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            ctx.meta[_DEBUG] = True

    return click.Option(
        ["--debug"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=note,
        help="Show where in the code an error arose.",
    )

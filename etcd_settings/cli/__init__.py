"""
The command line, thin over the library: one file per verb.

A verb is imported when it is used, so that ``--help`` and each verb cost only what they need.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from etcd_settings import __version__

__all__ = ["cli"]

_VERBS = {
    "show": "Show all settings, or a branch of them.",
    "get": "Print one setting.",
    "explain": "Tell where a setting comes from, and what it shadows.",
    "check": "Check whether a settings class accepts what etcd holds.",
    "schema": "Print the JSON Schema of a settings class.",
    "diff": "Tell where a file of settings and etcd differ.",
    "push": "Write a file of settings into etcd, whole or not at all.",
    "pull": "Write what etcd holds as a file of settings.",
    "copy": "Copy settings from one place to another.",
    "history": "Tell what a setting was before, deletions included.",
    "rollback": "Bring all settings back to an earlier revision.",
    "watch": "Print changes as they come.",
    "status": "Show how the etcd is that holds the settings.",
    "dev": "Run a real etcd on this machine, for development.",
    "demo": "See typed settings come out of a real etcd.",
}
"""Each verb's file, with the line that stands for it in the help."""


class _Verbs(click.Group):
    """Knows the verbs by name, imports the one that is called, and ends as `exits` has it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        if cmd_name not in _VERBS:
            return None
        verb: click.Command = import_module(f"etcd_settings.cli.{cmd_name}").command
        return verb

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _VERBS and not args[0].startswith("-") and not ctx.resilient_parsing:
            from etcd_settings.location import nearest

            raise click.UsageError(f"There is no verb {args[0]!r}.{nearest(args[0], _VERBS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's signature
        with formatter.section("Verbs"):  # from the table above, without an import
            formatter.write_dl(list(_VERBS.items()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's signature
        from etcd_settings.cli.verbs import write_codes

        write_codes(formatter)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except (click.UsageError, OSError, KeyboardInterrupt) as e:  # of what stands before the verb
            _end(e, debug=False)

    def invoke(self, ctx: click.Context) -> None:
        try:
            super().invoke(ctx)
            sys.stdout.flush()  # here, where a reader that went away is no surprise
        except (Exception, KeyboardInterrupt) as e:  # noqa: BLE001  # the one place where everything becomes an exit code
            from etcd_settings.cli.verbs import debugging

            _end(e, debug=debugging(ctx))


def _end(error: BaseException, *, debug: bool) -> NoReturn:
    from etcd_settings.cli.exits import ending

    raise click.exceptions.Exit(ending(error, debug=debug)) from None


@click.group(
    cls=_Verbs,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    subcommand_metavar="VERB ...",
)
@click.version_option(__version__)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """
    Typed, cached, live settings from etcd.

    Each verb says with --help what it does, with examples. Where the settings are, says --url (after the verb), or
    $ETCD_SETTINGS_URL, or what etcdctl's own variables say.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)

"""
The command line, thin over the library: one file per verb.

A verb is imported when it is used, so that ``--help`` and each verb cost only what they need.
"""

from __future__ import annotations

from importlib import import_module

import click

from etcd_settings import __version__
from etcd_settings.errors import EtcdSettingsError

__all__ = ["cli"]

_VERBS = {"demo": "See typed settings come out of a real etcd."}


class _LazyGroup(click.Group):
    """Knows the verbs by name, and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        if cmd_name not in _VERBS:
            return None
        verb: click.Command = import_module(f"etcd_settings.cli.{cmd_name}").command
        return verb

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's signature
        with formatter.section("Commands"):  # from the table above, without an import
            formatter.write_dl(list(_VERBS.items()))

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except EtcdSettingsError as e:
            problem = f"{type(e).__name__}: {e}"
        raise click.ClickException(problem)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Typed, cached, live settings from etcd."""

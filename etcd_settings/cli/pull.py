"""Write what etcd holds as a file of settings."""

from __future__ import annotations

from typing import Any

import click

from etcd_settings.cli.exits import Code, Stop
from etcd_settings.cli.files import FORMATS, suffix_of, write_file
from etcd_settings.cli.output import write, write_json
from etcd_settings.cli.reading import read
from etcd_settings.cli.verbs import Asked, layer_option, verb
from etcd_settings.errors import ConfigurationError
from etcd_settings.spelling import flatten
from etcd_settings.tree import build

__all__ = ["command"]


@verb(
    "where",
    "json",
    examples="""
    etcd-settings pull --output settings.toml
    etcd-settings pull --format yaml
    etcd-settings pull --output settings.json --model shop.settings:Settings
    """,
)
@click.option("--output", metavar="FILE", help="Write this file, for you alone (mode 0600). Its suffix is the format.")
@click.option(
    "--format",
    "form",
    metavar="FORMAT",
    type=click.Choice(FORMATS),
    help="Write to stdout, as toml, json or yaml.",
)
@click.option("--model", metavar="MODULE:CLASS", help="A settings class: what it does not want as text gets its type.")
@layer_option
def command(asked: Asked, *, output: str | None, form: str | None, layer: str | None) -> None:
    """
    Write all settings as a file that `push` takes: TOML, JSON or YAML. Secrets are in it, in clear.

    To push it changes nothing, and to push it to an empty prefix makes the same settings there. Etcd holds texts, and
    so does the file, but for what documents hold: with --model the numbers, booleans and lists of the class are
    numbers, booleans and lists. Without --output and --format: TOML on stdout.

    With --json: the settings, as `--format json` has them; with --output {"file", "revision"}.
    """
    from etcd_settings.publish.exporting import export

    if form and (output is not None or asked.as_json):
        raise click.UsageError("--format is for stdout; with --output the suffix says the format, and --json is JSON.")
    suffix = f".{form or ('json' if asked.as_json else 'toml')}" if output is None else suffix_of(output)
    target = asked.target()
    place, whole = read(asked)
    snapshot = whole.only(layer)
    if not snapshot:
        nothing = f"Nothing is under {place.title} at revision {snapshot.revision}"
        if output is not None:
            raise Stop(Code.NO, f"{nothing}, so nothing was written.")
        click.echo(f"{nothing}.", err=True)
    tree = build(snapshot)
    if target is not None:
        from etcd_settings.fitting.descent import typed

        tree = typed(tree, target)
    data = export(tree, suffix).encode()
    _warn_of_names(tree)
    if output is None:
        click.echo(data, nl=False)
        return
    write_file(output, data)
    if asked.as_json:
        write_json({"file": output, "revision": snapshot.revision})
    else:
        write(f"Wrote {len(snapshot)} keys of {place.title}, at revision {snapshot.revision}, to {output}.")


def _warn_of_names(tree: dict[str, Any]) -> None:
    """Say that documents hold names that no key could have, so that the file is of use only where they are."""
    try:
        flatten(tree)
    except ConfigurationError as e:
        click.echo(f"Pushed elsewhere, this will be refused: {e.problems[0]}", err=True)

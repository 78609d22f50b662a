"""
Write the reference of the command line, from the commands themselves.

``python -m tests.cli.reference`` writes the page, and a test holds that the page is what it would write.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from etcd_settings.cli import cli
from etcd_settings.cli.exits import CODES
from etcd_settings.cli.verbs import Verb

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"

INTRODUCTION = """
<!-- Written by `python -m tests.cli.reference`. Change the commands, and write it anew. -->

# The command line

`etcd-settings` comes with the extra `cli`; `python -m etcd_settings` is the same. Each verb says with `--help` what
follows here.

## Where the settings are

In this order, the first that there is:

1. `--url URL`, after the verb;
2. `$ETCD_SETTINGS_URL`;
3. `$ETCDCTL_ENDPOINTS`, and then `--prefix` names the prefix.

What a URL lacks, etcdctl's own variables fill in: `ETCDCTL_USER` and `ETCDCTL_PASSWORD`, and for TLS `ETCDCTL_CACERT`,
`ETCDCTL_CERT` and `ETCDCTL_KEY`. A password may also be in `$ETCD_SETTINGS_PASSWORD`, or in the file that
`$ETCD_SETTINGS_PASSWORD_FILE` names. See [](urls.md) for URLs; `show`, `get`, `explain`, `check`, `diff`, `pull` and
`watch` take `file://` ones as well. What a URL says of `last_good` and `required` does not count here: a command shows
what is there now, or fails.

## What is shown

Into a pipe goes plain text, one line for each thing. On a terminal there are tables, with colours unless `NO_COLOR` is
set, and what etcd holds cannot steer the terminal. `--json` prints the shapes that the verbs below describe; a value
that is no text is `{"base64": …}` in JSON.

Secrets are shown as a mask of one length, unless `--reveal` is given. Secret is what has a name with one of these words
in it, anywhere in its path, within documents too, and in any case: {words}.
With `--model MODULE:CLASS` the fields that are `SecretStr` or `SecretBytes` are secret as well. A module is looked for
in the current directory, too.

## Exit codes

| code | meaning |
|---|---|
{codes}

An error is one to three lines on stderr, with what to do. `--debug` shows all lines, and the way through the code
without any value.

## Completion

Bash, zsh and fish complete verbs and options:

```shell
eval "$(_ETCD_SETTINGS_COMPLETE=bash_source etcd-settings)"                   # in ~/.bashrc
eval "$(_ETCD_SETTINGS_COMPLETE=zsh_source etcd-settings)"                    # in ~/.zshrc
_ETCD_SETTINGS_COMPLETE=fish_source etcd-settings | source                    # in ~/.config/fish/config.fish
```

## Options that verbs share

{shared}
"""


def page() -> str:
    """Give the whole page."""
    from etcd_settings.masking import SECRET_NAMES

    context = cli.make_context("etcd-settings", [], resilient_parsing=True)
    verbs = [
        command for name in cli.list_commands(context) if isinstance(command := cli.get_command(context, name), Verb)
    ]
    shared = {option.name: option for verb in verbs for option in _options(verb) if _is_shared(option)}
    introduction = INTRODUCTION.lstrip()
    for name, text in {
        "words": ", ".join(f"`{name}`" for name in SECRET_NAMES),
        "codes": "\n".join(f"| {int(code)} | {meaning} |" for code, meaning in CODES.items()),
        "shared": "\n".join(_table(shared.values())),
    }.items():
        introduction = introduction.replace(f"{{{name}}}", text)
    return "\n".join([introduction, *(line for verb in verbs for line in _verb(verb))])


def _verb(verb: Verb) -> Iterator[str]:
    context = click.Context(verb, info_name=f"etcd-settings {verb.name}")
    own = [option for option in _options(verb) if not _is_shared(option)]
    yield from (f"## `{verb.name}`", "")
    yield from ("```text", " ".join(verb.get_usage(context).removeprefix("Usage: ").split()), "```", "")
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(verb.help or "")):
        yield from (_marked(" ".join(paragraph.split())), "")
    if own:
        yield from (*_table(own), "")
    names = [f"`{option.opts[0]}`" for option in _options(verb) if _is_shared(option)]
    yield from (f"Shared options: {', '.join(names)}.", "")
    yield from ("```shell", *(line.strip() for line in verb.examples), "```", "")


def _options(verb: click.Command) -> list[click.Option]:
    return [parameter for parameter in verb.params if isinstance(parameter, click.Option)]


def _is_shared(option: click.Option) -> bool:
    return option.name in {"url", "prefix", "as_json", "reveal", "model", "debug"}


def _table(options: Iterable[click.Option]) -> Iterator[str]:
    yield from ("| option | meaning |", "|---|---|")
    for option in options:
        metavar = "" if option.is_flag else f" {option.metavar}"
        yield f"| `{option.opts[0]}{metavar}` | {_marked(option.help or '')} |"


def _marked(text: str) -> str:
    """Set options, variables and shapes of JSON as code, of which typography would make something else."""

    def marked(found: re.Match[str]) -> str:
        return found[0] if found[0].startswith("`") else f"`{found[0]}`"

    return re.sub(r"`[^`]*`|\{[^{}]*\}|(?<!\w)(?:--[a-z-]+|\$[A-Z_]+)", marked, text)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")

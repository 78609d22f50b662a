"""
Run what the documentation shows.

Of a page in Markdown, every fenced ``python`` block is run, top to bottom, in one namespace; where a block is written
with prompts (``>>>``), its output must be what the page says. Four comments, which no reader sees, say what else to do:

- ``<!-- invisible-code-block: python … -->`` holds Python that is run and not shown: what a page needs to be true.
- ``<!-- run -->`` before a ``console`` block runs its commands, and what the block shows below them must come out
  (``...`` stands for anything).
- ``<!-- file: NAME -->`` before any block saves the block under that name, in the folder where the page is run.
- ``<!-- skip: next -->`` leaves out the next block. It is for what cannot be run here, and needs a reason beside it.

Pages name etcd as readers have it, ``etcd://localhost/``; while they are run, that is a real etcd elsewhere.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from sybil import Document, Example, Region
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

FOLDER = Path(__file__).parent.parent
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
LOCAL_ETCD = re.compile(r"etcd://localhost(?::2379)?(?=[/\"'\s])")
MARKED = re.compile(
    r"^<!-- (?P<mark>run|file: (?P<name>\S+)) -->\n+(?P<fence>`{3,})(?P<language>\w+)\n(?P<source>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)


def pages() -> list[str]:
    """Give the path of every page, below the project's folder."""
    found = [FOLDER / "README.md", *(FOLDER / "docs").rglob("*.md")]
    return sorted(str(page.relative_to(FOLDER)) for page in found if "_build" not in page.parts)


def text_of(page: str) -> str:
    return (FOLDER / page).read_text(encoding="utf-8")


def needs_etcd(text: str) -> bool:
    return LOCAL_ETCD.search(text) is not None


def read(page: str, *, endpoint: str | None = None) -> Document:
    """Parse a page; *endpoint* takes the place of the etcd on this machine."""
    text = text_of(page)
    if endpoint is not None:
        text = LOCAL_ETCD.sub(f"etcd://{endpoint}", text)
    document = Document(text, str(FOLDER / page))
    saved: list[Region] = []
    for parser in (_marked, SkipParser(), PythonCodeBlockParser(doctest_optionflags=FLAGS)):
        for region in parser(document):
            if not any(other.start <= region.start < other.end for other in saved):
                document.add(region)
                saved += [region] if parser is _marked else []
    return document


def run(document: Document) -> None:
    """Run a page from top to bottom; an example that is not true raises."""
    for example in document:
        example.evaluate()


def _marked(document: Document) -> Iterable[Region]:
    for match in MARKED.finditer(document.text):
        evaluate = _save if match["name"] else _run_commands
        yield Region(match.start(), match.end(), (match["name"], match["source"]), evaluate)


def _save(example: Example) -> None:
    name, text = example.parsed
    Path(name).write_text(text, encoding="utf-8")


def _run_commands(example: Example) -> None:
    _, text = example.parsed
    for command, expected in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
        done = subprocess.run(
            command, shell=True, env=os.environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60
        )
        shown = done.stdout if expected.strip() else ""
        if not doctest.OutputChecker().check_output(expected, shown, FLAGS):
            raise AssertionError(f"{command!r} ended with {done.returncode} and printed\n{done.stdout}")
        if not expected.strip() and done.returncode:
            raise AssertionError(f"{command!r} ended with {done.returncode}:\n{done.stdout}")

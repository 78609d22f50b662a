"""What the documentation shows works; see ``snippets.py`` for how it is run."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from etcd_settings import source
from etcd_settings.testing import EtcdServer, find_binaries
from tests.snippets import FOLDER, needs_etcd, pages, read, run, text_of

PAGES = pages()


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run each page in a folder of its own, with the project's commands at hand, and leave no shared source behind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    yield
    for shared in source._registry.all():
        shared.close()


@pytest.mark.parametrize("page", [page for page in PAGES if not needs_etcd(text_of(page))])
def test_a_page_is_true(page: str) -> None:
    """Every Python block runs, and every output is as shown."""
    run(read(page))


@pytest.mark.parametrize("page", [page for page in PAGES if needs_etcd(text_of(page))])
def test_a_page_that_reads_etcd_is_true(page: str, etcd_server: EtcdServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, on a real etcd."""
    monkeypatch.setenv("PATH", str(find_binaries().etcdctl.parent), prepend=":")
    monkeypatch.setenv("ETCDCTL_ENDPOINTS", etcd_server.endpoint)
    monkeypatch.setenv("ETCD_SETTINGS_URL", etcd_server.url)
    run(read(page, endpoint=etcd_server.endpoint))


FALSE = {
    "python that fails": "```python\nassert 1 == 2\n```\n",
    "an output that does not come": "```python\n>>> 1 + 1\n3\n```\n",
    "a name from nowhere": "```python\nx = 1\n```\n\n```python\ny\n```\n",
    "what is hidden and fails": "<!-- invisible-code-block: python\nassert False\n-->\n",
    "a command that fails": "<!-- run -->\n```console\n$ exit 3\n```\n",
    "a command that prints something else": "<!-- run -->\n```console\n$ echo one\ntwo\n```\n",
    "the second of two commands": "<!-- run -->\n```console\n$ echo one\none\n$ echo two\nthree\n```\n",
}


@pytest.mark.parametrize("text", FALSE.values(), ids=FALSE)
def test_a_page_that_is_not_true_fails(text: str, tmp_path: Path) -> None:
    """The tests above can fail, for each kind of block."""
    page = tmp_path / "page.md"
    page.write_text(text)

    with pytest.raises((AssertionError, NameError)):
        run(read(str(page)))


def test_blocks_share_a_namespace_a_folder_and_the_commands(tmp_path: Path) -> None:
    """A file that a page shows is there for its commands; what is not marked is not run."""
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- file: hello.py -->\n```python\nprint('hello')\nprint('you')\n```\n\n"
        "<!-- run -->\n```console\n$ python hello.py\nhello\n...\n```\n\n"
        "```console\n$ exit 3\n```\n\n"
        "<!-- skip: next -->\n```python\nnowhere\n```\n\n"
        "```python\nx = 1\n```\n\n```python\n>>> x\n1\n```\n"
    )

    run(read(str(page)))

    assert "print('hello')\nprint('you')\n" == Path("hello.py").read_text()


@pytest.mark.parametrize("page", PAGES)
def test_no_block_is_overlooked(page: str) -> None:
    """Every fenced Python block, however its language is spelled, is run, saved or left out on purpose."""
    regions = [region for _, region in read(page).regions]
    blocks = re.finditer(
        r"^ *(`{3,})\W*(?:code-block\W+)?(?:py|python|python3|pycon)\b.*?^ *\1", text_of(page), re.M | re.S
    )

    assert [] == [
        block[0]
        for block in blocks
        if not any(region.start < block.end() and block.start() < region.end for region in regions)
    ]


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    """A relative link names a file that exists; Sphinx checks the rest."""
    targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", text_of(page))

    assert [] == [target for target in targets if not ((FOLDER / page).parent / target).exists()]


def test_every_room_is_on_the_map() -> None:
    """The architecture page names every module and package of the first level; whoever adds one says what it is for."""
    rooms = {
        path.name if path.suffix else f"{path.name}/"
        for path in (FOLDER / "etcd_settings").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    named = set(re.findall(r"`(\w+(?:\.py|/))", text_of("docs/explanation/architecture.md")))

    assert set() == rooms - named - {"__init__.py", "__main__.py"}

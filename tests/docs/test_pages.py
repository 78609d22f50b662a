"""What the guides and the reference tell can be done, can be done: their Python runs, on a real etcd."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

from etcd_settings.testing import EtcdServer

ROOT = Path(__file__).parents[2]
PAGES = [page for folder in ("how-to", "reference") for page in sorted((ROOT / "docs" / folder).glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path, etcd_server: EtcdServer) -> None:
    """Every block of a page runs after those before it; ``etcd://localhost/`` is a server of ours."""
    etcd_server.delete_prefix("/config/")
    copy = Path(shutil.copy(page, tmp_path))
    copy.write_text(copy.read_text().replace("etcd://localhost/", f"etcd://{etcd_server.endpoint}/"))
    document = Sybil([PythonCodeBlockParser(), SkipParser()], path=str(tmp_path), pattern="*.md").parse(copy)
    examples = list(document.examples())
    assert examples or "```python" not in page.read_text()

    for example in examples:
        example.evaluate()

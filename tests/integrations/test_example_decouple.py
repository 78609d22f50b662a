"""The example project for decouple does what its README says, as a user would run it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from etcd_settings.testing import EtcdServer
from tests.integrations.serving import Project, seeded

COMMAND = ("-m", "newsletter")


@pytest.fixture
def newsletter(etcd_server: EtcdServer, tmp_path: Path) -> Project:
    """A copy of the project, as its users have it."""
    project = seeded(etcd_server, "decouple", "newsletter", "?layer=common/&layer=production/")
    leave_out = shutil.ignore_patterns(".env", "__pycache__")
    return replace(project, folder=shutil.copytree(project.folder, tmp_path / "project", ignore=leave_out))


EXPECTED = """\
debug       False
from        news@example.com
to          ann@example.com, bob@example.com
through     smtp.example.com:25, waiting 2.5 s
password    ********
"""


def test_the_newsletter_reads_its_settings(newsletter: Project) -> None:
    """Layers, a document with a key above it, a list, numbers, a password that does not show."""
    done = newsletter.run(*COMMAND)

    assert (0, EXPECTED, "") == (done.returncode, done.stdout, done.stderr)


def test_the_environment_wins(newsletter: Project) -> None:
    """One setting can be overridden without touching etcd."""
    assert "through     localhost:25" in newsletter.run(*COMMAND, SMTP_HOST="localhost").stdout


def test_the_file_has_what_etcd_has_not(newsletter: Project, etcd_server: EtcdServer) -> None:
    """A missing setting is told by its name; the file may have it, and does not cover what etcd has."""
    etcd_server.etcdctl("del", "/config/newsletter/common/sender")
    missing = newsletter.run(*COMMAND)
    (newsletter.folder / ".env").write_text("SENDER=me@example.com\nSMTP_HOST=covered\n")

    found = newsletter.run(*COMMAND)

    assert (1, "") == (missing.returncode, missing.stdout)
    assert "No newsletter today: SENDER not found" in missing.stderr
    assert EXPECTED.replace("news@", "me@") == found.stdout


def test_no_etcd_is_no_newsletter(newsletter: Project) -> None:
    """An outage at the start is told with the endpoint, though the file has everything."""
    (newsletter.folder / ".env").write_text("SENDER=a\nSMTP_HOST=b\nSMTP_PASSWORD=c\n")

    done = newsletter.run(*COMMAND, NEWSLETTER_ETCD_URL="etcd://127.0.0.1:1/config/newsletter/")

    assert (1, "") == (done.returncode, done.stdout)
    assert "127.0.0.1:1: connection refused" in done.stderr

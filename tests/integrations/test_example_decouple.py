"""The example project for decouple does what its README says, as a user would run it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from etcd_settings.testing import EtcdServer

PROJECT = Path(__file__).parents[2] / "integrations" / "decouple"


@dataclass
class Newsletter:
    """A copy of the project, and the environment that its README sets."""

    folder: Path
    environment: dict[str, str]

    def run(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "newsletter"],
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def newsletter(etcd_server: EtcdServer, tmp_path: Path) -> Newsletter:
    """Copy the project, as its users do, and seed etcd with its own script."""
    etcd_server.delete_prefix("/config/newsletter/")
    folder = tmp_path / "project"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns(".env", "__pycache__"))
    environment = {
        **os.environ,
        "PATH": f"{etcd_server.site.binaries.etcdctl.parent}{os.pathsep}{os.environ['PATH']}",
        "ETCDCTL_ENDPOINTS": etcd_server.endpoint,
        "NEWSLETTER_ETCD_URL": f"etcd://{etcd_server.endpoint}/config/newsletter/?layer=common/&layer=production/",
    }
    subprocess.run([folder / "seed.sh"], check=True, env=environment, timeout=60)
    return Newsletter(folder, environment)


EXPECTED = """\
debug       False
from        news@example.com
to          ann@example.com, bob@example.com
through     smtp.example.com:25, waiting 2.5 s
password    ********
"""


def test_the_newsletter_reads_its_settings(newsletter: Newsletter) -> None:
    """Layers, a document with a key above it, a list, numbers, a password that does not show."""
    done = newsletter.run()

    assert (0, EXPECTED, "") == (done.returncode, done.stdout, done.stderr)


def test_the_environment_wins(newsletter: Newsletter) -> None:
    """One setting can be overridden without touching etcd."""
    assert "through     localhost:25" in newsletter.run(SMTP_HOST="localhost").stdout


def test_the_file_has_what_etcd_has_not(newsletter: Newsletter, etcd_server: EtcdServer) -> None:
    """A missing setting is told by its name; the file may have it, and does not cover what etcd has."""
    etcd_server.etcdctl("del", "/config/newsletter/common/sender")
    missing = newsletter.run()
    (newsletter.folder / ".env").write_text("SENDER=me@example.com\nSMTP_HOST=covered\n")

    found = newsletter.run()

    assert (1, "") == (missing.returncode, missing.stdout)
    assert "No newsletter today: SENDER not found" in missing.stderr
    assert EXPECTED.replace("news@", "me@") == found.stdout


def test_no_etcd_is_no_newsletter(newsletter: Newsletter) -> None:
    """An outage at the start is told with the endpoint, though the file has everything."""
    (newsletter.folder / ".env").write_text("SENDER=a\nSMTP_HOST=b\nSMTP_PASSWORD=c\n")

    done = newsletter.run(NEWSLETTER_ETCD_URL="etcd://127.0.0.1:1/config/newsletter/")

    assert (1, "") == (done.returncode, done.stdout)
    assert "127.0.0.1:1: connection refused" in done.stderr

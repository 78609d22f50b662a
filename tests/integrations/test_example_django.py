"""The example site does what its README says, under real servers, on a real etcd."""

from __future__ import annotations

import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from etcd_settings.testing import EtcdServer
from tests.integrations.serving import GUNICORN, UVICORN, Project, seeded
from tests.waiting import eventually

SYNC = (*GUNICORN, "--workers", "2", "storefront.wsgi")
SERVERS = {
    "sync": SYNC,
    "sync, preloaded": (*SYNC, "--preload"),
    "gthread": (*SYNC, "--worker-class", "gthread", "--threads", "2"),
    "gevent": (*SYNC, "--worker-class", "gevent"),
    "gevent, preloaded": (*SYNC, "--worker-class", "gevent", "--preload"),
    "uvicorn": (*UVICORN, "storefront.asgi:application"),
}
RELOADED = ("sync", "gevent, preloaded")
"""Those that get new workers: from a master that imported nothing, and from one that read everything. It takes time."""


@pytest.fixture
def site(etcd_server: EtcdServer) -> Project:
    return seeded(etcd_server, "django", "storefront")


def off(answer: dict[str, Any]) -> bool:
    return answer["checkout"] is False


def on(answer: dict[str, Any]) -> bool:
    return answer["checkout"] is True


@pytest.mark.parametrize("kind", SERVERS)
def test_a_change_reaches_every_worker(kind: str, site: Project, etcd_server: EtcdServer) -> None:
    """All workers tell the new flag and one revision; a wrong one is refused; reloading and stopping hang nowhere."""
    workers = 1 if kind == "uvicorn" else 2
    with site.start(*SERVERS[kind]) as server:
        first = server.agree(lambda answer: off(answer) and answer["page_size"] == 50, workers=workers)
        etcd_server.etcdctl("put", "/config/storefront/FEATURE_CHECKOUT", "true")
        changed = server.agree(on, workers=workers)

        assert first.keys() == changed.keys()
        assert 1 == len({answer["revision"] for answer in changed.values()})
        etcd_server.etcdctl("put", "/config/storefront/FEATURE_CHECKOUT", "certainly")
        etcd_server.etcdctl("put", "/config/storefront/FEATURE_CHECKOUT", "true")
        etcd_server.etcdctl("put", "/config/storefront/FEATURE_BANNER/text", "Bye")
        server.agree(lambda answer: on(answer) and answer["banner"]["text"] == "Bye", workers=workers)
        if kind in RELOADED:
            server.process.send_signal(signal.SIGHUP)
            server.agree(lambda answer: on(answer) and answer["worker"] not in first, workers=workers)
        # Uvicorn stops in good order, and then ends by the signal that it was sent.
        assert (-signal.SIGTERM if kind == "uvicorn" else 0) == server.stop()
        assert "certainly" not in server.log


def test_the_autoreloader_starts_the_site_anew(site: Project, etcd_server: EtcdServer, tmp_path: Path) -> None:
    """Under ``runserver`` live settings follow etcd, and a changed file brings all that etcd holds by then."""
    site = replace(site, folder=shutil.copytree(site.folder, tmp_path / "project"))
    with site.start("manage.py", "runserver", "127.0.0.1:0") as server:
        first = server.agree(off)
        etcd_server.etcdctl("put", "/config/storefront/FEATURE_CHECKOUT", "true")
        etcd_server.etcdctl("put", "/config/storefront/PAGE_SIZE", "70")
        same = server.agree(on)
        (site.folder / "storefront" / "urls.py").touch()
        anew = server.agree(lambda answer: answer["worker"] not in first)
        assert 0 == server.stop()

    assert (first.keys(), 50) == (same.keys(), *(answer["page_size"] for answer in same.values()))
    assert [(True, 70)] == [(answer["checkout"], answer["page_size"]) for answer in anew.values()]


def test_a_refused_update_is_logged_without_the_value(site: Project, etcd_server: EtcdServer) -> None:
    """The log names the key; the workers go on with what they had, through an outage too, and take what comes after."""
    with site.start(*SYNC) as server:
        server.agree(off, workers=2)
        etcd_server.etcdctl("put", "/config/storefront/FEATURE_CHECKOUT", "certainly")
        eventually(lambda: "/config/storefront/FEATURE_CHECKOUT" in server.log)
        server.agree(off, workers=2)
        etcd_server.restart()
        etcd_server.etcdctl("put", "/config/storefront/FEATURE_CHECKOUT", "true")

        server.agree(on, workers=2)
        assert 0 == server.stop()
        assert "certainly" not in server.log


def test_the_commands_tell_what_etcd_says(site: Project) -> None:
    """``check``, ``show``, ``explain`` and ``diff``; secrets are masked."""
    assert 0 == site.run("manage.py", "check").returncode
    shown = site.run("manage.py", "etcd_settings", "show")
    explained = site.run("manage.py", "etcd_settings", "explain", "FEATURE_BANNER/text")
    different = site.run("manage.py", "etcd_settings", "diff")

    assert "FEATURE_BANNER = {'text': 'Hello', 'percent': 100}\n" in shown.stdout
    assert "SECRET_KEY = '**********'\n" in shown.stdout
    assert "FEATURE_BANNER/text comes from /config/storefront/FEATURE_BANNER/text" in explained.stdout
    assert (1, True) == (different.returncode, "PAGE_SIZE: 20 -> 50\n" in different.stdout)
    assert "FEATURE_CHECKOUT" not in different.stdout
    assert "change me" not in shown.stdout + different.stdout


def test_watch_prints_changes_until_it_is_interrupted(site: Project, etcd_server: EtcdServer) -> None:
    """One line a change, and exit code 130."""
    with site.start("manage.py", "etcd_settings", "watch") as watch:
        eventually(lambda: "Watching" in watch.log)
        etcd_server.etcdctl("put", "/config/storefront/PAGE_SIZE", "70")
        eventually(lambda: "PAGE_SIZE = 70" in watch.log)
        assert 130 == watch.stop(signal.SIGINT)


def test_the_commands_while_etcd_is_away(site: Project, tmp_path: Path) -> None:
    """With a ``last_good`` file they work and say so; without, the error names the endpoint."""
    saved = f"?last_good={tmp_path / 'last'}"
    there, gone = site.environment["STOREFRONT_ETCD_URL"], "etcd://127.0.0.1:1/config/storefront/"
    assert 0 == site.run("manage.py", "check", STOREFRONT_ETCD_URL=there + saved).returncode

    kept = site.run("manage.py", "etcd_settings", "show", STOREFRONT_ETCD_URL=gone + saved)
    failed = site.run("manage.py", "check", STOREFRONT_ETCD_URL=gone)

    assert "PAGE_SIZE = 50" in kept.stdout
    assert "Etcd does not answer" in kept.stderr
    assert 0 != failed.returncode
    assert "127.0.0.1:1: connection refused" in failed.stderr

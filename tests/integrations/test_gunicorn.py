"""Under a real gunicorn every worker follows etcd by itself, and none hangs when it is reloaded or stopped."""

from __future__ import annotations

import signal
from collections.abc import Container
from pathlib import Path

import pytest

from etcd_settings.testing import EtcdServer
from tests.integrations.serving import GUNICORN, Answers, Project, seeded
from tests.waiting import eventually

WORKERS = 2
SITE = """
import json
import os
from pydantic import BaseModel
from etcd_settings import Live, Source

class Settings(BaseModel):
    number: int

source = Source.shared(os.environ["ETCD_SETTINGS_URL"])
live = Live(lambda: source.load(Settings)).start()  # at import: with --preload before the fork

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"worker": os.getpid(), "number": live.current.number}).encode()]
"""


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
def test_every_worker_follows(kind: str, preload: tuple[str, ...], etcd_server: EtcdServer, tmp_path: Path) -> None:
    """Changes reach all of them, nonsense none; those that replace others follow too; the end is quick."""
    etcd_server.put("/config/app/number", "1")
    (tmp_path / "site_of_test.py").write_text(SITE)
    site = Project(tmp_path, {"ETCD_SETTINGS_URL": etcd_server.url})
    with site.start(*GUNICORN, "--workers", str(WORKERS), "-k", kind, *preload, "site_of_test:app") as gunicorn:

        def all_serve(number: int, *, but: Container[int] = ()) -> Answers:
            return gunicorn.agree(
                lambda answer: answer["number"] == number and answer["worker"] not in but, workers=WORKERS
            )

        all_serve(1)
        etcd_server.put("/config/app/number", "2")
        all_serve(2)
        etcd_server.put("/config/app/number", "many")
        refusals = WORKERS + bool(preload)  # the master of a preloaded application has settings too
        eventually(lambda: gunicorn.log.count("are refused") >= refusals)
        before = all_serve(2)

        gunicorn.process.send_signal(signal.SIGHUP)
        etcd_server.put("/config/app/number", "3")
        all_serve(3, but=before)
        assert 0 == gunicorn.stop()


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
def test_every_worker_of_the_example_service_follows(preload: tuple[str, ...], etcd_server: EtcdServer) -> None:
    """The same for the FastAPI project, whose lifespan starts and ends its Live."""
    catalog = seeded(etcd_server, "fastapi", "catalog")
    worker = ("--workers", str(WORKERS), "-k", "uvicorn_worker.UvicornWorker")
    with catalog.start(*GUNICORN, *worker, *preload, "catalog.api:app") as gunicorn:

        def all_serve(price: str, *, changes: int) -> None:
            eventually(lambda: gunicorn.log.count("New prices for tea") >= changes * WORKERS)
            gunicorn.agree(lambda answer: answer["amount"] == price, path="/price/tea")

        eventually(lambda: gunicorn.log.count("Application startup complete") == WORKERS)
        all_serve("3.20", changes=0)
        etcd_server.put("/config/catalog/prices/tea", "4.50")
        all_serve("4.50", changes=1)
        etcd_server.put("/config/catalog/prices/tea", "free")
        eventually(lambda: gunicorn.log.count("are refused") == WORKERS)
        all_serve("4.50", changes=1)
        etcd_server.put("/config/catalog/prices/tea", "5.00")
        all_serve("5.00", changes=2)
        gunicorn.process.send_signal(signal.SIGHUP)
        eventually(lambda: gunicorn.log.count("Application startup complete") == 2 * WORKERS)
        etcd_server.put("/config/catalog/prices/tea", "6.00")
        all_serve("6.00", changes=3)
        assert 0 == gunicorn.stop()

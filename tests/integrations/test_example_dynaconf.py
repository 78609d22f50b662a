"""The example service does what its README says, under a real gunicorn with several workers, on a real etcd."""

from __future__ import annotations

import signal
from collections.abc import Container

import pytest

from etcd_settings.testing import EtcdServer
from tests.integrations.serving import GUNICORN, Answers, Project, seeded
from tests.waiting import PATIENCE, eventually

WORKERS = 3
COMMAND = (*GUNICORN, "--workers", str(WORKERS), "greeter.service:app")


@pytest.fixture
def greeter(etcd_server: EtcdServer) -> Project:
    return seeded(etcd_server, "dynaconf", "greeter")


@pytest.mark.parametrize(
    "options",
    [[], ["--preload"], ["--worker-class", "gthread", "--threads", "4"], ["--worker-class", "gevent"]],
    ids=" ".join,
)
def test_the_service_follows_etcd_in_every_worker(
    options: list[str], greeter: Project, etcd_server: EtcdServer
) -> None:
    """A change reaches all, a wrong one none; HUP makes new workers that follow too, and stopping takes no force."""
    with greeter.start(*COMMAND, *options) as service:

        def all_say(greeting: str, *, but: Container[int] = ()) -> Answers:
            return service.agree(
                lambda answer: answer["greeting"] == greeting and answer["pid"] not in but,
                workers=WORKERS,
                path="/worker",
                headers={"token": "change me"},
            )

        assert "Good day, Ada and Eve!" == service.ask("/greet?name=Ada&name=Eve").text
        assert 400 == service.ask("/greet?name=a&name=b&name=c&name=d").status_code
        etcd_server.etcdctl("put", "/config/greeter/production/greeting", "Hi")
        assert 1 == len({answer["revision"] for answer in all_say("Hi").values()})

        etcd_server.etcdctl("put", "/config/greeter/default/limits/names", "none-of-them")
        eventually(lambda: service.log.count("refused") >= WORKERS)
        assert "none-of-them" not in service.log
        etcd_server.etcdctl("put", "/config/greeter/default/limits/names", "3")

        old = all_say("Hi")
        service.process.send_signal(signal.SIGHUP)
        all_say("Hi", but=old)
        etcd_server.etcdctl("put", "/config/greeter/production/greeting", "Hey")
        assert 1 == len({answer["revision"] for answer in all_say("Hey", but=old).values()})
        assert 0 == service.stop()


def test_without_settings_the_service_does_not_start(greeter: Project) -> None:
    """An outage at the import is told with the endpoint, and gunicorn ends."""
    gone = "etcd://127.0.0.1:1/config/greeter/"
    with greeter.start(*COMMAND, "--preload", GREETER_ETCD_URL=gone) as service:
        assert 0 != service.process.wait(PATIENCE)
        assert "127.0.0.1:1: connection refused" in service.log

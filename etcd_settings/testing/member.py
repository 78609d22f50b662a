"""
Start, stop and hurt one etcd.

A member has an address and a data folder for its whole life, and a process now and then. It knows the guard that runs
the process, its health page and its log; which flags it gets is the site's business.

Invariant: once a start succeeded, address and data stay the same until `close`, whatever happens to the process.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from etcd_settings.errors import EtcdSettingsError, RequestError
from etcd_settings.testing.metrics import parse_metrics
from etcd_settings.testing.ports import HOST, free_port
from etcd_settings.testing.process import GuardedProcess
from etcd_settings.testing.site import ROOT, Ports, Site

__all__ = ["Member", "StartError"]

GRACE = 3.0
"""Seconds for a polite end. With a watch open etcd 3.5 takes its time, and its log on disk is whole at any moment."""

LOG_LINES = 12
PORT_ATTEMPTS = 5
POLL = 0.005  # seconds between looks at a starting server


class StartError(EtcdSettingsError):
    """
    Etcd did not come up.

    Attributes:
        name: Which member.

        log: The last lines that it wrote.
    """

    def __init__(self, name: str, reason: str, log: str) -> None:
        self.name, self.log = name, log
        super().__init__(f"{name} did not start: {reason}. The end of its log:\n{log or '(it wrote nothing)'}")


class Member:
    """
    One etcd on the loopback interface. Not thread-safe, apart from reading its attributes.

    Args:
        site: What it shares with the others.

        name: Its name, and that of its files.

        data_dir: Where its data lie; in the site's folder by default.

        port: Where clients find it; a free one by default.

        start_timeout: Seconds until it must be healthy.
    """

    def __init__(
        self,
        site: Site,
        *,
        name: str,
        data_dir: Path | None = None,
        port: int | None = None,
        start_timeout: float = 30.0,
    ) -> None:
        self.site, self.name = site, name
        self.data_dir = data_dir or site.folder / name
        self.log = site.folder / f"{name}.log"
        self.start_timeout = start_timeout
        self._port = port
        self._ports: Ports | None = None  # of the first start that succeeded, and then for ever
        self._trying = Ports(0, 0, 0)  # of the last start, whatever came of it
        self._process: GuardedProcess | None = None
        self._owner = os.getpid()
        self._log_start = 0

    def __repr__(self) -> str:
        place = self.endpoint if self._ports else "no address yet"
        return f"<{type(self).__name__} {self.name} at {place}: {self.state}>"

    @property
    def ports(self) -> Ports:
        if self._ports is None:
            raise StartError(self.name, "it has no address before its first start", "")
        return self._ports

    @property
    def endpoint(self) -> str:
        """Where clients find it, as ``host:port``."""
        return f"{HOST}:{self.ports.client}"

    @property
    def url(self) -> str:
        """The URL of the application's settings, by way of this member."""
        return self.site.url([self.endpoint])

    @property
    def root_url(self) -> str:
        """The same for the user who may do everything; equal to `url` without authentication."""
        return self.site.url([self.endpoint], ROOT)

    @property
    def prefix(self) -> str:
        """The prefix of the application's settings, with its trailing slash."""
        return self.site.prefix

    @property
    def pid(self) -> int | None:
        """Its process id; None while it is down."""
        return self._process.pid if self._process is not None and self._process.alive else None

    @property
    def state(self) -> str:
        """``"down"``, ``"paused"`` or ``"up"``."""
        if self._process is None or not self._process.alive:
            return "down"
        return "paused" if self._process.paused else "up"

    def start(self) -> None:
        """
        Start it, and come back when it is healthy. One that is up already stays as it is.

        Raises:
            StartError: It did not come up; the message ends with the end of its log.
        """
        self.launch()
        self.wait_ready()

    def stop(self) -> None:
        """End it as an administrator would. Address and data stay, for the next `start`."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would, with no time for anything. Address and data stay, for the next `start`."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it, if it is up, and start it with the same address and data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze it: connections stay open and are acknowledged by the kernel, and nobody answers any more."""
        if self._process is not None and self.state == "up":
            self._process.pause()

    def resume(self) -> None:
        """Let it go on after `pause`."""
        if self._process is not None and self.state == "paused":
            self._process.resume()

    def heal(self) -> None:
        """Undo whatever was done to its process, and come back when it is healthy."""
        self.resume()
        self.start()

    def launch(self) -> None:
        """Start it without waiting until it is healthy."""
        if self.state == "down":
            self._drop_process()
            self._launch(self._ports or self._choose_ports())

    def wait_ready(self) -> None:
        """Wait until it is healthy, and try other ports if one of them was taken before it could have it."""
        for attempt in range(PORT_ATTEMPTS):
            try:
                self._await_health()
            except StartError as error:
                if "address already in use" not in error.log or self._ports is not None or attempt == PORT_ATTEMPTS - 1:
                    raise
            else:
                self._ports = self._trying
                return
            self._drop_process()
            self._launch(self._choose_ports())

    def health(self) -> bool:
        """Tell whether it is up, has a leader, and reports no alarm."""
        try:
            return bool(json.loads(self._get("/health"))["health"] == "true")
        except (OSError, http.client.HTTPException, ValueError):
            return False

    def metrics(self) -> dict[str, float]:
        """
        Read its figures, by name and labels as Prometheus spells them.

        What the kit itself asks for (`put`, `compact`, …) is counted as other calls are; health and metrics are not.
        """
        return parse_metrics(self._get("/metrics").decode())

    def handled(self, method: str) -> int:
        """Count the calls of one gRPC method, such as ``"Range"``, that it has finished since its start."""
        wanted = f'grpc_method="{method}"'
        figures = self.metrics().items()
        return int(sum(n for name, n in figures if name.startswith("grpc_server_handled_total{") and wanted in name))

    def put(self, key: str | bytes, value: str | bytes) -> int:
        """Write one key, given as a whole, by another way than our own client. Gives the revision."""
        return self.site.gateway(self.endpoint).put(key, value)

    def delete_prefix(self, prefix: str | bytes | None = None) -> int:
        """Delete the keys under a prefix, by default the application's. Gives their number."""
        return self.site.gateway(self.endpoint).delete_prefix(self.prefix if prefix is None else prefix)

    def revision(self) -> int:
        """Give the present revision."""
        return self.site.gateway(self.endpoint).revision()

    def compact(self, revision: int | None = None, *, physical: bool = True) -> int:
        """
        Forget the history before a revision, by default the present one. Gives that revision.

        Args:
            revision: The oldest one that can still be read.

            physical: Also wait until the old data is gone from the disk; until then a watch may still see it.
        """
        gateway = self.site.gateway(self.endpoint)
        target = gateway.revision() if revision is None else revision
        gateway.call("kv/compaction", {"revision": target, "physical": physical})
        return target

    def call(self, method: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Call any method of etcd's JSON gateway as root, such as ``"cluster/member/list"``."""
        return self.site.gateway(self.endpoint).call(method, body)

    def status(self) -> dict[str, Any]:
        """Ask it for what it knows by itself (version, leader, …), without its having to ask the others."""
        return self.site.gateway(self.endpoint, login=None).call("maintenance/status")

    def etcdctl(self, *args: str | bytes | Path, input: str | None = None) -> str:  # noqa: A002 - as subprocess.run has it
        """
        Run etcdctl against it, as root, and give what it printed.

        Raises:
            RequestError: It failed; the reason is what it said.
        """
        return run_tool(self.site.binaries.etcdctl, args, self.site.environment([self.endpoint]), input=input)

    def load(self, backup: Path) -> None:
        """Replace the data, while it is down, by those of a backup."""
        shutil.rmtree(self.data_dir, ignore_errors=True)
        peers = self._peers(self.ports)
        run_tool(
            self.site.binaries.etcdutl,
            (*("snapshot", "restore", backup), *self.site.identity(self.name, self.data_dir, self.ports, peers=peers)),
            self.site.environment(),
        )

    def log_tail(self, lines: int = LOG_LINES) -> str:
        """Give the last lines that it wrote since its last start, and the first, which tells of a wrong flag."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            written = log.read().decode(errors="replace").splitlines()
        return "\n".join(written if len(written) <= lines else [written[0], "…", *written[-lines:]])

    def close(self) -> None:
        """End it for good and forget its data, if they lie in the site's folder. In a forked child nothing happens."""
        if os.getpid() != self._owner:
            return
        self._end(signal.SIGKILL if self._is_disposable else signal.SIGTERM)
        if self._is_disposable:
            shutil.rmtree(self.data_dir, ignore_errors=True)

    @property
    def _is_disposable(self) -> bool:
        return self.site.folder in self.data_dir.parents

    def _choose_ports(self) -> Ports:
        return Ports(client=self._port or free_port(), peer=free_port(), metrics=free_port())

    def _peers(self, ports: Ports) -> Mapping[str, str] | None:
        """Tell the advertised peer URL of every member, this one's included; None if it is alone."""
        del ports
        return None

    def _launch(self, ports: Ports) -> None:
        self._trying, self._owner = ports, os.getpid()
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        self._process = GuardedProcess(
            self.site.command(self.name, self.data_dir, ports, peers=self._peers(ports)),
            environ=self.site.environment(),
            log=self.log,
            remove=self.site.folder,
        )

    def _await_health(self) -> None:
        deadline = time.monotonic() + self.start_timeout
        while not self.health():
            if self.state == "down":
                raise StartError(self.name, "it ended at once", self.log_tail())
            if time.monotonic() > deadline:
                raise StartError(self.name, f"it was not healthy after {self.start_timeout:g} seconds", self.log_tail())
            time.sleep(POLL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None and os.getpid() == self._owner:
            self._process.end(number, grace=GRACE)
            self._process = None

    def _drop_process(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None

    def _get(self, path: str) -> bytes:
        connection = http.client.HTTPConnection(HOST, self._trying.metrics, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()


def run_tool(
    tool: Path,
    args: tuple[str | bytes | Path, ...],
    environ: Mapping[str, str],
    *,
    input: str | None = None,  # noqa: A002 - as above
) -> str:
    """Run one of etcd's own tools, and give what it printed."""
    done = subprocess.run(
        [tool, *args], env=environ, input=input, capture_output=True, text=True, check=False, errors="surrogateescape"
    )
    if done.returncode:
        where = environ.get("ETCDCTL_ENDPOINTS", tool.name)
        raise RequestError(endpoint=where, status=f"exit code {done.returncode}", reason=done.stderr.strip())
    return done.stdout

"""A chosen port is free, and stays out of the kernel's way."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from etcd_settings.testing import ports

EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_a_taken_port_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port on which somebody listens is passed over for the next."""
    with socket.create_server((ports.HOST, 0)) as taken, socket.create_server((ports.HOST, 0)) as freed:
        busy, free = taken.getsockname()[1], freed.getsockname()[1]
        freed.close()
        candidates = iter([busy, busy, free])
        monkeypatch.setattr(ports._random, "randrange", lambda *_: next(candidates))

        assert free == ports.free_port()


@pytest.mark.skipif(not EPHEMERAL.exists(), reason="only Linux tells its range of ports for outgoing connections there")
def test_no_port_is_one_that_a_client_may_be_given() -> None:
    """Else a client that keeps trying a dead server's port may end up connected to itself, and hold the address."""
    first = int(EPHEMERAL.read_text().split()[0])
    if first <= ports._FIRST:
        pytest.skip("this machine hands out nearly every port")

    assert all(ports.free_port() < first for _ in range(100))

"""`status` tells how each endpoint is, and how many settings there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from etcd_settings.testing import EtcdCluster, EtcdServer
from etcd_settings.testing.ports import free_port
from tests.cli.conftest import Run
from tests.cli.terminals import on_terminal


def test_each_endpoint_has_a_row(etcd_cluster: EtcdCluster, run: Run) -> None:
    """One of them leads; the keys of all layers count once, with the bytes of keys and values."""
    for path in ("common/a", "orders/a"):
        etcd_cluster.members[0].put(etcd_cluster.prefix + path, "12345")
    done = run("status", "--json", "--url", f"{etcd_cluster.url}?layer=common/&layer=orders/&layer=")

    assert (0, "") == (done.code, done.err)
    told = done.json
    rows, settings = told["endpoints"], told["settings"]
    assert [*etcd_cluster.endpoints] == [row["endpoint"] for row in rows]
    assert [False, False, True] == sorted(row["leader"] for row in rows)
    assert all(row["healthy"] and row["version"] and row["bytes"] and row["error"] is None for row in rows)
    assert [] == told["alarms"]
    assert settings.pop("revision") > 0
    size = 2 * (len(f"{etcd_cluster.prefix}common/a") + 5)
    assert {"prefix": etcd_cluster.prefix, "keys": 2, "bytes": size} == settings


def test_one_member_down_is_shown(etcd_cluster: EtcdCluster, run: Run) -> None:
    """It is no error while others answer."""
    victim = etcd_cluster.members[2]
    victim.stop()
    done = run("status", "--url", etcd_cluster.url)

    assert (0, "") == (done.code, done.err)
    lines = done.out.splitlines()
    assert 4 == len(lines)
    assert [victim.endpoint] == [line.split()[0] for line in lines if "does not answer" in line]
    assert 2 == sum("  healthy  etcd 3." in line for line in lines)
    assert lines[-1].startswith(f"{etcd_cluster.prefix}: 0 keys, 0 bytes, at revision ")


def test_settings_that_cannot_be_read_are_an_error_after_all_is_shown(etcd_cluster: EtcdCluster, run: Run) -> None:
    """Without a quorum one endpoint answers, and is not healthy."""
    for member in etcd_cluster.members[1:]:
        member.kill()
    done = run("status", "--json", "--url", f"{etcd_cluster.url}?timeout=1")

    assert 3 == done.code
    assert [False, False, False] == [row["healthy"] for row in done.json["endpoints"]]
    assert [True, False, False] == [row["error"] is None for row in done.json["endpoints"]]
    assert done.json["settings"] is None
    assert "No etcd endpoint answered" in done.err


def test_no_answer_at_all_is_code_3(run: Run) -> None:
    """Every endpoint is named."""
    ports = free_port(), free_port()
    done = run("status", "--url", f"etcd://127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}/app/?timeout=5")

    assert (3, "") == (done.code, done.out)
    assert all(f"127.0.0.1:{port}" in done.err for port in ports)
    assert len(done.err.splitlines()) <= 3


def test_wrong_credentials_are_code_4(run: Run) -> None:
    """Although the status itself is told to anybody."""
    with EtcdServer(auth=True) as server:
        assert 0 == run("status", "--url", server.url).code
        assert 4 == run("status", "--url", f"etcd://app:wrong@{server.endpoint}/config/app/").code
        other = run("status", "--json", "--url", server.url.replace("/config/app/", "/other/"))

    assert (4, None) == (other.code, other.json["settings"])


def test_an_alarm_is_shown(run: Run) -> None:
    """With the member's number as etcdctl prints it."""
    with EtcdServer() as server:
        member = int(server.call("cluster/member/list")["members"][0]["ID"])
        server.call("maintenance/alarm", {"action": "ACTIVATE", "memberID": str(member), "alarm": "NOSPACE"})
        done = run("status", "--url", server.url)

    assert f"alarm NOSPACE of member {member:x}" in done.out.splitlines()
    assert "unhealthy" in done.out


def test_without_a_prefix_nothing_is_counted(
    etcd_server: EtcdServer, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With etcdctl's variables alone; a file is no etcd."""
    monkeypatch.setenv("ETCDCTL_ENDPOINTS", etcd_server.endpoint)
    done = run("status", "--json")

    assert (0, None) == (done.code, done.json["settings"])
    assert 6 == run("status", "--url", f"file://{tmp_path}/a.toml").code


def test_a_terminal_gets_a_table(etcd_server: EtcdServer) -> None:
    """With a title for each column, in colours."""
    code, shown = on_terminal("status", "--url", etcd_server.url)

    assert 0 == code
    assert "endpoint" in shown
    assert "\x1b[32mhealthy" in shown

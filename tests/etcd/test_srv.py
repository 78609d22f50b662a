"""DNS says where the members are, by a real exchange with a DNS server of ours."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest

from etcd_settings import Connection, Source, UnavailableError
from etcd_settings.errors import ConfigurationError
from etcd_settings.etcd import Client
from etcd_settings.testing import EtcdServer


class Zone:
    """A DNS server on the loopback that knows some SRV records, and counts what it is asked."""

    def __init__(self) -> None:
        self.records: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                request, sender = self._socket.recvfrom(4096)
            except OSError:
                return
            query = dns.message.from_wire(request)
            name = str(query.question[0].name)
            self.asked.append(name)
            answer = dns.message.make_response(query)
            if name in self.records:
                answer.answer.append(dns.rrset.from_text(name, 1, "IN", "SRV", *self.records[name]))
            else:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            self._socket.sendto(answer.to_wire(), sender)


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Zone]:
    zone = Zone()
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], zone.port
    monkeypatch.setattr("dns.resolver.default_resolver", resolver)
    yield zone
    zone.close()


def test_endpoints_come_from_dns(zone: Zone, etcd_server: EtcdServer) -> None:
    """A source with ``etcd+srv`` finds its etcd, passing over a member that is down, and asks DNS once."""
    port = etcd_server.endpoint.rpartition(":")[2]
    zone.records["_etcd-client._tcp.example.com."] = ["10 1 " + port + " localhost.", "0 1 1 localhost."]
    with Client(etcd_server.url) as client:
        client.put("/config/app/a", "1")

    with Source("etcd+srv://example.com/config/app/") as source:
        assert "1" == source.refresh()["a"].text
        assert "1" == source.refresh()["a"].text
        assert f"localhost:{port}" == source.status().endpoint

    assert ["_etcd-client._tcp.example.com."] == zone.asked


def test_dns_is_asked_again_after_all_endpoints_failed(zone: Zone, etcd_server: EtcdServer) -> None:
    """A cluster that moved is found at its new place."""
    name = "_etcd-client._tcp.example.com."
    zone.records[name] = ["0 1 1 localhost."]
    with Client("etcd+srv://example.com/") as client:
        with pytest.raises(UnavailableError):
            client.get("a")
        zone.records[name] = [f"0 1 {etcd_server.endpoint.rpartition(':')[2]} localhost."]

        assert None is client.get("a")


def test_with_tls_another_service_is_asked_for(zone: Zone) -> None:
    """``etcds+srv`` asks for ``_etcd-client-ssl``, and an unknown name is told as DNS was asked for it."""
    with Client("etcds+srv://example.com/") as client, pytest.raises(UnavailableError) as e:
        client.get("a")

    assert {"_etcd-client-ssl._tcp.example.com": "no such SRV records"} == e.value.attempts


def test_lower_priorities_come_first(zone: Zone) -> None:
    """What is to be asked first is asked first."""
    zone.records["_etcd-client._tcp.example.com."] = ["20 1 3 c.test.", "0 1 1 a.test.", "10 1 2 b.test."]

    with Client("etcd+srv://example.com/") as client:
        found = client._calls.endpoints.find(client._calls.deadline(None))

    assert ("a.test:1", "b.test:2", "c.test:3") == found


def test_without_dnspython_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra, and the error says which."""
    monkeypatch.setitem(__import__("sys").modules, "dns.resolver", None)

    with Client(Connection(srv="example.com")) as client, pytest.raises(ConfigurationError, match=r"settings\[srv\]"):
        client.get("a")

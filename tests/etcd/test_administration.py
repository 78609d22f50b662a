"""The client says how a real cluster is, also while it is not well."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from etcd_settings.connection import Connection
from etcd_settings.errors import AuthenticationError, UnavailableError
from etcd_settings.etcd import Alarm, Client
from etcd_settings.testing import EtcdCluster, EtcdServer
from tests.waiting import eventually

TIMEOUT = 3.0
"""Seconds; what does not answer takes all of them."""


@pytest.fixture
def client(etcd_cluster: EtcdCluster) -> Iterator[Client]:
    with Client(f"{etcd_cluster.url}?timeout={TIMEOUT}") as client:
        yield client


def test_members_are_those_of_the_cluster(client: Client, etcd_cluster: EtcdCluster) -> None:
    """Each with its name and where clients find it; ids are those that members answer with."""
    members = client.members()

    assert sorted(member.name for member in etcd_cluster.members) == [member.name for member in members]
    assert {f"http://{endpoint}" for endpoint in etcd_cluster.endpoints} == {
        url for member in members for url in member.client_urls
    }
    assert not any(member.is_learner or not member.peer_urls for member in members)
    assert {member.id for member in members} == {status.member_id for status in client.status().values()}


def test_every_endpoint_tells_its_status(client: Client, etcd_cluster: EtcdCluster) -> None:
    """They agree on the leader, who knows that it leads; versions and sizes are the server's own."""
    eventually(lambda: 1 == len({status.leader for status in client.status().values()}))
    told = client.status()
    own = etcd_cluster.members[0].status()

    assert [*etcd_cluster.endpoints] == [*told]
    assert 1 == sum(status.is_leader for status in told.values())
    first = told[etcd_cluster.members[0].endpoint]
    assert (own["version"], int(own["raftTerm"])) == (first.version, first.raft_term)
    assert first.db_size is not None
    assert first.db_size_in_use is not None
    assert first.db_size >= first.db_size_in_use > 0
    assert ((), None, False) == (first.errors, first.error, first.is_learner)
    assert dict.fromkeys(etcd_cluster.endpoints, True) == client.health()


@pytest.mark.parametrize("hurt", ["stop", "pause"])
def test_one_member_down_is_told_of_that_one(client: Client, etcd_cluster: EtcdCluster, hurt: str) -> None:
    """Whether it is gone or frozen: the others answer, and the error says why it does not."""
    victim = etcd_cluster.members[1]
    getattr(victim, hurt)()
    told, health = client.status(), client.health()

    assert [victim.endpoint] == [endpoint for endpoint, status in told.items() if status.error is not None]
    assert isinstance(told[victim.endpoint].error, UnavailableError)
    assert told[victim.endpoint].version is None
    assert all(status.version for endpoint, status in told.items() if endpoint != victim.endpoint)
    assert {endpoint: endpoint != victim.endpoint for endpoint in etcd_cluster.endpoints} == health
    assert 3 == len(client.members())


def test_without_a_quorum_nobody_is_healthy(client: Client, etcd_cluster: EtcdCluster) -> None:
    """The one that is left still tells its status, and that it has no leader."""
    left, *others = etcd_cluster.members
    for member in others:
        member.kill()

    eventually(lambda: client.status()[left.endpoint].leader is None)
    status = client.status()[left.endpoint]
    assert (None, False) == (status.error, status.is_leader)
    assert status.errors
    assert dict.fromkeys(etcd_cluster.endpoints, False) == client.health(timeout=1)


def test_an_alarm_is_told_and_makes_unhealthy() -> None:
    """It is there until somebody disarms it."""
    with EtcdServer() as server, Client(server.url) as client:
        assert () == client.alarms()
        assert {server.endpoint: True} == client.health()
        (member,) = client.members()
        server.call("maintenance/alarm", {"action": "ACTIVATE", "memberID": str(member.id), "alarm": "NOSPACE"})

        assert (Alarm(member.id, "NOSPACE"),) == client.alarms()
        assert {server.endpoint: False} == client.health()


def test_with_authentication_a_status_takes_no_password() -> None:
    """Members tell it to anybody; health is read as somebody, and a wrong password is no illness."""
    with EtcdServer(auth=True) as server:
        with Client(server.url) as client:
            assert client.status()[server.endpoint].version
            assert {server.endpoint: True} == client.health()
            assert 1 == len(client.members())
        with Client(Connection(server.endpoint, user="app", password="wrong")) as client:
            assert client.status()[server.endpoint].version
            with pytest.raises(AuthenticationError):
                client.health()

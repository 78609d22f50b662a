"""A real cluster suffers what the kit does to its members, and no more."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from etcd_settings.errors import RequestError
from etcd_settings.etcd import Client
from etcd_settings.testing import EtcdCluster, Member, StartError
from tests.forking import in_child, status
from tests.waiting import eventually

pytestmark = pytest.mark.etcd

pytestmark = pytest.mark.flaky(reruns=2)  # raft's elections take as long as they take where two cores are busy

KEY = "/config/app/a"


def sees_leader(member: Member) -> bool:
    return bool(member.status().get("leader", "0") != "0")


def locally(member: Member) -> str:
    """What a member knows of the key without asking the others."""
    return member.etcdctl("get", "--consistency=s", "--print-value-only", KEY).strip()


def test_its_url_names_every_member(etcd_cluster: EtcdCluster) -> None:
    """The cluster's URL lists all endpoints, a member's its own, and both have the prefix as their path."""
    url = urlsplit(etcd_cluster.url)

    assert (",".join(etcd_cluster.endpoints), etcd_cluster.prefix) == (url.netloc, url.path)
    assert 3 == len(set(etcd_cluster.endpoints)) == len(etcd_cluster.members)
    assert etcd_cluster.endpoints[1] == urlsplit(etcd_cluster.members[1].url).netloc


def test_members_are_one_cluster(etcd_cluster: EtcdCluster) -> None:
    """What is written through one is read, linearizably, through each."""
    etcd_cluster.put(KEY, "1")

    assert {f"{KEY}\n1\n"} == {member.etcdctl("get", KEY) for member in etcd_cluster.members}


def test_with_tls_and_users_its_url_is_all_that_a_client_needs() -> None:
    """The URL of a whole cluster opens the door at every member, and a leader is found without logging in."""
    with EtcdCluster(tls=True, auth=True) as cluster:
        for url in (cluster.url, cluster.root_url, *(member.url for member in cluster.members)):
            with Client(url) as client:
                client.put(KEY, url.partition("@")[2])
        assert cluster.leader() in cluster.members


def test_another_leads_when_the_leader_dies(etcd_cluster: EtcdCluster) -> None:
    """Two of three go on, and never is a dead member given for the leader."""
    leader = etcd_cluster.leader()

    leader.kill()

    assert leader is not etcd_cluster.leader()
    revision = etcd_cluster.put(KEY, "after")
    leader.start()
    assert revision == leader.revision()


def test_another_leads_when_the_leader_freezes(etcd_cluster: EtcdCluster) -> None:
    """A paused leader is replaced, and catches up when it goes on."""

    def has_caught_up() -> bool:
        try:
            return revision == leader.revision()
        except RequestError:  # it has yet to hear that the leader changed
            return False

    leader = etcd_cluster.leader()

    leader.pause()

    assert leader is not etcd_cluster.leader()
    revision = etcd_cluster.put(KEY, "after")
    leader.resume()
    eventually(has_caught_up)


def test_a_parted_member_stands_alone(etcd_cluster: EtcdCluster) -> None:
    """It loses its leader and hears nothing of what the others decide, while clients still reach it; then it heals."""
    etcd_cluster.put(KEY, "before")
    index = etcd_cluster.members.index(etcd_cluster.leader())

    with etcd_cluster.partition(index) as lonely:
        eventually(lambda: not sees_leader(lonely))
        etcd_cluster.put(KEY, "during")
        assert "before" == locally(lonely)
        with pytest.raises(RequestError, match=r"timed out|deadline exceeded|no leader"):
            lonely.etcdctl("--command-timeout=300ms", "get", KEY)

    eventually(lambda: locally(lonely) == "during")


def test_a_parted_follower_changes_nothing_for_the_others(etcd_cluster: EtcdCluster) -> None:
    """The leader stays the same during a follower's absence."""
    leader = etcd_cluster.leader()
    index = (etcd_cluster.members.index(leader) + 1) % 3

    with etcd_cluster.partition(index) as lonely:
        eventually(lambda: not sees_leader(lonely))
        assert leader is etcd_cluster.leader()


def test_partitions_nest(etcd_cluster: EtcdCluster) -> None:
    """Two parted members are apart from each other too, and each comes back by itself."""
    etcd_cluster.put(KEY, "before")

    with etcd_cluster.partition(0):
        with etcd_cluster.partition(1):
            eventually(lambda: not any(sees_leader(member) for member in etcd_cluster.members))
        assert etcd_cluster.leader() in etcd_cluster.members[1:]
        etcd_cluster.put(KEY, "during")
        assert "before" == locally(etcd_cluster.members[0])

    eventually(lambda: locally(etcd_cluster.members[0]) == "during")


def test_without_a_quorum_there_is_no_leader(etcd_cluster: EtcdCluster) -> None:
    """One of three cannot lead; who asks for the leader is told so, and healing brings one back."""
    etcd_cluster.put(KEY, "1")
    for member in etcd_cluster.members[1:]:
        member.kill()

    with pytest.raises(StartError, match=r"no leader for 0\.05 seconds"):
        etcd_cluster.leader(timeout=0.05)
    etcd_cluster.heal()

    assert f"{KEY}\n1\n" == etcd_cluster.leader().etcdctl("get", KEY)


def test_stop_and_start_keep_addresses_and_data(etcd_cluster: EtcdCluster) -> None:
    """After an outage of all members the cluster is what it was."""
    etcd_cluster.put(KEY, "1")
    before = etcd_cluster.url

    etcd_cluster.stop()
    assert "<EtcdCluster of etcd0: down, etcd1: down, etcd2: down>" == repr(etcd_cluster)
    etcd_cluster.start()

    assert before == etcd_cluster.url
    assert f"{KEY}\n1\n" == etcd_cluster.leader().etcdctl("get", KEY)


def test_a_restored_cluster_goes_back_in_time(etcd_cluster: EtcdCluster, tmp_path: Path) -> None:
    """All members hold the backup's data at the backup's revision; addresses and the cluster's id stay."""
    saved = etcd_cluster.put(KEY, "old")
    backup = etcd_cluster.backup(tmp_path / "backup.db")
    etcd_cluster.put(KEY, "new")
    before = etcd_cluster.url, etcd_cluster.leader().status()["header"]["cluster_id"]

    etcd_cluster.restore(backup)

    assert {("old", saved)} == {(locally(member), member.revision()) for member in etcd_cluster.members}
    assert before == (etcd_cluster.url, etcd_cluster.leader().status()["header"]["cluster_id"])
    with etcd_cluster.partition(0):  # whose senders are known anew
        assert etcd_cluster.leader() in etcd_cluster.members


def test_nothing_is_left_behind() -> None:
    """After the block neither processes nor the folder are there; closing again is harmless."""
    with EtcdCluster(size=2) as cluster:
        pids = [member.pid for member in cluster.members]
        folder = cluster.site.folder

    cluster.close()

    assert [False, False] == [Path(f"/proc/{pid}").exists() for pid in pids]
    assert not folder.exists()


def test_a_failed_start_leaves_nothing_behind() -> None:
    """One member that cannot start ends the others."""
    cluster = EtcdCluster(args=("--no-such-flag",))
    with pytest.raises(StartError, match=r"etcd0 did not start(?s:.)*no-such-flag"), cluster:
        pytest.fail("it started")

    assert {"down"} == {member.state for member in cluster.members}
    assert not cluster.site.folder.exists()


def test_a_forked_child_ends_nothing(etcd_cluster: EtcdCluster) -> None:
    """A child that runs its parent's clean-up disturbs neither the members nor the lines between them."""
    assert 0 == status(in_child(etcd_cluster.close))

    with etcd_cluster.partition(0):
        etcd_cluster.put(KEY, "1")
    eventually(lambda: all(member.health() for member in etcd_cluster.members))

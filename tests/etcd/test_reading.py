"""A bulk read is one round trip at one revision, and whole at any size."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from etcd_settings import tree
from etcd_settings.etcd import Client, Put, reading
from etcd_settings.testing import EtcdServer

APP = "/config/app/"


def fill(client: Client, paths: list[str]) -> None:
    for start in range(0, len(paths), 128):
        client.txn(success=[Put(APP + path, path) for path in paths[start : start + 128]])


def test_layers_come_in_one_call(client: Client, etcd_server: EtcdServer, calls: Callable[[], int]) -> None:
    """Three layers cost one transaction and no Range, says the server itself; order is as asked for."""
    fill(client, ["common/a", "prod/a", "prod/orders/a", "between/a"])
    before = calls()

    snapshot = client.read({name: APP + name for name in ("common/", "prod/", "prod/orders/")})

    assert 1 == calls() - before
    assert ["common/", "prod/", "prod/orders/"] == list(snapshot.layers)
    assert {"a", "orders/a"} == set(snapshot)
    assert "prod/orders/" == snapshot["a"].layer


def test_more_layers_than_one_transaction_takes(client: Client, calls: Callable[[], int]) -> None:
    """130 layers are two calls, and nothing is missing."""
    fill(client, [f"l{i}/a" for i in range(130)])
    before = calls()

    snapshot = client.read({f"l{i}/": f"{APP}l{i}/" for i in range(130)})

    assert 2 == calls() - before
    assert [1] * 130 == [len(entries) for entries in snapshot.layers.values()]


def test_pages_are_pinned_to_the_first_ones_revision(
    client: Client, calls: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written while pages are read is in none of them."""
    fill(client, [f"k{i:02}" for i in range(25)])
    monkeypatch.setattr(reading, "_PAGE", 10)
    asked = reading._Reading._ask

    def write_after_the_first_page(self: reading._Reading, *args: object) -> object:
        answer = asked(self, *args)  # type: ignore[arg-type]  # handed through
        client.put(APP + "k99", "late")
        return answer

    monkeypatch.setattr(reading._Reading, "_ask", write_after_the_first_page)

    snapshot = client.get_prefix(APP)

    assert [f"k{i:02}" for i in range(25)] == sorted(snapshot)


def test_a_compaction_between_pages_starts_over(
    client: Client, etcd_server: EtcdServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pages that were read before are dropped; the result is whole, and newer."""
    fill(client, [f"k{i:02}" for i in range(25)])
    monkeypatch.setattr(reading, "_PAGE", 10)
    asked = reading._Reading._ask
    compacted: list[int] = []

    def compact_after_the_first_page(self: reading._Reading, *args: object) -> object:
        answer = asked(self, *args)  # type: ignore[arg-type]  # handed through
        if not compacted:
            compacted.append(client.put(APP + "k99", "late"))
            etcd_server.compact(compacted[0])
        return answer

    monkeypatch.setattr(reading._Reading, "_ask", compact_after_the_first_page)

    snapshot = client.get_prefix(APP)

    assert [*(f"k{i:02}" for i in range(25)), "k99"] == sorted(snapshot)
    assert compacted == [snapshot.revision]


@pytest.mark.parametrize("keys", [10_000, 10_001, 25_000, 100_000])
def test_any_number_of_keys_becomes_a_tree(client: Client, calls: Callable[[], int], keys: int) -> None:
    """10,000 keys are one call, each further 10,000 another; every key is in the tree, at one revision."""
    fill(client, [f"s{i % 7}/g{i % 11}/k{i}" for i in range(keys)])
    before = calls()

    snapshot = client.get_prefix(APP, timeout=30)

    assert -(-keys // 10_000) == calls() - before
    assert keys == len(snapshot)
    settings = tree.build(snapshot)
    assert keys == sum(len(group) for service in settings.values() for group in service.values())


def test_an_answer_of_any_size_is_taken(client: Client) -> None:
    """Etcd takes requests of 1.5 MiB and gives answers of any size: here 14 MB in one."""
    values = {f"k{i:02}": bytes([i]) * 1_400_000 for i in range(10)}
    for path, value in values.items():
        client.put(APP + path, value)

    snapshot = client.get_prefix(APP, timeout=30)

    assert values == {path: entry.value for path, entry in snapshot.items()}

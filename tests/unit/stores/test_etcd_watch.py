"""Which state a watch of several layers claims, and when it has to ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from etcd_settings.errors import ClosedError, PermissionDeniedError, RestoredError
from etcd_settings.etcd import Batch, Client, Event
from etcd_settings.snapshot import Entries, Entry, Snapshot
from etcd_settings.stores.etcd import EtcdWatch

TOGETHER = {"a/": "/config/a/", "b/": "/config/b/"}
APART = {"/config/a/": "/config/a/", "other/": "other/"}


class ScriptedWatch:
    """Says what the test wants, one thing for each poll."""

    def __init__(self, says: list[Batch | Exception]) -> None:
        self._says, self.closed = says, False
        self.endpoint = "scripted"

    def poll(self, timeout: float) -> Batch | None:
        if self.closed:
            raise ClosedError("Watch")
        said = self._says.pop(0)
        if isinstance(said, Exception):
            raise said
        return said

    def close(self) -> None:
        self.closed = True


class ScriptedClient:
    """Opens watches that say what the test wants, and reads at the revisions that it names."""

    def __init__(self, *watches: list[Batch | Exception], reads: Sequence[int] = ()) -> None:
        self._watches, self._reads = [ScriptedWatch(says) for says in watches], list(reads)
        self.watched: list[list[str]] = []

    def watch_prefixes(self, prefixes: list[str], **_: Any) -> ScriptedWatch:
        self.watched.append(prefixes)
        return self._watches[len(self.watched) - 1]

    def read(self, layers: Mapping[str, str]) -> Snapshot:
        return empty(layers, self._reads.pop(0))


def empty(layers: Mapping[str, str], revision: int) -> Snapshot:
    return Snapshot({layer: Entries((), prefix=prefix, layer=layer) for layer, prefix in layers.items()}, revision)


def watch(client: ScriptedClient, layers: Mapping[str, str], since: int = 5) -> EtcdWatch:
    return EtcdWatch(cast(Client, client), layers, empty(layers, since), lambda _: None)


def put(revision: int, *keys: str) -> Batch:
    return Batch(revision, tuple(Event("put", Entry(key, b"", mod_revision=revision)) for key in keys))


DENIED = PermissionDeniedError(endpoint="scripted", user="app", prefix="/config/", access="read", is_prefix=True)


def test_one_watch_covers_layers_that_have_something_in_common() -> None:
    """What it tells is applied without asking, to every layer at once; what lies between the layers changes nothing."""
    client = ScriptedClient([put(6, "/config/a/x", "/config/b/x"), put(7, "/config/c/x"), Batch(9, ())])
    under_test = watch(client, TOGETHER)

    seen = [under_test.poll(0) for _ in range(3)]

    assert [["/config/"]] == client.watched
    assert [6, 7, 9] == [snapshot.revision for snapshot in seen if snapshot]
    assert [[["x"], ["x"]]] * 3 == [[[*layer] for layer in snapshot.layers.values()] for snapshot in seen if snapshot]


def test_what_one_of_several_watches_tells_is_a_reason_to_read() -> None:
    """Mere progress of one says nothing of the others, whose events may be on their way: only a read may claim it."""
    client = ScriptedClient([Batch(8, ()), put(9, "other/x"), put(10, "other/x")], reads=[8, 12])
    under_test = watch(client, APART)

    seen = [under_test.poll(0) for _ in range(3)]

    assert [[*APART.values()]] == client.watched
    assert [8, 12, None] == [getattr(snapshot, "revision", None) for snapshot in seen]


def test_a_read_behind_what_was_told_means_a_restore() -> None:
    """It is linearizable, so nothing else explains it; and no state goes back without being called restored."""
    under_test = watch(ScriptedClient([put(9, "other/x")], reads=[6]), APART)

    with pytest.raises(RestoredError) as e:
        under_test.poll(0)

    assert 6 == e.value.revision


def test_where_the_common_part_is_denied_each_layer_is_watched() -> None:
    """A role that allows the layers only is enough; closed meanwhile, it does not wait on the new watches."""
    client = ScriptedClient([DENIED], [put(6, "/config/a/x")], reads=[6])
    under_test = watch(client, TOGETHER)

    assert None is under_test.poll(0)
    assert 6 == getattr(under_test.poll(0), "revision", None)
    assert [["/config/"], ["/config/a/", "/config/b/"]] == client.watched


def test_closed_while_it_falls_back_it_stays_closed() -> None:
    """Whoever closed the one watch that there was closed them all."""
    client = ScriptedClient([DENIED], [put(6, "/config/a/x")])
    under_test = watch(client, TOGETHER)
    under_test.close()
    client._watches[0].closed = False  # `close` came after the refusal, and before the new watches

    assert None is under_test.poll(0)
    with pytest.raises(ClosedError):
        under_test.poll(0)

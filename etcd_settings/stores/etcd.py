"""Keep entries in etcd."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from os.path import commonprefix
from typing import Protocol, Self

from etcd_settings.connection import Connection
from etcd_settings.errors import PermissionDeniedError, RestoredError
from etcd_settings.etcd import Batch, Client
from etcd_settings.snapshot import Entry, Snapshot

__all__ = ["BatchWatch", "EtcdStore", "EtcdWatch", "Watchable"]


class BatchWatch(Protocol):
    """What a client tells of keys; `etcd_settings.etcd.Watch` is one."""

    @property
    def endpoint(self) -> str | None: ...
    def poll(self, timeout: float) -> Batch | None: ...
    def close(self) -> None: ...
    def __exit__(self, *exception: object) -> None: ...


class Watchable(Protocol):
    """What a client must be able to do so that an `EtcdWatch` can make snapshots of it; see `Client`."""

    def read(self, layers: Mapping[str, str]) -> Snapshot: ...
    def watch_prefixes(
        self,
        prefixes: Sequence[str],
        *,
        after: int,
        cluster_id: int | None,
        on_connection: Callable[[bool], None],
    ) -> BatchWatch: ...


class EtcdStore:
    """
    An etcd cluster as a store.

    Thread-safe. Nothing is opened before the first read.

    Args:
        connection: Where the cluster is, and who we are.
    """

    def __init__(self, connection: Connection) -> None:
        self.client = Client(connection)

    @property
    def endpoint(self) -> str | None:
        """The endpoint that served last, or will be asked first."""
        return self.client.endpoint

    def read(self, layers: Mapping[str, str], *, timeout: float) -> Snapshot:
        """Read all layers at one revision; see `Client.read`."""
        return self.client.read(layers, timeout=timeout)

    def watch(self, layers: Mapping[str, str], since: Snapshot, *, on_connection: Callable[[bool], None]) -> EtcdWatch:
        """Watch all layers from the snapshot's revision on."""
        return EtcdWatch(self.client, layers, since, on_connection)

    def close(self) -> None:
        """Drop all connections."""
        self.client.close()

    def __repr__(self) -> str:
        return f"<EtcdStore of {self.client!r}>"


class EtcdWatch:
    """
    Makes the next snapshot of what a watch tells.

    An etcd transaction must be seen whole, across layers too. Several watches on one stream do not promise that, one
    watch does: so one watch covers all layers, from what their prefixes have in common. Where a role does not allow
    that (or they have nothing in common), each layer has its own, and what they tell is only that it is time to read:
    then a change costs a read, and so does progress.
    """

    def __init__(
        self, client: Watchable, layers: Mapping[str, str], since: Snapshot, on_connection: Callable[[bool], None]
    ) -> None:
        self._client, self._layers, self._snapshot = client, layers, since
        self._on_connection = on_connection
        cover = commonprefix([*layers.values()])  # noqa: RUF071  # character by character is what is wanted
        self._is_whole = len(layers) == 1 or bool(cover)
        self._closed = False
        self._watch = self._open([cover] if self._is_whole else [*layers.values()])

    @property
    def connected(self) -> bool:
        """Whether the watch stands."""
        return self._watch.endpoint is not None

    def poll(self, timeout: float) -> Snapshot | None:
        """Wait for the next snapshot; see `StoreWatch`."""
        try:
            batch = self._watch.poll(timeout)
        except PermissionDeniedError:
            if not self._is_whole or len(self._layers) == 1:
                raise
            batch = None
            self._is_whole = False
            self._watch = self._open([*self._layers.values()])
            if self._closed:  # meanwhile, when there was only the other watch to close
                self._watch.close()
        if batch is None or batch.revision <= self._snapshot.revision:
            return None
        if self._is_whole:
            self._snapshot = self._snapshot.evolve(batch.revision, self._changes(batch))
        else:
            self._snapshot = self._read(batch.revision)
        return self._snapshot

    def close(self) -> None:
        """End it."""
        self._closed = True
        self._watch.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._watch.__exit__(*exception)

    def _open(self, prefixes: list[str]) -> BatchWatch:
        return self._client.watch_prefixes(
            prefixes,
            after=self._snapshot.revision,
            cluster_id=self._snapshot.cluster_id,
            on_connection=self._on_connection,
        )

    def _read(self, told: int) -> Snapshot:
        """Read, after one of several watches told of a revision: progress too says nothing of the other watches."""
        snapshot = self._client.read(self._layers)
        if snapshot.revision < told:  # the read is linearizable, and there is nothing that it could lag behind
            raise RestoredError(snapshot.revision)
        return snapshot

    def _changes(self, batch: Batch) -> dict[str, dict[str, Entry | None]]:
        changes: dict[str, dict[str, Entry | None]] = {}
        for event in batch.events:
            for layer, prefix in self._layers.items():
                if event.entry.key.startswith(prefix):
                    written = replace(event.entry, layer=layer) if event.kind == "put" else None
                    changes.setdefault(layer, {})[event.entry.key[len(prefix) :]] = written
        return changes

"""
Know which instances of a service are there.

An instance is a key below the registry's prefix, ``SERVICE/ID.json``, that lives on a lease: it is gone when its
process is. To those who ask, a service is a branch of settings, read and followed as any other.

It knows keys, records, and what to do when a lease is lost. It knows nothing of what the instances are for.

Invariant: while a registration is open, its thread holds its key on a lease that is alive, or is trying to.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import weakref
from collections.abc import Mapping
from typing import Any, Self

from etcd_settings.connection import Connection
from etcd_settings.errors import ClosedError, ConfigurationError, EtcdSettingsError
from etcd_settings.etcd import Client, Lease
from etcd_settings.live import Live
from etcd_settings.options import Keywords, resolve
from etcd_settings.source import Source
from etcd_settings.spelling import flatten, spell
from etcd_settings.stores.etcd import EtcdStore
from etcd_settings.tree import Tree

__all__ = ["Instances", "Registration", "Registry"]

log = logging.getLogger("etcd_settings")

Instances = Mapping[str, Mapping[str, Any]]
"""The instances of a service: id → record."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
"""Seconds, at most, before the first and before later attempts to register again; twice as many each, with jitter."""

_CLOSING = 1.0
"""Seconds that `Registration.close` waits for its thread, which may be registering again."""


class Registry:
    """
    Services and their instances, below one prefix in etcd.

    Thread-safe. Making one asks etcd for nothing. Close it, or use it as a context manager.

    Args:
        url: Where they are, such as ``etcd://host:2379/services/``; None takes ``$ETCD_SETTINGS_URL``.

    Raises:
        ConfigurationError: The URL is not usable, is not one of an etcd, or has layers.
    """

    def __init__(self, url: str | None = None) -> None:
        options = resolve(url, Keywords())
        if not isinstance(options.where, Connection) or options.layers != ("",):
            raise ConfigurationError(
                "A registry lives on leases below one prefix, which takes an etcd://… URL without layers.",
                subject="url",
            )
        self._title, self._prefix, self._timeout = options.title, options.prefix, options.timeout
        self._store = EtcdStore(options.where)
        self._sources: dict[str, Source] = {}
        self._registrations: weakref.WeakKeyDictionary[Registration, None] = weakref.WeakKeyDictionary()

    def register(self, service: str, id: str, *, ttl: int, **record: Any) -> Registration:  # noqa: A002  # as it is called
        """
        Register an instance, until that is closed: ``with registry.register("web", "web-1", ttl=10, port=80): …``.

        Whoever registers the same service and id later takes its place.

        Args:
            service: The service; no slash.

            id: Which instance of it; no slash.

            ttl: For how many seconds it is still listed after its process died; see `Client.lease`.

            record: What others need to know of it: texts, numbers, booleans, null, and lists and mappings of these.

        Raises:
            ConfigurationError: A name or the record cannot be written.
            EtcdSettingsError: Etcd did not answer, or refused it. Later it goes on trying.
        """
        (path,) = flatten({service: {id: {}}})  # of an empty document
        registration = Registration(self._store.client, self._prefix + path, spell(record, where=id), ttl)
        self._registrations[registration] = None
        return registration

    def instances(self, service: str) -> Instances:
        """
        Ask etcd which instances there are.

        Raises:
            DecodeError: Somebody wrote a record that is no JSON.
            EtcdSettingsError: Etcd did not answer, or refused it.
        """
        return _instances(self._store.client.get_tree(self._below(service)))

    def watch(self, service: str) -> Live[Instances]:
        """
        Follow the instances: ``with registry.watch("web") as live: live.current``.

        It is a `Live` that is not started yet, with all that one can do. That there is no instance, or none any more,
        is no error to it.
        """
        prefix = self._below(service)
        source = self._sources.setdefault(service, Source(store=self._store, prefix=prefix, timeout=self._timeout))
        return Live(lambda: _instances(source.tree()), allow_empty=True)

    def close(self) -> None:
        """Take back what is registered by it, and drop all connections. Closing twice is harmless."""
        for reference in self._registrations.keyrefs():  # a copy, whatever other threads do
            registration = reference()
            if registration is not None:
                registration.close()
        for source in self._sources.values():
            source.close()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Registry {self._title}>"

    def _below(self, service: str) -> str:
        flatten({service: {}})  # raises if that cannot be the name of a branch
        return f"{self._prefix}{service}/"


class Registration:
    """
    An instance that is registered until this is closed; made by `Registry.register`, and best used in a ``with``.

    When its lease is lost, in an outage that was longer than the ttl, it registers again until that succeeds.

    Thread-safe. A forked child does not own it, and takes nothing back.
    """

    def __init__(self, client: Client, key: str, value: str | bytes, ttl: int) -> None:
        self._client, self._key, self._value, self._ttl = client, key, value, ttl
        self._owner = os.getpid()
        self._closing = threading.Event()
        self._lease = self._write()
        self._thread = threading.Thread(target=self._keep, name="etcd-settings-registration", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take it back at once, as far as etcd can be reached within a second. Closing twice is harmless."""
        if os.getpid() == self._owner:
            self._closing.set()
            self._lease.close()
            self._thread.join(_CLOSING)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Registration of {self._key}>"

    def _write(self) -> Lease:
        lease = self._client.lease(self._ttl)
        try:
            self._client.put(self._key, self._value, lease=lease.id)
        except BaseException:
            lease.close()
            raise
        return lease

    def _keep(self) -> None:
        while True:
            self._lease.lost.wait()
            if not self._register_again():
                return

    def _register_again(self) -> bool:
        """Come back when it is registered (True), or closed."""
        longest = _FIRST_PAUSE
        while not self._closing.wait(random.uniform(0, longest)):  # noqa: S311  # jitter, no cryptography
            try:
                self._lease = self._write()
            except ClosedError:
                return False
            except EtcdSettingsError as e:
                if longest == _FIRST_PAUSE:
                    log.warning("%s is not registered, which is tried again until it works. %s", self._key, e)
                longest = min(2 * longest, _LONGEST_PAUSE)
            else:
                log.info("%s is registered again, after its lease was lost.", self._key)
                if self._closing.is_set():  # by somebody who saw the lease before
                    self._lease.close()
                return True
        return False


def _instances(tree: Tree) -> Instances:
    return {name: record for name, record in tree.items() if isinstance(record, dict)}

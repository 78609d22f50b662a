"""
Read any number of keys under several prefixes, all at one revision.

One Range, or one transaction of Ranges, up to 128 prefixes with 10,000 keys each. What is beyond that comes in further
calls, pinned to the revision of the first. Never one Range that covers all prefixes: a role may not allow what lies
between them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from etcd_settings.errors import CompactedError, EtcdSettingsError, PermissionDeniedError, combine
from etcd_settings.etcd.calls import Caller, Purpose
from etcd_settings.etcd.messages import message
from etcd_settings.etcd.requests import MAX_OPERATIONS
from etcd_settings.keys import ALL_KEYS, encode_key, range_end
from etcd_settings.snapshot import Entries, Row, Snapshot

__all__ = ["read"]

_PAGE = 10_000
"""Keys to ask for at once from each prefix."""


def read(calls: Caller, layers: Mapping[str, str], *, revision: int = 0, deadline: float) -> Snapshot:
    """
    Read all keys of *layers*, which maps names to prefixes.

    Args:
        calls: How to reach etcd.

        layers: Layer → prefix, lowest first.

        revision: The revision to read at; 0 means now.

        deadline: When to give up, on `time.monotonic`'s clock.

    Raises:
        CompactedError: *revision* is older than etcd remembers.
        PermissionDeniedError: Names every prefix that may not be read.
    """
    while True:
        try:
            return _Reading(calls, layers, deadline).run(revision)
        except PermissionDeniedError as e:
            denied = e
            break
        except CompactedError:
            # Without a revision of ours it struck between two pages, and what we have is worth nothing: start over.
            if revision or time.monotonic() >= deadline:
                raise
    raise _who_is_denied(calls, layers, denied, deadline)


@dataclass(frozen=True, slots=True)
class _Page:
    """What is to be asked for next of one layer."""

    layer: str
    key: bytes
    end: bytes

    def request(self, revision: int) -> Any:
        return message("RangeRequest")(key=self.key, range_end=self.end, limit=_PAGE, revision=revision)


class _Reading:
    def __init__(self, calls: Caller, layers: Mapping[str, str], deadline: float) -> None:
        self._calls, self._layers, self._deadline = calls, layers, deadline
        self._rows: dict[str, list[Iterable[Row]]] = {layer: [] for layer in layers}
        self._cluster_id = 0

    def run(self, revision: int) -> Snapshot:
        pages = [_first_page(layer, prefix) for layer, prefix in self._layers.items()]
        while pages:
            asked, pages = pages[:MAX_OPERATIONS], pages[MAX_OPERATIONS:]
            header, answers = self._ask(asked, revision)
            revision, self._cluster_id = revision or header.revision, header.cluster_id
            for page, answer in zip(asked, answers, strict=True):
                self._rows[page.layer].append(answer.kvs)
                if answer.more:
                    pages.append(replace(page, key=answer.kvs[-1].key + b"\0"))
        entries = {
            layer: Entries(chain.from_iterable(self._rows[layer]), prefix=prefix, layer=layer)
            for layer, prefix in self._layers.items()
        }
        return Snapshot(entries, revision, self._cluster_id)

    def _ask(self, pages: list[_Page], revision: int) -> tuple[Any, list[Any]]:
        purpose = Purpose("read", pages[0].key, is_prefix=True)
        requests = [page.request(revision) for page in pages]
        if len(requests) == 1:
            answer = self._calls.call(
                "KV/Range", requests[0], "RangeResponse", purpose=purpose, deadline=self._deadline
            )
            return answer.header, [answer]
        txn = message("TxnRequest")(success=[message("RequestOp")(request_range=request) for request in requests])
        answer = self._calls.call("KV/Txn", txn, "TxnResponse", purpose=purpose, deadline=self._deadline)
        return answer.header, [response.response_range for response in answer.responses]


def _first_page(layer: str, prefix: str) -> _Page:
    key = encode_key(prefix)
    return _Page(layer, key or ALL_KEYS, range_end(key))


def _who_is_denied(
    calls: Caller, layers: Mapping[str, str], denied: PermissionDeniedError, deadline: float
) -> EtcdSettingsError:
    """Find out which of several prefixes it was: the refusal of a transaction does not say."""
    if len(layers) == 1:
        return denied
    problems: list[EtcdSettingsError] = []
    for layer, prefix in layers.items():
        page = _first_page(layer, prefix)
        request = message("RangeRequest")(key=page.key, range_end=page.end, count_only=True)
        purpose = Purpose("read", encode_key(prefix), is_prefix=True)
        try:
            calls.call("KV/Range", request, "RangeResponse", purpose=purpose, deadline=deadline)
        except PermissionDeniedError as e:
            problems.append(e)
        except EtcdSettingsError:
            return denied
    return combine(problems) if problems else denied

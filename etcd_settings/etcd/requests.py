"""
Say what a transaction shall compare, and do.

Small frozen values that read like etcd's own: ``Compare.version("/app/a", "==", 0)``, ``Put("/app/a", "1")``. They know
how to become messages; nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from etcd_settings.errors import ConfigurationError, TooManyChangesError
from etcd_settings.etcd.messages import message
from etcd_settings.keys import ALL_KEYS, encode_key, range_end
from etcd_settings.snapshot import Entry

__all__ = [
    "MAX_CHANGES",
    "MAX_OPERATIONS",
    "Compare",
    "Delete",
    "Get",
    "Put",
    "Request",
    "Response",
    "Txn",
    "TxnResult",
    "nest",
]

MAX_OPERATIONS = 128
"""Operations, and comparisons, that etcd takes at one level of a transaction by default (``--max-txn-ops``)."""

_GROUP = 64
"""Operations in each inner transaction, and inner ones at most: etcd takes as many in each as they leave of the 128."""

MAX_CHANGES = _GROUP * _GROUP
"""Operations in one transaction, inner ones included."""

_RESULTS = {"==": 0, ">": 1, "<": 2, "!=": 3}
_TARGETS = {"version": 0, "create_revision": 1, "mod_revision": 2, "value": 3, "lease": 4}


@dataclass(frozen=True, slots=True)
class Compare:
    """
    One condition of a transaction; made by `value`, `version`, `create_revision`, `mod_revision` or `lease`.

    Args:
        key: The key, or with *prefix* the prefix of all keys that must fulfil it.

        target: What of the key is compared.

        operator: ``==``, ``!=``, ``<`` or ``>``.

        operand: What it is compared with.

        prefix: Whether *key* is a prefix.

    Raises:
        ConfigurationError: There is no such operator.
    """

    key: str | bytes
    target: str
    operator: str
    operand: int | bytes = field(repr=False)
    prefix: bool = False

    def __post_init__(self) -> None:
        if self.operator not in _RESULTS:
            raise ConfigurationError(f"There is no comparison {self.operator!r}; etcd knows {', '.join(_RESULTS)}.")

    @classmethod
    def value(cls, key: str | bytes, operator: str, value: str | bytes, *, prefix: bool = False) -> Compare:
        """Compare the value."""
        return cls(key, "value", operator, encode_key(value), prefix)

    @classmethod
    def version(cls, key: str | bytes, operator: str, version: int, *, prefix: bool = False) -> Compare:
        """Compare how often the key was written since it was created; 0 if it does not exist."""
        return cls(key, "version", operator, version, prefix)

    @classmethod
    def create_revision(cls, key: str | bytes, operator: str, revision: int, *, prefix: bool = False) -> Compare:
        """Compare the revision that created the key; 0 if it does not exist."""
        return cls(key, "create_revision", operator, revision, prefix)

    @classmethod
    def mod_revision(cls, key: str | bytes, operator: str, revision: int, *, prefix: bool = False) -> Compare:
        """Compare the revision that last wrote the key; 0 if it does not exist."""
        return cls(key, "mod_revision", operator, revision, prefix)

    @classmethod
    def lease(cls, key: str | bytes, operator: str, lease: int, *, prefix: bool = False) -> Compare:
        """Compare the id of the key's lease; 0 without one."""
        return cls(key, "lease", operator, lease, prefix)

    def to_message(self) -> Any:
        """Make a ``Compare`` message."""
        made = message("Compare")(
            result=_RESULTS[self.operator], target=_TARGETS[self.target], **span(self.key, prefix=self.prefix)
        )
        setattr(made, self.target, self.operand)
        return made


@dataclass(frozen=True, slots=True)
class Put:
    """Write one key; see `Client.put`."""

    key: str | bytes
    value: str | bytes = field(repr=False)
    lease: int = 0

    def to_message(self) -> Any:
        """Make a ``RequestOp`` message."""
        put = message("PutRequest")(key=encode_key(self.key), value=encode_key(self.value), lease=self.lease)
        return message("RequestOp")(request_put=put)


@dataclass(frozen=True, slots=True)
class Get:
    """Read one key, or with *prefix* all keys that start with it."""

    key: str | bytes
    prefix: bool = False

    def to_message(self) -> Any:
        """Make a ``RequestOp`` message."""
        return message("RequestOp")(request_range=message("RangeRequest")(**span(self.key, prefix=self.prefix)))


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete one key, or with *prefix* all keys that start with it."""

    key: str | bytes
    prefix: bool = False

    def to_message(self) -> Any:
        """Make a ``RequestOp`` message."""
        return message("RequestOp")(
            request_delete_range=message("DeleteRangeRequest")(**span(self.key, prefix=self.prefix))
        )


@dataclass(frozen=True, slots=True)
class Txn:
    """
    A transaction within another: what it does belongs to the outer one, and is done or left with it.

    Etcd counts an inner transaction as one operation of the outer one, and lets it have as many operations as the outer
    one leaves of the 128: 64 times 64 at most.

    Args:
        compare: What must hold; see `Client.txn`.

        success: What to do if all comparisons hold.

        failure: What to do if not.
    """

    compare: tuple[Compare, ...] = ()
    success: tuple[Request, ...] = ()
    failure: tuple[Request, ...] = ()

    def to_message(self) -> Any:
        """Make a ``RequestOp`` message."""
        return message("RequestOp")(request_txn=message("TxnRequest")(**self.fields()))

    def fields(self) -> dict[str, list[Any]]:
        """Give the fields of a ``TxnRequest`` message."""
        return {
            "compare": [each.to_message() for each in self.compare],
            "success": [each.to_message() for each in self.success],
            "failure": [each.to_message() for each in self.failure],
        }

    def leaves(self) -> Iterator[Put | Get | Delete]:
        """Give all requests that may be carried out, those of inner transactions too."""
        for request in (*self.success, *self.failure):
            if isinstance(request, Txn):
                yield from request.leaves()
            else:
                yield request


Request: TypeAlias = Put | Get | Delete | Txn


@dataclass(frozen=True, slots=True)
class TxnResult:
    """
    What a transaction did.

    Args:
        succeeded: Whether all comparisons held.

        revision: The revision after it.

        responses: One for each request of the branch that was taken: the entries that a `Get` found, the number of keys
            that a `Delete` deleted, None for a `Put`, what an inner `Txn` did.
    """

    succeeded: bool
    revision: int
    responses: tuple[Response, ...]

    @classmethod
    def from_message(cls, answer: Any, outer_revision: int = 0) -> TxnResult:
        """Read a ``TxnResponse``; an inner one knows no revision, and has that of the outer one."""
        revision: int = outer_revision or answer.header.revision
        return cls(answer.succeeded, revision, tuple(_response(each, revision) for each in answer.responses))


Response: TypeAlias = tuple[Entry, ...] | int | TxnResult | None


def nest(requests: Sequence[Request]) -> Sequence[Request]:
    """
    Give what one transaction can carry of *requests*: themselves, or inner transactions with them.

    Raises:
        TooManyChangesError: There are more than 4,096.
    """
    if len(requests) <= MAX_OPERATIONS:
        return requests
    if len(requests) > MAX_CHANGES:
        raise TooManyChangesError(len(requests), MAX_CHANGES)
    starts = range(0, len(requests), _GROUP)
    return [Txn(success=tuple(requests[start : start + _GROUP])) for start in starts]


def span(key: str | bytes, *, prefix: bool) -> dict[str, bytes]:
    """Give the fields ``key`` and ``range_end`` that stand for one key, or for all that start with it."""
    encoded = encode_key(key)
    if not prefix:
        return {"key": encoded}
    return {"key": encoded or ALL_KEYS, "range_end": range_end(encoded)}


def _response(answer: Any, revision: int) -> Response:
    match answer.WhichOneof("response"):
        case "response_range":
            return tuple(Entry.from_row(row) for row in answer.response_range.kvs)
        case "response_delete_range":
            deleted: int = answer.response_delete_range.deleted
            return deleted
        case "response_txn":
            return TxnResult.from_message(answer.response_txn, revision)
    return None

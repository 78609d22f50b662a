"""A client of etcd's v3 API, usable by itself: small, synchronous, fork-safe, and without grpcio."""

from etcd_settings.etcd.administration import Alarm, Member, MemberStatus
from etcd_settings.etcd.client import Client
from etcd_settings.etcd.feed import Batch, Event
from etcd_settings.etcd.lease import Lease, Lost
from etcd_settings.etcd.lock import Lock
from etcd_settings.etcd.requests import Compare, Delete, Get, Put, Txn, TxnResult
from etcd_settings.etcd.watch import Watch

__all__ = [
    "Alarm",
    "Batch",
    "Client",
    "Compare",
    "Delete",
    "Event",
    "Get",
    "Lease",
    "Lock",
    "Lost",
    "Member",
    "MemberStatus",
    "Put",
    "Txn",
    "TxnResult",
    "Watch",
]

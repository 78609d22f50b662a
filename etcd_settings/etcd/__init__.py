"""A client of etcd's v3 API, usable by itself: small, synchronous, fork-safe, and without grpcio."""

from etcd_settings.etcd.client import Client
from etcd_settings.etcd.requests import Compare, Delete, Get, Put, TxnResult

__all__ = ["Client", "Compare", "Delete", "Get", "Put", "TxnResult"]

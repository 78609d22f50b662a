"""
Keep settings that follow etcd, and are whole and valid at every moment.

A new snapshot becomes a candidate: the factory builds settings of it, with every source pinned to one state. If that
succeeds, one reference is swapped and whoever registered is told what changed. If it raises, the candidate is rejected:
the settings in use stay, and the rejection is kept, logged and told.

| room | what it knows |
|---|---|
| `live` | `Live`: starting, reading, waiting, closing, and what a fork leaves |
| `dispatching` | the thread that builds candidates and calls back |
| `candidates` | building one candidate of pinned snapshots |
| `changes` | what differs between two states of the settings |
| `rejections` | how to say why one was refused, without a value |
| `callbacks` | who is told, and on which thread or event loop |
| `decisions` | what became of each revision |
| `proxy` | standing for the newest settings |

Invariant: a candidate that was not accepted is never seen by anybody outside this package.
"""

from __future__ import annotations

from etcd_settings.live.callbacks import Changes, Subscription
from etcd_settings.live.changes import Change
from etcd_settings.live.live import Live, LiveStatus
from etcd_settings.live.rejections import Rejection

__all__ = ["Change", "Changes", "Live", "LiveStatus", "Rejection", "Subscription"]

"""Show how the etcd is that holds the settings, and how much they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from etcd_settings.cli.output import console, on_terminal, write, write_json
from etcd_settings.cli.places import open_client
from etcd_settings.cli.verbs import Asked, verb
from etcd_settings.errors import EtcdSettingsError, UnavailableError, combine
from etcd_settings.keys import encode_key
from etcd_settings.options import Options
from etcd_settings.snapshot import Snapshot

if TYPE_CHECKING:
    from etcd_settings.etcd import Client, MemberStatus

__all__ = ["command"]

_COLUMNS = ("endpoint", "state", "version", "role", "revision", "size")


@verb(
    "where",
    "json",
    examples="""
    etcd-settings status
    ETCDCTL_ENDPOINTS=etcd1:2379,etcd2:2379 etcd-settings status --prefix /config/app/
    """,
)
def command(asked: Asked) -> None:
    """
    Show each endpoint with its version, role and revision, and how many settings there are.

    It is an error if no endpoint answers, or if the settings cannot be read. Without a prefix they are not counted.

    With --json: {"endpoints", "alarms", "settings"}. Each of endpoints is {"endpoint", "healthy", "version", "leader",
    "revision", "bytes", "error"}, each of alarms {"member", "kind"}, and settings is {"prefix", "keys", "bytes",
    "revision"}, or null if they were not counted.
    """
    place = asked.place(needs_prefix=False)
    with open_client(place) as client:
        told = client.status()
        errors = [status.error for status in told.values() if status.error is not None]
        if len(errors) == len(told):
            raise combine(errors)
        health = client.health()
        rows = [_row(endpoint, status, healthy=health[endpoint]) for endpoint, status in told.items()]
        settings, failure = _count(client, place)
        alarms = [] if failure else [{"member": f"{one.member_id:x}", "kind": one.kind} for one in client.alarms()]
    if asked.as_json:
        write_json({"endpoints": rows, "alarms": alarms, "settings": settings})
    else:
        _show(rows, alarms, settings)
    if failure is not None:
        raise failure


def _row(endpoint: str, status: MemberStatus, *, healthy: bool) -> dict[str, Any]:
    return {
        "endpoint": endpoint,
        "healthy": healthy,
        "version": status.version,
        "leader": status.is_leader,
        "revision": status.revision,
        "bytes": status.db_size,
        "error": None if status.error is None else _reason(status.error),
    }


def _reason(error: EtcdSettingsError) -> str:
    return "; ".join(error.attempts.values()) if isinstance(error, UnavailableError) else str(error)


def _count(client: Client, place: Options) -> tuple[dict[str, Any] | None, EtcdSettingsError | None]:
    if not all(place.prefixes.values()):
        return None, None
    try:
        snapshot = client.read(place.prefixes)
    except EtcdSettingsError as e:
        return None, e
    keys, size = _measure(snapshot)
    return {"prefix": place.prefix, "keys": keys, "bytes": size, "revision": snapshot.revision}, None


def _measure(snapshot: Snapshot) -> tuple[int, int]:
    entries = {entry.key: entry for layer in snapshot.layers.values() for entry in layer.values()}
    return len(entries), sum(len(encode_key(key)) + len(entry.value) for key, entry in entries.items())


def _show(rows: list[dict[str, Any]], alarms: list[dict[str, str]], settings: dict[str, Any] | None) -> None:
    cells = [_cells(row) for row in rows]
    if on_terminal():
        _draw(cells)
    else:
        for row in cells:
            write("  ".join(filter(None, row)))
    for alarm in alarms:
        write(f"alarm {alarm['kind']} of member {alarm['member']}")
    if settings is not None:
        size = f"{settings['keys']} keys, {settings['bytes']} bytes"
        write(f"{settings['prefix']}: {size}, at revision {settings['revision']}")


def _cells(row: Mapping[str, Any]) -> list[str]:
    if row["error"] is not None:
        return [row["endpoint"], f"does not answer: {row['error']}", "", "", "", ""]
    return [
        row["endpoint"],
        "healthy" if row["healthy"] else "unhealthy",
        f"etcd {row['version']}",
        "leader" if row["leader"] else "follower",
        f"revision {row['revision']}",
        f"{row['bytes']} bytes",
    ]


def _draw(cells: list[list[str]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in _COLUMNS:
        table.add_column(column, overflow="fold")
    for endpoint, state, *others in cells:
        table.add_row(Text(endpoint, "cyan"), Text(state, "green" if state == "healthy" else "red"), *others)
    console().print(table)

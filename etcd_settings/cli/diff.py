"""Tell where a file of settings and etcd differ."""

from __future__ import annotations

from dataclasses import asdict

from etcd_settings.cli.differences import differences, write_differences
from etcd_settings.cli.exits import Code, Stop
from etcd_settings.cli.files import file_argument, read_file
from etcd_settings.cli.output import read_or_not, write, write_json
from etcd_settings.cli.reading import read
from etcd_settings.cli.verbs import Asked, layer_option, verb

__all__ = ["command"]


@verb(
    "where",
    "json",
    "secrets",
    examples="""
    etcd-settings diff settings.toml
    etcd-settings diff settings.yaml --json
    etcd-settings diff settings.toml && echo nothing to push
    """,
)
@file_argument
@layer_option
def command(asked: Asked, file: str, form: str | None, *, layer: str | None) -> None:
    """
    Tell where etcd differs from the settings in FILE (TOML, JSON, YAML; - is stdin); the exit code is 1 if it does.

    Each line is what `push --prune` would do: + a key that only the file has, ~ one with another value, - one that only
    etcd has. Values that are spelled in another way and mean the same are equal.

    With --json: {"different", "revision", "changes"}; each of changes is {"kind", "path", "old", "new"}, old being
    etcd's.
    """
    from etcd_settings.publish import plan  # 45 ms of HTTP/2 and protobuf

    desired, mask = read_file(file, form), asked.mask()
    place, snapshot = read(asked)
    changes = differences(plan(snapshot, desired, prune=True, layer=layer), mask)
    with read_or_not():
        if asked.as_json:
            shown = [asdict(change) for change in changes]
            write_json({"different": bool(changes), "revision": snapshot.revision, "changes": shown})
        else:
            write_differences(changes)
    if changes:
        raise Stop(Code.NO)
    if not asked.as_json:
        write(f"{file} and {place.title} hold the same at revision {snapshot.revision}.")

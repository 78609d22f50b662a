"""Tell what happened to a key: a line for people, in colours on a terminal, or an object for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from etcd_settings.cli.output import SIGNS, console, on_terminal, plain, spelled, write, write_json
from etcd_settings.cli.verbs import Mask
from etcd_settings.snapshot import Entry

__all__ = ["Event", "deleted", "written"]


@dataclass(frozen=True, slots=True)
class Event:
    """One write or deletion, as ``--json`` shows it."""

    revision: int
    kind: str
    layer: str
    path: str
    value: Any

    def write(self) -> None:
        """Write it as a line."""
        sign, colour = SIGNS[self.kind]
        value = "" if self.kind == "delete" else f" = {spelled(self.value)}"
        line = f"{self.revision} {sign} {plain(self.layer + self.path)}{value}"
        if on_terminal():
            console().print(line, style=colour)
        else:
            write(line)

    def write_json(self) -> None:
        """Write it as JSON in one line."""
        write_json(asdict(self), compact=True)


def deleted(revision: int, layer: str, path: str) -> Event:
    """Tell that a key is gone."""
    return Event(revision, "delete", layer, path, None)


def written(entry: Entry, layer: str, path: str, mask: Mask, *, created: bool) -> Event:
    """Tell that a key was written."""
    return Event(entry.mod_revision, "create" if created else "put", layer, path, mask.text(path, entry))

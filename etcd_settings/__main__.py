"""Start the command line, as ``etcd-settings`` or ``python -m etcd_settings``."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path


def main() -> None:
    """Run the command line; without the extra ``cli`` say how to get it."""
    _prepare_streams()
    try:
        from etcd_settings.cli import cli
    except ModuleNotFoundError as e:
        if e.name is None or e.name.partition(".")[0] not in {"click", "rich"}:
            raise
        sys.exit(f"The command line needs the package {e.name!r}. Install it with: pip install 'etcd-settings[cli]'")
    except KeyboardInterrupt:
        sys.exit(130)
    cli(prog_name="etcd-settings")


def _prepare_streams() -> None:
    """Have something to read from and to write to, whatever was closed, and let nothing be refused for its letters."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  # for as long as we are
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()

"""Start the command line, as ``etcd-settings`` or ``python -m etcd_settings``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; without the extra ``cli`` say how to get it."""
    try:
        from etcd_settings.cli import cli
    except ModuleNotFoundError as e:
        if e.name is None or e.name.partition(".")[0] not in {"click", "rich"}:
            raise
        sys.exit(f"The command line needs the package {e.name!r}. Install it with: pip install 'etcd-settings[cli]'")
    except KeyboardInterrupt:
        sys.exit(130)
    cli(prog_name="etcd-settings")


if __name__ == "__main__":
    main()

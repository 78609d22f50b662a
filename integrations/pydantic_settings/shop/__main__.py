"""Print what the shop would run with."""

from __future__ import annotations

import sys

from pydantic import ValidationError

from etcd_settings import EtcdSettingsError
from shop.settings import get_settings


def main() -> int:
    try:
        settings = get_settings()
    except (EtcdSettingsError, ValidationError) as e:
        print(f"The shop stays closed: {e}", file=sys.stderr)
        return 1
    print(f"debug          {settings.debug}")
    print(f"allowed hosts  {', '.join(settings.allowed_hosts)}")
    print(f"languages      {', '.join(sorted(settings.greetings))}")
    print(f"database       {settings.database!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

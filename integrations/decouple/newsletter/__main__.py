"""Print what the newsletter would be sent with."""

from __future__ import annotations

import sys

from decouple import UndefinedValueError

from etcd_settings import EtcdSettingsError


def main() -> int:
    try:
        from newsletter import settings
    except (EtcdSettingsError, UndefinedValueError) as e:
        print(f"No newsletter today: {e}", file=sys.stderr)
        return 1
    print(f"debug       {settings.DEBUG}")
    print(f"from        {settings.SENDER}")
    print(f"to          {', '.join(settings.RECIPIENTS)}")
    print(f"through     {settings.SMTP_HOST}:{settings.SMTP_PORT}, waiting {settings.SMTP_TIMEOUT:g} s")
    print(f"password    {'*' * 8 if settings.SMTP_PASSWORD else 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

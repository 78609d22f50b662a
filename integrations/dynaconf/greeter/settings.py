"""What the greeter can be told, and where it is told it."""

from __future__ import annotations

import os

from dynaconf import Validator

from etcd_settings.integrations.dynaconf import LiveDynaconf

# The environment (GREETER_GREETING=…) wins over etcd.
settings = LiveDynaconf(
    etcd_url=os.environ.get("GREETER_ETCD_URL", "etcd://localhost/config/greeter/"),
    environments=True,
    env=os.environ.get("GREETER_ENV", "production"),
    envvar_prefix="GREETER",
    validators=[
        Validator("GREETING", "TOKEN", must_exist=True, is_type_of=str),
        Validator("LIMITS.names", is_type_of=int, gte=1),
    ],
)

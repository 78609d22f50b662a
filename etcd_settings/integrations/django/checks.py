"""Say in ``manage.py check`` what is wrong with ``ETCD_SETTINGS`` and with names in etcd; asks nobody."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import checks

from etcd_settings.errors import NotStartedError
from etcd_settings.integrations.django.following import following
from etcd_settings.integrations.django.options import boot_only_in, problems_in

__all__ = ["check_names", "check_options"]

_SHOWN = 3


def check_options(app_configs: object, **_: Any) -> list[checks.CheckMessage]:  # noqa: ARG001  # Django's signature
    """Look at what the setting says."""
    said = getattr(settings, "ETCD_SETTINGS", None)
    found: list[checks.CheckMessage] = [checks.Error(problem, id="etcd_settings.E001") for problem in problems_in(said)]
    for pattern, names in boot_only_in(said).items():
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        reached = ", ".join(names[:_SHOWN]) + more
        message = f"{pattern!r} in ETCD_SETTINGS['LIVE'] reaches {reached}, which Django reads once: it can't be live."
        hint = "Name settings of yours, such as FEATURE_*. Until then what it must not reach stays as it was loaded."
        found.append(checks.Error(message, hint=hint, id="etcd_settings.E002"))
    return found


def check_names(app_configs: object, **_: Any) -> list[checks.CheckMessage]:  # noqa: ARG001  # Django's signature
    """Look at the keys that were read when the process started."""
    try:
        strangers = following().strangers
    except NotStartedError:
        return []
    return [
        checks.Warning(
            f"{key!r} in etcd is ignored, for no setting that etcd may hold has such a name.",
            hint="Rename it to an identifier in capitals, but not ETCD_SETTINGS; or keep it under another prefix.",
            id="etcd_settings.W001",
        )
        for key in strangers
    ]

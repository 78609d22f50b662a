"""Be an app, so that Django sets up live settings, checks and the command."""

from __future__ import annotations

import logging

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.signals import request_started

from etcd_settings.errors import ConfigurationError
from etcd_settings.integrations.django.checks import check_names, check_options
from etcd_settings.integrations.django.following import begin_with_a_request, install
from etcd_settings.integrations.django.options import boot_only_in

__all__ = ["EtcdSettings"]

log = logging.getLogger("etcd_settings")


class EtcdSettings(AppConfig):
    """``INSTALLED_APPS += ["etcd_settings.integrations.django"]``."""

    name = "etcd_settings.integrations.django"
    label = "etcd_settings"
    verbose_name = "Settings from etcd"

    def ready(self) -> None:
        """Set up what takes no I/O; etcd is followed from the first request on."""
        checks.register(check_options)
        checks.register(check_names)
        for pattern in boot_only_in(getattr(settings, "ETCD_SETTINGS", None)):  # a server runs no checks
            log.error("%r in ETCD_SETTINGS['LIVE'] reaches settings that can't be live: see manage.py check.", pattern)
        try:
            install()
        except ConfigurationError as e:
            log.error("Django's live settings follow nothing: %s", e)  # noqa: TRY400  # and a check tells
            return
        request_started.connect(begin_with_a_request, dispatch_uid="etcd_settings")

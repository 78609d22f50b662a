"""
Know which keys are settings, and which settings may change while Django runs.

It knows names. It knows nothing of values and of where they come from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from django.utils.formats import FORMAT_SETTINGS

from etcd_settings.documents import split_suffix
from etcd_settings.snapshot import Snapshot

__all__ = ["BOOT_ONLY", "is_live", "is_setting", "restricted", "setting_in", "strangers"]

BOOT_ONLY = frozenset(
    [
        *FORMAT_SETTINGS,
        "ABSOLUTE_URL_OVERRIDES",
        "ASGI_APPLICATION",
        "AUTH_PASSWORD_VALIDATORS",
        "AUTH_USER_MODEL",
        "CACHES",
        "CACHE_MIDDLEWARE_ALIAS",
        "CACHE_MIDDLEWARE_KEY_PREFIX",
        "CACHE_MIDDLEWARE_SECONDS",
        "CSRF_TRUSTED_ORIGINS",
        "DATABASES",
        "DATABASE_ROUTERS",
        "DEBUG",
        "DEFAULT_AUTO_FIELD",
        "DEFAULT_EXCEPTION_REPORTER",
        "DEFAULT_EXCEPTION_REPORTER_FILTER",
        "DEFAULT_INDEX_TABLESPACE",
        "DEFAULT_TABLESPACE",
        "ETCD_SETTINGS",
        "FILE_UPLOAD_DIRECTORY_PERMISSIONS",
        "FILE_UPLOAD_PERMISSIONS",
        "FORMAT_MODULE_PATH",
        "FORM_RENDERER",
        "INSTALLED_APPS",
        "LANGUAGES",
        "LANGUAGE_CODE",
        "LOCALE_PATHS",
        "LOGGING",
        "LOGGING_CONFIG",
        "MEDIA_ROOT",
        "MEDIA_URL",
        "MESSAGE_TAGS",
        "MIDDLEWARE",
        "MIGRATION_MODULES",
        "PASSWORD_HASHERS",
        "ROOT_URLCONF",
        "SECRET_KEY",
        "SECRET_KEY_FALLBACKS",
        "SECURE_CONTENT_TYPE_NOSNIFF",
        "SECURE_CROSS_ORIGIN_OPENER_POLICY",
        "SECURE_HSTS_INCLUDE_SUBDOMAINS",
        "SECURE_HSTS_PRELOAD",
        "SECURE_HSTS_SECONDS",
        "SECURE_REDIRECT_EXEMPT",
        "SECURE_REFERRER_POLICY",
        "SECURE_SSL_HOST",
        "SECURE_SSL_REDIRECT",
        "SERIALIZATION_MODULES",
        "SESSION_ENGINE",
        "SESSION_FILE_PATH",
        "STATICFILES_DIRS",
        "STATICFILES_FINDERS",
        "STATIC_ROOT",
        "STATIC_URL",
        "STORAGES",
        "TASKS",
        "TEMPLATES",
        "TEST_RUNNER",
        "TIME_ZONE",
        "USE_I18N",
        "USE_TZ",
        "WSGI_APPLICATION",
    ]
)
"""What Django reads once, when a process starts or a thing is first used: live, it would be half a change."""


_NOT_FROM_ETCD = frozenset(["ETCD_SETTINGS", "SETTINGS_MODULE"])
"""Where etcd is and what is live, and which module says so: that etcd can't say."""


def is_setting(name: str) -> bool:
    """Tell whether etcd may hold a setting of this name."""
    return name.isidentifier() and name.isupper() and name not in _NOT_FROM_ETCD


def setting_in(path: str) -> str:
    """Give the name of the setting that the key at *path* is about."""
    return split_suffix(path.partition("/")[0])[0]


def restricted(snapshot: Snapshot, takes: Callable[[str], bool]) -> Snapshot:
    """Keep the settings whose names *takes* accepts; what is wrong with other keys does not count then."""
    layers = {
        layer: {path: entry for path, entry in entries.items() if takes(setting_in(path))}
        for layer, entries in snapshot.layers.items()
    }
    return Snapshot(layers, snapshot.revision, snapshot.cluster_id)


def strangers(snapshot: Snapshot) -> tuple[str, ...]:
    """Give the keys that are ignored, since no setting that etcd may hold has such a name."""
    found = {entry.key for path, entry in snapshot.items() if path and not is_setting(setting_in(path))}
    return tuple(sorted(found))


def is_live(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether *name* follows etcd, being named by a pattern; what Django reads once never does."""
    return is_setting(name) and name not in BOOT_ONLY and any(fnmatchcase(name, pattern) for pattern in patterns)

"""
Make Django's settings come from etcd: once at the start, and for some names live.

| room | what it knows |
|---|---|
| `names` | which keys are settings, and which settings Django reads only once |
| `typing` | what type a default stands for |
| `options` | what ``ETCD_SETTINGS`` says, and what is wrong with it |
| `loading` | from a snapshot to values, and into ``settings.py`` |
| `hot` | how ``django.conf.settings`` shows a value that changes |
| `following` | when a process begins to follow etcd, and whom it tells |
| `checks`, `apps`, `management` | where Django looks for them |

Importing this package reads no setting, since ``settings.py`` imports it.

Invariant: nothing is applied that was not accepted whole.
"""

from __future__ import annotations

from importlib.util import find_spec

from etcd_settings.errors import ConfigurationError

if find_spec("django") is None or find_spec("pydantic") is None:
    raise ConfigurationError(
        "Django settings from etcd take Django and pydantic. Install both with `pip install 'etcd-settings[django]'`."
    )

from etcd_settings.integrations.django.following import current, settings_changed, status
from etcd_settings.integrations.django.loading import Loaded, load_settings
from etcd_settings.options import UNSET

__all__ = ["UNSET", "Loaded", "current", "load_settings", "settings_changed", "status"]

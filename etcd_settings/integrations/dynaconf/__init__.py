"""
Make etcd a loader of Dynaconf.

The path of this package goes into Dynaconf's loaders; `LiveDynaconf` is a ``Dynaconf(…)`` that follows etcd.

| room | what it knows |
|---|---|
| `loader` | when Dynaconf calls its loaders, and in what state an object is then |
| `writing` | which keys a name may have in etcd, and how a value is spelled for Dynaconf |
| `live` | building Dynaconf objects anew, and standing for the newest |
| `laying` | how values merge with what is there, and what is told of where they came from |
| `parsing` | Dynaconf's own reading of values, and which tokens reach outside |
| `naming` | which place in the settings a key means |
| `options` | where etcd is, for one Dynaconf object, and which environments it reads |

Invariant: an object is changed only after everything that it is to hold was read and parsed.
"""

from __future__ import annotations

from importlib.util import find_spec

from etcd_settings.errors import ConfigurationError

if find_spec("dynaconf") is None:
    raise ConfigurationError(
        "etcd as a loader of Dynaconf takes Dynaconf. Install it with `pip install 'etcd-settings[dynaconf]'`."
    )

from etcd_settings.integrations.dynaconf.live import LiveDynaconf
from etcd_settings.integrations.dynaconf.loader import load
from etcd_settings.integrations.dynaconf.options import IDENTIFIER
from etcd_settings.integrations.dynaconf.writing import delete, write

__all__ = ["IDENTIFIER", "LiveDynaconf", "delete", "load", "write"]

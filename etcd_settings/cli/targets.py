"""
Import the class that ``MODULE:CLASS`` names.

The current directory counts, as it does with ``python -m``. Whatever the module raises, the command ends with one line;
the message is left out unless it is about importing, because it may hold a value.
"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from importlib import import_module
from types import ModuleType
from typing import Any

from etcd_settings.cli.exits import Code, Stop
from etcd_settings.errors import EtcdSettingsError
from etcd_settings.location import nearest

__all__ = ["import_target", "import_type"]


def import_target(name: str) -> Any:
    """
    Import a class.

    Args:
        name: Its module and its name there, such as ``shop.settings:Settings``.

    Raises:
        Stop: There is no such thing, or importing it failed.
    """
    module_name, separator, path = name.partition(":")
    if not (module_name and separator and path):
        raise Stop(Code.UNUSABLE, f"{name!r} names no class. Write it as MODULE:CLASS, such as shop.settings:Settings.")
    found: Any = _import(module_name)
    for part in path.split("."):
        if not hasattr(found, part):
            classes = [known for known, value in vars(found).items() if isinstance(value, type)]
            raise Stop(Code.UNUSABLE, f"{module_name!r} has no {path!r}.{nearest(part, classes)}")
        found = getattr(found, part)
    if not isinstance(found, type) and not hasattr(found, "__origin__"):
        raise Stop(Code.UNUSABLE, f"{name!r} is no class, but a {type(found).__name__}.")
    return found


def import_type(name: str) -> Any:
    """
    Import a class that settings can be loaded into.

    Raises:
        Stop: It cannot be imported, pydantic cannot use it, or pydantic is not there.
    """
    found = import_target(name)
    try:
        from etcd_settings.fitting.loading import target_for

        _ = target_for(found).adapter
    except ModuleNotFoundError as e:
        raise Stop(Code.UNUSABLE, "This takes pydantic. Install it with: pip install 'etcd-settings[pydantic]'") from e
    except Exception as e:  # a class may be anything, and pydantic has many ways to refuse it
        raise Stop(Code.UNUSABLE, f"{name!r} cannot hold settings: pydantic raised {type(e).__name__}.") from e
    return found


def _import(name: str) -> ModuleType:
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        with redirect_stdout(sys.stderr):  # what it prints must not get into our answer
            return import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as e:  # noqa: BLE001  # a module may do anything, exit too
        problem = Stop(Code.UNUSABLE, f"The module {name!r} cannot be imported: {_reason(e, name)}.")
        problem.__cause__ = e
    raise problem


def _reason(error: BaseException, name: str) -> str:
    match error:
        case ModuleNotFoundError() if error.name and f"{name}.".startswith(f"{error.name}."):
            return "there is no such module here or on Python's path"
        case ImportError() | EtcdSettingsError():
            return str(error).rstrip(".")
        case SyntaxError():
            return f"{error.filename}:{error.lineno} is no valid Python"
    return f"it raised {type(error).__name__}"

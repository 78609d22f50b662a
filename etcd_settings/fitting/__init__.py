"""
Make trees fit a pydantic type.

Etcd holds texts under paths, in the spelling of whoever wrote them; a type wants nested values under the names of its
fields. In between, names are folded layer by layer, layers are laid over each other, texts are decoded where a branch
or a list is wanted, and secrets are wrapped. What is wrong is told all at once, with the keys to blame and without a
value.

It knows types and trees. It knows nothing of etcd, of where snapshots come from, or of pydantic-settings.

Importing this package does not import pydantic; loading does.

| room | what it knows |
|---|---|
| `places` | what several layers hold at one place, and where to put problems |
| `names` | the names by which a record takes its fields |
| `plans`, `containers`, `unions` | how to fit nodes to one type |
| `records`, `planning` | how to read types |
| `aligning` | how fitted values meet those of other sources |
| `scrubbing` | how to say what is wrong without showing values |
| `loading` | a type with its plan, and the whole way from a snapshot to a value |
"""

from __future__ import annotations

from typing import Any, TypeVar, overload

from etcd_settings.errors import ConfigurationError
from etcd_settings.snapshot import Snapshot

__all__ = ["load"]

T = TypeVar("T")


@overload
def load(kind: type[T], snapshot: Snapshot, path: str = "") -> T: ...
@overload
def load(kind: Any, snapshot: Snapshot, path: str = "") -> Any: ...
def load(kind: Any, snapshot: Snapshot, path: str = "") -> Any:
    """
    Make a value of type *kind* of what *snapshot* holds at *path*.

    Args:
        kind: A model, a dataclass, a `TypedDict`, or anything else that pydantic's `TypeAdapter` takes.

        snapshot: What etcd held.

        path: The branch to read, such as ``services/orders``; everything by default.

    Raises:
        InvalidSettingsError: It does not validate; every problem with its location and its keys.
        ConflictError: Keys contradict each other, or spell one field twice, or a list has a gap.
        DecodeError: A value is not what its key or its field promises.
        ConfigurationError: pydantic is not installed.
    """
    try:
        from etcd_settings.fitting import loading  # an extra, and 50 ms that only its users should pay
    except ModuleNotFoundError as e:
        if e.name is None or e.name.partition(".")[0] not in ("pydantic", "pydantic_core"):
            raise
        loading = None  # type: ignore[assignment]  # told outside the handler
    if loading is None:
        raise ConfigurationError(
            "Loading settings into a type takes pydantic. Install it with `pip install 'etcd-settings[pydantic]'`."
        )
    return loading.load(kind, snapshot, path)

"""
Spell Python values as the text that etcd holds.

Strings stay as they are; booleans, numbers, null and lists become JSON text; dates, times and decimals keep the text
that TOML or they themselves give them. A tree of such values becomes one key for each leaf (`flatten`), an empty table
a JSON document, since nothing else would bring it back.

It knows values and names. It knows nothing of layers, stores and types: reading text as a type is up to whoever
declares one.

Invariant: what `flatten` accepts reads back. The entries of ``flatten(t)`` build the tree ``as_text(t)``, and
``as_text(as_text(t)) == as_text(t)``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import date, time
from decimal import Decimal
from math import isfinite
from typing import Any

from etcd_settings.documents import SUFFIXES, read_json
from etcd_settings.errors import ConfigurationError, EtcdSettingsError, combine
from etcd_settings.keys import decode_key, encode_key

__all__ = ["as_text", "flatten", "spell", "unspell"]


def spell(value: Any, *, where: str = "") -> str | bytes:
    """
    Give the text that stands for *value*.

    Not-a-number and the infinities are spelled ``nan``, ``inf`` and ``-inf``, as TOML does and `float` reads them; JSON
    has no word for them, so a list may not hold them. A table is spelled as one JSON object. Bytes are what a tree has
    where a value is no text, and stay bytes unless they are UTF-8.

    Args:
        value: What to spell.

        where: Its path, for the error.

    Raises:
        ConfigurationError: It cannot be spelled, or it is not what anybody would read back.
    """
    try:
        text = _natural(value)
        if text is None:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, default=_inside_json)
        if isinstance(text, str):
            text.encode()  # half of a surrogate pair passes everything else, and only the wire would refuse it
    except TypeError:
        reason = f"has no spelling, being or holding something unusual (its type is {type(value).__name__})"
    except UnicodeEncodeError:
        reason = "holds half of a surrogate pair, which is no Unicode text"
    except (ValueError, RecursionError):
        reason = "holds a number that JSON has no word for, or is nested too deeply"
    else:
        return text
    mend = "Use texts, numbers, booleans, null, dates, lists and tables of these."
    subject = f"The value of {where!r}" if where else "The value"
    raise ConfigurationError(f"{subject} {reason}. {mend}", subject=where or None)  # here: a context would quote it


def unspell(text: str) -> Any:
    """
    Give the number, boolean, null or list that *text* spells, or else *text*.

    What is spelled in another way than `spell` would, such as ``01`` or ``[1,2]``, stays a text, and so does a table:
    ``spell(unspell(text)) == text``.
    """
    try:
        found = read_json(text)
        return found if not isinstance(found, dict) and spell(found) == text else text
    except (ValueError, RecursionError, ConfigurationError):
        return text


def as_text(tree: Mapping[str, Any]) -> dict[str, Any]:
    """
    Give *tree* as it would read back from etcd: every leaf spelled, every table kept.

    Two trees that are equal in this form need no writing between them, whatever each was read from.

    Raises:
        ConfigurationError: Values cannot be spelled; all of them at once, each with its path.
    """
    problems: list[EtcdSettingsError] = []
    text = _as_text(tree, "", problems)
    if problems:
        raise combine(problems)
    return text


def flatten(tree: Mapping[str, Any], *, below: str = "") -> dict[str, str | bytes]:
    """
    Give the path and the text of every leaf of *tree*.

    Args:
        tree: The tree.

        below: What all paths start with, such as ``database/``.

    An empty table becomes the document ``path.json``, which holds ``{}``: as text at the path it would not read back as
    a table, and would hide the branches of lower layers.

    Raises:
        ConfigurationError: A name is empty, holds a slash or is no text; a leaf's name ends like a document's, so that
            its value would not read back as text; or a value cannot be spelled. All of them at once.
    """
    texts: dict[str, str | bytes] = {}
    problems: list[EtcdSettingsError] = []
    _flatten(tree, below, texts, problems)
    if problems:
        raise combine(problems)
    return texts


def _as_text(table: Mapping[str, Any], above: str, problems: list[EtcdSettingsError]) -> dict[str, Any]:
    text: dict[str, Any] = {}
    for name, value in table.items():
        try:
            text[name] = (
                _as_text(value, f"{above}{name}/", problems)
                if isinstance(value, Mapping)
                else spell(value, where=f"{above}{name}")
            )
        except ConfigurationError as e:
            problems.append(e)
    return text


def _flatten(
    table: Mapping[Any, Any], above: str, texts: dict[str, str | bytes], problems: list[EtcdSettingsError]
) -> None:
    for name, value in table.items():
        path, is_table = f"{above}{name}", isinstance(value, Mapping)
        reason = _unfit(name, is_leaf=not is_table)
        if reason:
            problems.append(ConfigurationError(f"{path!r} cannot be a key: {reason}. Rename it.", subject=path))
        if is_table and value:
            _flatten(value, f"{path}/", texts, problems)
            continue
        try:
            texts[f"{path}.json" if is_table else path] = spell(value, where=path)
        except ConfigurationError as e:
            problems.append(e)


def _unfit(name: object, *, is_leaf: bool) -> str | None:
    """Tell why *name* cannot be a segment of a path; None if it can."""
    if not isinstance(name, str):
        return f"a name is a text, and this one is of type {type(name).__name__}"
    if not name:
        return "it has an empty name"
    if "/" in name:
        return f"the name {name!r} holds a slash, which would part it in two"
    if is_leaf and name.endswith(SUFFIXES):
        return f"{name!r} ends like a document's name, and its value would not read back as text"
    return None if _survives(name) else "its name holds half of a surrogate pair, which is no Unicode text"


def _survives(name: str) -> bool:
    try:
        return decode_key(encode_key(name)) == name
    except UnicodeEncodeError:
        return False


def _natural(value: object) -> str | bytes | None:
    """Give the text that a value has by itself, outside and inside of lists; None for what JSON spells."""
    match value:
        case str():
            return str.__str__(value)  # of a member of an enumeration too, whose own `str` is its name
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                return value
        case date() | time():
            return value.isoformat()
        case Decimal():
            return str(value)
        case float() if not isfinite(value):
            return float.__repr__(value)
        case _:
            return None


def _inside_json(value: Any) -> Any:
    """Spell for `json.dumps` what it does not know."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, AbstractSet):  # YAML has them
        return sorted(value, key=repr)
    text = _natural(value)
    if isinstance(text, str):
        return text
    raise TypeError

"""
Write a tree as a file that says the same once it is pushed.

A format may lack a word for a value: TOML has no null, JSON no date. There stands the text that etcd would hold in its
place, and nothing else of the file changes.

It knows trees and formats. It knows nothing of entries: a file of settings has no room for revisions.

Invariant: reading the file gives the tree that went in, as text.
"""

from __future__ import annotations

from etcd_settings.documents import parse, render
from etcd_settings.entries import Entry
from etcd_settings.errors import ConfigurationError, EtcdSettingsError
from etcd_settings.nodes import Tree
from etcd_settings.spelling import as_text, spell

__all__ = ["export"]

_INDENTED = "{\n}"


def export(tree: Tree, suffix: str) -> str:
    """
    Give the text of a file.

    Args:
        tree: What it is to hold.

        suffix: Which format: ``.toml``, ``.json``, ``.yaml`` or ``.yml``.

    Raises:
        ConfigurationError: Something can be in no file of this format, or the extra that writes it is not installed.
    """
    text = _exact(tree, suffix)
    if text is None:
        text = _exact(_worded(tree, suffix, ""), suffix)
    assert text is not None, "every format has words for texts"
    return f"{text}\n" if suffix == ".json" else text


def _exact(tree: Tree, suffix: str) -> str | None:
    """Write *tree*; None if it would not read back."""
    wanted, text = as_text(tree), render(suffix, tree, like=_INDENTED)
    if text is None:
        return None
    try:
        back = as_text(parse(suffix, Entry(suffix, text.encode())))
    except (EtcdSettingsError, UnicodeEncodeError):
        return None
    return text if back == wanted else None


def _worded(tree: Tree, suffix: str, above: str) -> Tree:
    """Give *tree* with texts in the place of what the format has no words for."""
    worded: Tree = {}
    for name, value in tree.items():
        path = f"{above}{name}"
        if isinstance(value, dict):
            worded[name] = _worded(value, suffix, f"{path}/")
        else:
            worded[name] = value if isinstance(value, str) or _exact({"": value}, suffix) else spell(value)
        if isinstance(worded[name], bytes) or not _is_unicode(name):
            raise ConfigurationError(
                f"{path!r} is or holds what is no Unicode text, and a {suffix} file has no word for it. "
                f"Copy it byte for byte, with `etcd-settings copy`.",
                subject=path,
            )
    return worded


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True

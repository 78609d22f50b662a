"""
Know which names stand for secrets, and show a mask in place of what they hold.

There is one list of such names, for whoever shows settings or says what is wrong with them. A name inside of a document
counts like a segment of a path, and a text that is itself JSON is looked into.

It knows names and values. It knows nothing of types; who does, says so with `Hidden`.

Invariant: the mask has one length, so that it does not tell the length of what it hides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Protocol

from etcd_settings.documents import parse, read_json, split_suffix
from etcd_settings.entries import Entry
from etcd_settings.errors import EtcdSettingsError

__all__ = ["MASK", "SECRET_NAMES", "Hidden", "is_secret_name", "masked", "masked_text", "unquoted"]

MASK = "**********"

SECRET_NAMES = ("password", "secret", "token", "passwd", "private_key")
"""What the name of a secret contains, in any case, with hyphens, underscores or neither."""

_LONG = 4  # shorter texts are only masked where they stand alone: else a value "a" would black out every a

_SECRET_NAME = re.compile("|".join(name.replace("_", "_?") for name in SECRET_NAMES), re.IGNORECASE)


class Hidden(Protocol):
    """What somebody else, such as a type, knows to be secret in a tree."""

    @property
    def secret(self) -> bool:
        """Whether all that is here is secret."""
        ...

    def below(self, name: str) -> Hidden | None:
        """Give what is known of the place called *name* in here; None if nothing is."""
        ...


@lru_cache(maxsize=4096)  # the names of settings are few, and asked for again and again
def is_secret_name(name: str) -> bool:
    """Tell whether something of this name is to be masked wherever settings are shown."""
    return _SECRET_NAME.search(name.replace("-", "_")) is not None


def unquoted(message: str, texts: Iterable[str]) -> str:
    """Give *message* with a mask wherever it quotes one of *texts*, in any case and in every usual spelling."""
    forms = {form for text in texts for form in _forms(text)}
    for form in sorted(forms, key=len, reverse=True):
        if form.casefold() in message.casefold():
            bound = ("", "") if len(form) >= _LONG else (r"(?<!\w)", r"(?!\w)")
            message = re.sub(re.escape(form).join(bound), MASK, message, flags=re.IGNORECASE)
    return message


def masked(value: Any, names: Iterable[str] = (), hidden: Hidden | None = None) -> Any:
    """
    Give *value* with a mask in place of each secret.

    Args:
        value: A tree, or any part of one.

        names: The names on the way to it.

        hidden: What else is known to be secret, seen from the top of the way.
    """
    for name in names:
        if is_secret_name(name) or (hidden is not None and hidden.secret):
            return MASK
        hidden = None if hidden is None else hidden.below(name)
    return _masked(value, hidden)


def masked_text(path: str, entry: Entry, hidden: Hidden | None = None) -> str | bytes:
    """
    Give what the entry at *path* holds, as it may be shown: with a document's secrets masked, the document stays text.

    A document without secrets comes as it is, and one that does not parse, and so may hold anything, is masked whole.
    """
    mount, suffix = split_suffix(path)
    text: str | bytes
    try:
        text = entry.text
        value = parse(path, entry) if suffix else text
    except EtcdSettingsError:
        text, value = (entry.value, MASK) if suffix else (entry.value, entry.value)
    shown = masked(value, mount.split("/"), hidden)
    if shown == value and value is not MASK:
        return text
    return shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False, default=str)


def _masked(value: Any, hidden: Hidden | None) -> Any:
    if hidden is not None and hidden.secret:
        return MASK
    match value:
        case dict():
            return {
                name: MASK
                if is_secret_name(name)
                else _masked(child, None if hidden is None else hidden.below(str(name)))
                for name, child in value.items()
            }
        case list():
            return [
                _masked(item, None if hidden is None else hidden.below(str(index))) for index, item in enumerate(value)
            ]
        case str() if value.lstrip()[:1] in ("{", "["):
            return _masked_json(value, hidden)
    return value


def _masked_json(text: str, hidden: Hidden | None) -> str:
    """Look into a text that may be JSON; one that is not quite, and names a secret, is masked whole."""
    try:
        value = read_json(text)
    except (ValueError, RecursionError):
        return MASK if is_secret_name(text) else text
    shown = _masked(value, hidden)
    return text if shown == value else json.dumps(shown, ensure_ascii=False)


def _forms(text: str) -> Iterator[str]:
    """Give the forms in which a message may quote a text: whole, in Python, JSON or a URL, by line, or by word."""
    from urllib.parse import quote, quote_plus  # here, since it takes a while and the errors that quote are rare

    for form in (
        text,
        text.strip(),
        repr(text)[1:-1],
        json.dumps(text)[1:-1],
        quote(text, safe=""),
        quote(text),
        quote_plus(text),
    ):
        if form:
            yield form
    for words in (text.splitlines(), text.split()):
        yield from (word for word in words if len(word) > _LONG)

"""
Read and write a document: a value that is itself a tree, in JSON, TOML or YAML.

The suffix of the key says which. A document that does not parse is a `DecodeError` with the place, never with the text;
the parser's own error is left behind on purpose, because it quotes what it read.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NoReturn

from etcd_settings.entries import Entry
from etcd_settings.errors import ConfigurationError, DecodeError, EtcdSettingsError

__all__ = ["SUFFIXES", "controls_escaped", "json_object", "parse", "read_json", "render", "split_suffix"]

_CONTROLS = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What the formats let pass in a text, and a terminal obeys or writes backwards."""


def parse(path: str, entry: Entry) -> Any:
    """
    Parse the document at *path*, whose suffix names its format.

    Raises:
        DecodeError: It is not what the suffix promises.
        ConfigurationError: It is YAML, and the extra ``yaml`` is not installed.
    """
    text = entry.text
    _, suffix = split_suffix(path)
    name, read = _FORMATS[suffix]
    problem: EtcdSettingsError
    try:
        return read(text)
    except ImportError:
        problem = ConfigurationError(
            f"{entry.key!r} is a YAML document, and reading those takes PyYAML. "
            f"Install it with `pip install 'etcd-settings[yaml]'`.",
            subject=entry.key,
        )
    except RecursionError:
        problem = DecodeError(entry.key, name, "nested too deeply")
    except Exception as e:  # noqa: BLE001  # PyYAML's constructors also raise KeyError, AttributeError, TypeError …
        problem = DecodeError(entry.key, name, _position(e))
    raise problem  # outside the handler, so that no context holds the text


def render(path: str, value: Any, *, like: str = "") -> str | None:
    """
    Write *value* as the document at *path*, whose suffix names its format; what has no suffix is JSON.

    Comments are lost, and so is the layout, but for whether JSON has lines.

    Args:
        path: The document's path.

        value: A tree, or whatever else the format can hold at its top.

        like: The text that it replaces.

    Returns:
        The text; None if the format has no words for the value.

    Raises:
        ConfigurationError: The extra that writes the format is not installed.
    """
    _, suffix = split_suffix(path)
    try:
        return _WRITERS[suffix](value, like)
    except ImportError:
        pass  # the error below must not have this one as its context
    except Exception:  # noqa: BLE001  # the writers raise TypeError, ValueError, AttributeError, PyYAML its own …
        return None
    extra = "cli" if suffix == ".toml" else "yaml"
    raise ConfigurationError(
        f"Writing {path!r} takes another package. Install it with `pip install 'etcd-settings[{extra}]'`.", subject=path
    )


def split_suffix(name: str) -> tuple[str, str]:
    """Split a segment that ends in a document's suffix into stem and suffix; ``""`` as suffix for any other."""
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            return name[: -len(suffix)], suffix
    return name, ""


def json_object(text: str) -> dict[str, Any] | None:
    """Give *text* as the JSON object that it is; None if it is anything else."""
    if not text.lstrip().startswith("{"):  # cheaper than a failed parse, and most texts are none
        return None
    try:
        found: dict[str, Any] = read_json(text)
    except (ValueError, RecursionError):
        return None
    return found


def controls_escaped(text: str) -> str:
    """Give JSON or TOML with every control character as an escape, fit for a terminal."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _refuse_constant(name: str) -> NoReturn:
    """Hold JSON to its grammar: Python also reads ``NaN``, which no other reader of the same key would."""
    raise ValueError(name)


read_json: Callable[[str], Any] = json.JSONDecoder(parse_constant=_refuse_constant).decode


def _read_yaml(text: str) -> Any:
    import yaml  # an extra, and 20 ms that only its users should pay

    return _plain(yaml.safe_load(text), {})


_FORMATS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    ".json": ("JSON", read_json),
    ".toml": ("TOML", tomllib.loads),
    ".yaml": ("YAML", _read_yaml),
    ".yml": ("YAML", _read_yaml),
}

SUFFIXES = tuple(_FORMATS)


def _write_json(value: Any, like: str) -> str:
    indent = 2 if "\n" in like.strip() else None
    return controls_escaped(json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent))


def _write_toml(value: Any, _: str) -> str:
    import tomli_w  # an extra: the standard library only reads TOML

    return controls_escaped(tomli_w.dumps(value))


def _write_yaml(value: Any, _: str) -> str:
    import yaml  # an extra

    text: str = yaml.safe_dump(value, allow_unicode=True, sort_keys=False)
    if _CONTROLS.search(text):  # PyYAML writes some as they are, and reads them as line feeds
        text = yaml.safe_dump(value, sort_keys=False)
    return text


_WRITERS: Mapping[str, Callable[[Any, str], str]] = {
    "": _write_json,
    ".json": _write_json,
    ".toml": _write_toml,
    ".yaml": _write_yaml,
    ".yml": _write_yaml,
}


def _plain(value: Any, made: dict[int, Any]) -> Any:
    """
    Make what YAML gives what other formats give.

    Every name is a `str`: in YAML ``8080: …`` is an `int`. So is what is ``!!binary`` and yet a text, and a pair of
    escapes that stands for one character, as JSON writes it, is that character.

    What *made* holds already is not made again: aliases let ten lines of YAML stand for a billion nodes.
    """
    if id(value) in made:
        return made[id(value)]
    converted = value
    match value:
        case dict():
            converted = {_name(name): _plain(child, made) for name, child in value.items()}
            if len(converted) < len(value):
                raise ValueError("two names are spelled alike")
        case list():
            converted = [_plain(child, made) for child in value]
        case str():
            converted = _paired(value)
        case bytes():
            with suppress(UnicodeDecodeError):
                converted = value.decode()
    made[id(value)] = converted
    return converted


def _name(name: Any) -> str:
    return _paired(name) if isinstance(name, str) else json.dumps(name, default=str).strip('"')


def _paired(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return text


def _position(error: Exception) -> str | None:
    mark = getattr(error, "problem_mark", None)  # PyYAML
    if mark is not None:
        return f"line {mark.line + 1}, column {mark.column + 1}"
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}"
    place = re.search(r"at line (\d+), column (\d+)", str(error))  # tomllib, which has no attributes for it until 3.14
    return f"line {place[1]}, column {place[2]}" if place else None

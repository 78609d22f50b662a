"""
Say what pydantic found wrong without saying what it found.

A validation error holds every offending input, and some of its messages quote it: those of a ``ValueError`` or an
``assert`` in somebody's validator, of custom errors, of an unknown tag of a union. Inputs are left out; such a message
is withheld where the place is secret, and elsewhere the input is masked in it.

A place is secret by its type (`SecretStr` and its kin), or because something on the way to it is called so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any

from pydantic import BaseModel, Secret, SecretBytes, SecretStr, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError, PydanticKnownError

from etcd_settings.fitting.places import keys_of
from etcd_settings.fitting.plans import Plan
from etcd_settings.masking import MASK, is_secret_name, unquoted
from etcd_settings.nodes import Traced

__all__ = ["WITHHELD", "Finding", "findings", "keys_at", "scrubbed", "secrets_in"]

WITHHELD = "The value was refused. Why is withheld, because the reason may quote a secret"
_QUOTING = frozenset({"value_error", "assertion_error", "union_tag_invalid"})


@dataclass(frozen=True)
class Finding:
    """
    One thing that is wrong, fit to be shown.

    Args:
        loc: Where, as pydantic spells it.

        kind: What, as pydantic calls it.

        message: In words, without the value.

        context: What pydantic's own message was made from; None if the message is not pydantic's own, or quotes.
    """

    loc: tuple[int | str, ...]
    kind: str
    message: str
    context: Mapping[str, Any] | None = None


def findings(error: ValidationError, plan: Plan, *, secrets: Iterable[str] = ()) -> list[Finding]:
    """
    Tell what is wrong, without inputs.

    Args:
        error: What pydantic raised.

        plan: The plan of the type that it was raised for.

        secrets: Texts that no message may quote, whatever place it is about.
    """
    hidden = tuple(secrets)
    return [_finding(detail, plan, hidden) for detail in error.errors(include_url=False)]


def scrubbed(error: ValidationError, found: Sequence[Finding]) -> ValidationError:
    """Make an error like *error*, of *found* alone."""
    return ValidationError.from_exception_data(
        error.title,
        [_rebuilt(one) for one in found],
        hide_input=True,
    )


def secrets_in(value: Any, plan: Plan | None, *, secret: bool = False) -> Iterator[str]:
    """Find the texts in fitted settings that are secret by type or by name."""
    secret = secret or (plan is not None and plan.secret)
    match value:
        case SecretStr() | SecretBytes() | Secret():
            yield from _texts(value)
        case BaseModel():
            yield from secrets_in(dict(value), plan, secret=secret)
        case dict():
            for name, child in value.items():
                names = (str(name), *(plan.names(name) if plan else ()))
                below = plan.below(name) if plan else None
                yield from secrets_in(child, below, secret=secret or any(map(is_secret_name, names)))
        case list() | tuple() | set() | frozenset():
            for index, child in enumerate(value):
                yield from secrets_in(child, plan.below(index) if plan else None, secret=secret)
        case _ if secret:
            yield from _texts(value)


def keys_at(node: Any, plan: Plan, finding: Finding) -> tuple[str, ...]:
    """Give the keys of the etcd entries that a finding is about, from what a thorough run made."""
    if finding.kind == "missing":
        return ()
    for part in finding.loc:
        if isinstance(node, Traced):
            break
        step = _step(node, plan, part)
        if step is not None:
            node = step
        plan = plan.below(part) or plan  # locations also name members of unions, which are no steps down
    return tuple(dict.fromkeys(keys_of(node)))


def _step(node: Any, plan: Plan, part: int | str) -> Any:
    if isinstance(node, list):
        return node[part] if isinstance(part, int) and part < len(node) else None
    if isinstance(node, dict):
        found = (node[name] for name in (part, str(part), *plan.names(part)) if name in node)
        return next(found, None)
    return None


def _finding(detail: ErrorDetails, plan: Plan, secrets: tuple[str, ...]) -> Finding:
    kind, context = detail["type"], detail.get("ctx") or {}
    loc, hidden = _shown(detail["loc"], plan)
    if kind not in _QUOTING and "error" not in context and _own_message(kind, context) == detail["msg"]:
        return Finding(loc, kind, detail["msg"], context)
    if hidden:
        return Finding(loc, kind, WITHHELD)
    return Finding(loc, kind, unquoted(detail["msg"], (*_texts(detail["input"]), *secrets)))


def _own_message(kind: str, context: Mapping[str, Any]) -> str | None:
    """Give the message that pydantic itself makes for this type of error; None if it is not one of pydantic's."""
    try:
        known: Any = kind  # a literal, says PydanticKnownError; whether it is one, is the question
        return PydanticKnownError(known, dict(context)).message()
    except (KeyError, TypeError, ValueError):
        return None


def _rebuilt(finding: Finding) -> InitErrorDetails:
    if finding.context is not None:
        return InitErrorDetails(type=finding.kind, loc=finding.loc, input=MASK, ctx=dict(finding.context))
    kind: Any = finding.kind  # PydanticCustomError wants literals, for the sake of translators
    message: Any = finding.message
    return InitErrorDetails(type=PydanticCustomError(kind, message), loc=finding.loc, input=MASK)


def _shown(loc: tuple[int | str, ...], plan: Plan) -> tuple[tuple[int | str, ...], bool]:
    """Give as much of a location as may be shown (names within a secret may not), and whether it is a secret's."""
    hidden = plan.secret
    for depth, part in enumerate(loc):
        if plan.secret:
            return loc[:depth], True
        hidden = hidden or any(map(is_secret_name, (str(part), *plan.names(part))))
        plan = plan.below(part) or plan
    return loc, hidden or plan.secret


def _texts(value: Any) -> Iterator[str]:
    """Give every text and number within a value, secrets opened."""
    match value:
        case bool() | None:
            return
        case str():
            yield value
        case bytes():
            yield value.decode("utf-8", "replace")
        case SecretStr() | SecretBytes() | Secret():
            yield from _texts(value.get_secret_value())
        case dict():
            for child in value.values():
                yield from _texts(child)
        case list() | tuple() | set() | frozenset():
            for child in value:
                yield from _texts(child)
        case BaseModel():
            yield from _texts(dict(value))
        case _ if is_dataclass(value):
            yield from _texts(vars(value))
        case _:
            yield str(value)

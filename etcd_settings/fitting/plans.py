"""
Fit what etcd holds to one type each.

A plan stands for a type. It takes the nodes that the layers hold at a place, lowest first, and gives the value for
pydantic. It validates nothing; whatever it can't fit it hands over as it is, and pydantic says what is wrong with it.

Here is what all plans have in common, and those for values that hold no others; see `containers` and `unions` for the
rest.

Invariant: the cost of fitting is that of looking at every node once.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from etcd_settings.fitting.names import Table
from etcd_settings.fitting.places import Nodes, Run, bare, merged

__all__ = ["MISSING", "Anything", "Hidden", "JsonText", "Make", "Plan", "Text"]

MISSING: Any = object()
"""Nothing is there. None is a value like any other."""

Make = Callable[[], "Plan"]
"""Makes the plan of an inner type when it is first needed: types may refer to themselves."""


class Plan(ABC):
    """
    How to fit nodes to one type.

    Attributes:
        plain: Whether a text is handed over as it is, so that the caller need not ask.

        takes_text: Whether any text at all is a valid value.

        takes_bytes: Whether bytes that are no text are a valid value.

        secret: Whether what it holds must not be shown.

        literals: The only texts that are valid, each with the value that it means; None if that is not known.
    """

    plain: bool = False
    takes_text: bool = False
    takes_bytes: bool = False
    secret: bool = False
    literals: Mapping[str, Any] | None = None

    @abstractmethod
    def fit(self, nodes: Nodes, run: Run) -> Any:
        """Give the value for pydantic; in a thorough run its traced counterpart."""

    def absent(self) -> Any:
        """Give what stands for a place of which etcd holds nothing."""
        return MISSING

    def below(self, part: object) -> Plan | None:  # noqa: ARG002 — most types hold nothing
        """Give the plan for what is at *part* of a value, as pydantic's locations spell it; None if nothing is."""
        return None

    def names(self, part: object) -> tuple[str, ...]:  # noqa: ARG002 — most types have no names
        """Give the names of the fields that are at *part* of a value."""
        return ()

    def tables(self) -> list[Table]:
        """Give the names by which values may come, of every record that this may be."""
        return []

    def keeps(self, text: str) -> bool:
        """Tell whether *text* is meant as a text, and does not merely spell something else, such as a number."""
        return self.takes_text or isinstance((self.literals or {}).get(text), str)


class Anything(Plan):
    """A type that says nothing: the tree as it is."""

    plain = takes_text = takes_bytes = True

    def fit(self, nodes: Nodes, run: Run) -> Any:  # noqa: ARG002 — nothing can go wrong here
        return merged(nodes)

    def below(self, part: object) -> Plan:  # noqa: ARG002 — everything is like it
        return self


_ANYTHING = Anything()


class Text(Plan):
    """
    Stand for a type that is made from one text: `str`, `int`, `bool`, a URL, a date.

    Args:
        takes_text: Whether any text will do.

        takes_bytes: Whether any bytes will do.

        literals: The only texts that will do, each with its value; None if that is not known.

        read: Makes a value of the text, for types that pydantic would not let come from one.
    """

    def __init__(
        self,
        *,
        takes_text: bool = False,
        takes_bytes: bool = False,
        literals: Mapping[str, Any] | None = None,
        read: Callable[[str], Any] | None = None,
    ) -> None:
        self.takes_text, self.takes_bytes, self.literals, self.read = takes_text, takes_bytes, literals, read
        self.plain = read is None

    def fit(self, nodes: Nodes, run: Run) -> Any:
        node = nodes[-1]
        if type(node) is dict:
            return merged(nodes)
        value = bare(node)
        if type(value) is bytes and not self.takes_bytes:
            return run.undecodable(node)
        if self.read is not None and type(value) is str and not run.thorough:
            return self.read(value)
        return node


class JsonText(Plan):
    """``Json[…]``: pydantic reads the text. What etcd holds as a branch or a document becomes a text again."""

    takes_text = True

    def fit(self, nodes: Nodes, run: Run) -> Any:
        value = merged(nodes)
        if run.thorough or isinstance(value, (str, bytes)):
            return value
        return json.dumps(value, default=str)


class Hidden(Plan):
    """A type that hides what it holds: `SecretStr`, `SecretBytes`, ``Secret[…]``."""

    secret = True

    def __init__(self, inner: Plan, wrap: Callable[[Any], Any]) -> None:
        self.inner, self.wrap = inner, wrap
        self.takes_text, self.takes_bytes = inner.takes_text, inner.takes_bytes

    def fit(self, nodes: Nodes, run: Run) -> Any:
        value = self.inner.fit(nodes, run)
        return value if run.thorough else self.wrap(value)

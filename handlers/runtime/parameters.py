"""Parameters of a request: declared once by a model, checked from that declaration."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from handlers.runtime.errors import BadRequest

Scalar = bool | int | float | str
Values = dict[str, Any]

TRUE_WORDS = ("true", "1", "yes", "on")
FALSE_WORDS = ("false", "0", "no", "off")
KINDS: dict[type, str] = {dict: "object", list: "list"}
TYPE_NAMES = {bool: "boolean", int: "integer", float: "number", str: "string"}


@dataclass(frozen=True)
class Parameter:
    """One declared parameter.

    Attributes:
        name: lower case with underscores; as a header ``X-Marquee-Top-K`` is ``top_k``.
        type: ``bool``, ``int``, ``float`` or ``str``.
        default: the value when the request does not name the parameter.
        text: one line for the docs and the schema.
        minimum, maximum: inclusive bounds of a number (or of each number of a list).
        choices: the allowed values, when they can be listed.
        unit: such as ``pixels``; part of messages and docs.
        many: the value is a list, in JSON or separated by commas; values become a tuple.
        max_items: how long such a list may be.
    """

    name: str
    type: type[Scalar]
    default: Scalar | tuple[Scalar, ...] | None
    text: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Scalar, ...] = ()
    unit: str = ""
    many: bool = False
    max_items: int = 16

    def parse(self, raw: Any) -> Any:
        """Return ``raw`` (text or a JSON value) as this parameter's type.

        Raises:
            BadRequest: names the parameter, the value found and what was expected.
        """
        if not self.many:
            return self._one(raw)
        parts = raw.split(",", self.max_items) if isinstance(raw, str) else raw
        if not isinstance(parts, list) or not 1 <= len(parts) <= self.max_items:
            raise self._refusal(raw)
        return tuple(self._one(part) for part in parts)

    def _one(self, raw: Any) -> Scalar:
        value = self._typed(raw.strip() if isinstance(raw, str) else raw)
        outside = isinstance(value, (int, float)) and not self._in_range(value)
        if value is None or outside or (self.choices and value not in self.choices):
            raise self._refusal(raw)
        return value

    def _typed(self, raw: Any) -> Scalar | None:
        """Convert without loss, or return None. JSON's true is no integer."""
        if self.type is bool:
            return _boolean(raw)
        if isinstance(raw, bool):
            return None
        if self.type is str:
            # An index among the choices may come as a number.
            text = str(raw) if isinstance(raw, int) and self.choices else raw
            return text if isinstance(text, str) else None
        if self.type is int and isinstance(raw, float) and not raw.is_integer():
            return None
        try:
            return self.type(raw)
        except (TypeError, ValueError, OverflowError):
            return None

    def _in_range(self, value: float) -> bool:
        # Integers have any length; asked whether they are finite, long ones raise.
        if isinstance(value, float) and not math.isfinite(value):
            return False
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        return low <= value <= high

    def _refusal(self, raw: Any) -> BadRequest:
        # What is nested may be so deep that it cannot be printed.
        text = f"a JSON {KINDS[type(raw)]}" if type(raw) in KINDS else repr(raw)
        text = text if len(text) <= 60 else text[:57] + "..."
        return BadRequest(f"parameter '{self.name}' is {text}, expected {self.expectation()}")

    def expectation(self) -> str:
        """Say in words what values are allowed, such as ``integer from 1 to 10``."""
        if self.choices:
            one = "one of " + ", ".join(str(choice) for choice in self.choices)
        else:
            one = " ".join(filter(None, [TYPE_NAMES[self.type], self._range_words(), self.unit]))
        return f"up to {self.max_items} values, each {one}" if self.many else one

    def _range_words(self) -> str:
        if self.minimum is not None and self.maximum is not None:
            return f"from {self.minimum:g} to {self.maximum:g}"
        if self.minimum is not None:
            return f"of at least {self.minimum:g}"
        return "" if self.maximum is None else f"of at most {self.maximum:g}"

    def schema(self) -> dict[str, Any]:
        """Return this parameter as a JSON Schema property."""
        one: dict[str, Any] = {"type": TYPE_NAMES[self.type]}
        limits = {"minimum": self.minimum, "maximum": self.maximum}
        one |= {key: value for key, value in limits.items() if value is not None}
        if self.choices:
            one["enum"] = list(self.choices)
        whole = one
        if self.many:
            whole = {"type": "array", "items": one, "minItems": 1, "maxItems": self.max_items}
        about = {"default": self.default, "description": self.text}
        return whole | about | ({"x-unit": self.unit} if self.unit else {})


def _boolean(raw: Any) -> bool | None:
    if isinstance(raw, bool):
        return raw
    word = raw.lower() if isinstance(raw, str) else None
    if word in TRUE_WORDS:
        return True
    return False if word in FALSE_WORDS else None


def parse_parameters(declared: Sequence[Parameter], given: Mapping[str, Any]) -> Values:
    """Check ``given`` against ``declared`` and fill in the defaults.

    Raises:
        BadRequest: a parameter is unknown, ill-typed or out of range.
    """
    known = {parameter.name: parameter for parameter in declared}
    for name in given:
        if name not in known:
            raise BadRequest(
                f"unknown parameter '{str(name)[:60]}'; this model knows {_listed(known)}"
            )
    values: Values = {parameter.name: parameter.default for parameter in declared}
    values.update({name: known[name].parse(raw) for name, raw in given.items()})
    return values


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"

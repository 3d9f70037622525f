"""What several commands take: groups of options, numbers, shares, durations, pairs, ``--json``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
NUMBER = r"(\d{1,9}(?:\.\d{1,9})?)"
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")


def group(*options: Decorator) -> Decorator:
    """Return a decorator that adds options to a command, in their order."""

    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


class Number(click.FloatRange):
    """A number in a range; nan is in none, and passes each comparison with a bound."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read the number."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is no number; expected {self._describe_range()}", param, ctx)
        return number


def share(text: str | float) -> float:
    """Read a share of any size, written ``5%`` or ``0.05``: both are 0.05."""
    written = re.fullmatch(rf"{NUMBER}(%?)", str(text).strip())
    if written is None:
        raise click.BadParameter(f"{text!r} is no share; expected one such as 5% or 0.05")
    return float(written[1]) / (100 if written[2] else 1)


def percent(text: str | float) -> float:
    """Read a share of at most all."""
    if (found := share(text)) > 1:
        raise click.BadParameter(f"{text!r} is too much; expected at most 100%, such as 5% or 0.05")
    return found


def duration(text: str | float) -> float:
    """Read seconds, written ``30s``, ``500ms``, ``2m``, ``1h`` or plainly ``30``."""
    written = re.fullmatch(rf"{NUMBER}\s*(ms|s|m|h|)", str(text).strip())
    if written is None:
        raise click.BadParameter(f"{text!r} is no duration; expected one such as 30s or 2m")
    return float(written[1]) * UNITS[written[2]]


def whole_seconds(text: str | float) -> int:
    """Read a duration of whole seconds."""
    found = duration(text)
    if abs(found - round(found)) > 1e-6:
        raise click.BadParameter(
            f"{text!r} is not a whole number of seconds; expected one such as 30s or 2m"
        )
    return round(found)


def pairs(
    _context: click.Context, parameter: click.Parameter, words: Sequence[str]
) -> dict[str, str]:
    """Read ``NAME=VALUE`` words; the callback of an option that may be given several times.

    Raises:
        click.BadParameter: a word has no name or no ``=``.
    """
    split = [word.partition("=") for word in words]
    for word, (name, equals, _) in zip(words, split, strict=True):
        if not name or not equals:
            raise click.BadParameter(f"{word!r} is not NAME=VALUE", param=parameter)
    return {name: value for name, _, value in split}


PARAMETERS = click.option(
    "--param",
    "parameters",
    metavar="NAME=VALUE",
    multiple=True,
    callback=pairs,
    help="A parameter of the model; may be given several times.",
)

"""What several commands take: groups of options, shares, factors, durations, pairs, ``--json``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")


def group(*options: Decorator) -> Decorator:
    """Return a decorator that adds options to a command, in their order."""

    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


class Times(click.FloatRange):
    """How many times as much something may be: 1 at the least."""

    def __init__(self) -> None:
        super().__init__(1)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read the number; nan passes each comparison with a bound, and later each with a time."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is no number of times; expected one such as 3 or 1.5", param, ctx)
        return float(number)


class Share(click.ParamType):  # type: ignore[type-arg] # no parameter at run time
    """A share, written ``5%`` or ``0.05``: both are 0.05.

    Args:
        most: the largest that is taken, 1 being all; None where there is no such bound.
    """

    name = "percent"

    def __init__(self, most: float | None = 1.0) -> None:
        self._most = most

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read the text; a number, which is a default of ours, is a share already."""
        written = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)(%?)", str(value).strip())
        if written is None:
            self.fail(f"{value!r} is no share; expected one such as 5% or 0.05", param, ctx)
        share = float(written[1]) / (100 if written[2] else 1)
        if self._most is not None and share > self._most:
            limit = f"at most {self._most:.0%}"
            self.fail(f"{value!r} is too much; expected {limit}, such as 5% or 0.05", param, ctx)
        return share


class Duration(click.ParamType):  # type: ignore[type-arg] # no parameter at run time
    """Seconds, written ``30s``, ``500ms``, ``2m``, ``1h`` or plainly ``30``."""

    name = "duration"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read the text; a number, which is a default of ours, is seconds already."""
        written = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*(ms|s|m|h|)", str(value).strip())
        if written is None:
            self.fail(f"{value!r} is no duration; expected one such as 30s or 2m", param, ctx)
        return float(written[1]) * UNITS[written[2]]


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

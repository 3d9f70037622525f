"""Lines over the last minutes, as SVG: quick to draw anew every second, and read out as a text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from marquee.studio.html import render

WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 350, 10, 166
# Told apart without colours as well.
COLOURS = ("#2f86d0", "#c8692c", "#3c9a55", "#9766cc")
DASHES = ("none", "6 3", "2 3", "9 3 2 3")


@dataclass(frozen=True)
class Line:
    """A line.

    Attributes:
        name: beside its last value.
        points: seconds ago and value, the oldest first; a value that is None is a gap.
        colour, dash: numbers; the first four of each look different.
    """

    name: str
    points: Sequence[tuple[float, float | None]]
    colour: int = 0
    dash: int = 0


def plot(title: str, lines: Sequence[Line], seconds: float, unit: str) -> str:
    """Return a figure in HTML, with a line's last value beside its name.

    Args:
        title: what is shown.
        lines: to be drawn.
        seconds: how far back the left edge is.
        unit: of the values.
    """
    top = _top(value for line in lines for _, value in line.points if value is not None)
    return render(
        "plot",
        title=title,
        said=", ".join(f"{line.name} {_last(line, unit)}" for line in lines) or "nothing yet",
        levels=[(_y(value, top), f"{value:g}") for value in (0, top / 2, top)],
        since=f"{seconds / 60:g} min ago",
        lines=[_drawn(line, seconds, top, unit) for line in lines],
        **{"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT},
    )


def _drawn(line: Line, seconds: float, top: float, unit: str) -> dict[str, Any]:
    return {
        "name": line.name,
        "last": _last(line, unit),
        "stroke": COLOURS[line.colour % len(COLOURS)],
        "dashes": DASHES[line.dash % len(DASHES)],
        "way": _way(line, seconds, top),
    }


def _way(line: Line, seconds: float, top: float) -> str:
    """Return the line as SVG's path; one point alone is a dot."""
    way, gap = [], True
    for ago, value in line.points:
        if value is not None:
            way.append(f"{'M' if gap else 'L'}{_x(ago, seconds):.1f} {_y(value, top):.1f}")
            way.append("h0.1" if gap else "")
        gap = value is None
    return "".join(way)


def _top(values: Iterable[float]) -> float:
    """Return a round number that no value is above."""
    most = max(values, default=0.0) or 1.0
    power = float(10 ** math.floor(math.log10(most)))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= most)


def _x(ago: float, seconds: float) -> float:
    return LEFT + (1 - ago / seconds) * (RIGHT - LEFT)


def _y(value: float, top: float) -> float:
    return BOTTOM - value / top * (BOTTOM - TOP)


def _last(line: Line, unit: str) -> str:
    value = line.points[-1][1] if line.points else None
    return "-" if value is None else f"{value:.3g} {unit}"

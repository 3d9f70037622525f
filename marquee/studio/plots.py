"""Lines over the last minutes, as SVG: quick to draw anew every second, and read out as a text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 24
# Told apart without colours as well.
COLOURS = ("#2f86d0", "#c8692c", "#3c9a55", "#9766cc")
DASHES = ("none", "6 3", "2 3", "9 3 2 3")
STYLE = """
.plot{margin:0;font-size:.9rem}
.plot svg{display:block;width:100%;height:auto}
.plot text{font-size:11px;fill:currentColor}
.plot .grid{stroke:currentColor;opacity:.18}
.plot .line{fill:none;stroke-width:2;stroke-linejoin:round}
.plot .key{display:inline-block;margin-right:1em;white-space:nowrap}
.plot figcaption{font-weight:600}
"""


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

    @property
    def looks(self) -> str:
        """Its attributes in SVG."""
        colour, dash = COLOURS[self.colour % len(COLOURS)], DASHES[self.dash % len(DASHES)]
        return f'class="line" stroke="{colour}" stroke-dasharray="{dash}"'


def plot(title: str, lines: Sequence[Line], seconds: float, unit: str) -> str:
    """Return a figure in HTML, with a line's last value beside its name.

    Args:
        title: what is shown.
        lines: to be drawn.
        seconds: how far back the left edge is.
        unit: of the values.
    """
    top = _top(value for line in lines for _, value in line.points if value is not None)
    drawn = "".join(_drawn(line, seconds, top) for line in lines)
    said = escape(f"{title}: {_said(lines, unit)}", quote=True)
    return (
        f'<figure class="plot"><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{said}">'
        f"{''.join(_frame(seconds, top))}{drawn}</svg>"
        f"<div>{''.join(_keys(lines, unit))}</div></figure>"
    )


def _top(values: Iterator[float]) -> float:
    """Return a round number above all values."""
    most = max(values, default=0.0) or 1.0
    power = float(10 ** math.floor(math.log10(most)))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= most)


def _x(ago: float, seconds: float) -> float:
    return LEFT + (1 - ago / seconds) * (WIDTH - LEFT - RIGHT)


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)


def _frame(seconds: float, top: float) -> Iterator[str]:
    for value in (0, top / 2, top):
        y = _y(value, top)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
    bottom = HEIGHT - 6
    yield f'<text x="{LEFT}" y="{bottom}">{seconds / 60:g} min ago</text>'
    yield f'<text x="{WIDTH - RIGHT}" y="{bottom}" text-anchor="end">now</text>'


def _drawn(line: Line, seconds: float, top: float) -> str:
    way, gap = [], True
    for ago, value in line.points:
        if value is not None:
            way.append(f"{'M' if gap else 'L'}{_x(ago, seconds):.1f} {_y(value, top):.1f}")
            # One alone would not be seen.
            way.append("h0.1" if gap else "")
        gap = value is None
    return f'<path {line.looks} stroke-linecap="round" d="{"".join(way)}"/>'


def _keys(lines: Sequence[Line], unit: str) -> Iterator[str]:
    for line in lines:
        yield (
            '<span class="key"><svg viewBox="0 0 24 8" aria-hidden="true" '
            'style="display:inline;width:24px;height:8px">'
            f'<path {line.looks} d="M0 4H24"/></svg> '
            f"{escape(line.name)}: {_last(line, unit)}</span>"
        )


def _said(lines: Sequence[Line], unit: str) -> str:
    return ", ".join(f"{line.name} {_last(line, unit)}" for line in lines) or "nothing yet"


def _last(line: Line, unit: str) -> str:
    value = line.points[-1][1] if line.points else None
    return "-" if value is None else f"{value:.3g} {unit}"

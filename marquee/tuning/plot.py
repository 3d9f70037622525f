"""Requests a second against p99, a line for each setting, as an SVG that any browser shows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from marquee.tuning.report import TuningReport

WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 72, 24, 56, 64
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1d2430}.card{fill:#fdfcf9}"
    ".grid{stroke:#d8d3c8}.line{fill:none;stroke:#8a8577;stroke-width:1.5}.dot{fill:#8a8577}"
    ".start{stroke:#2f6fb0}.start.dot{fill:#2f6fb0}.best{stroke:#2c8a3f;stroke-width:3}"
    ".best.dot{fill:#2c8a3f;stroke:none}.target{stroke:#b5442e;stroke-dasharray:6 4}"
    "@media (prefers-color-scheme:dark){text{fill:#eef2f6}.card{fill:#161b22}.grid{stroke:#3a424d}}"
)


@dataclass(frozen=True)
class _Axes:
    """From p99 in ms (logarithmic) and requests a second to places in the picture."""

    least: float
    most: float
    top: float

    def x(self, p99: float) -> float:
        share = math.log(p99 / self.least) / math.log(self.most / self.least)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, rate: float) -> float:
        return HEIGHT - BOTTOM - rate / self.top * (HEIGHT - TOP - BOTTOM)


def svg(report: TuningReport) -> str:
    """Return the picture: a point for each number of clients, from the fewest to the most.

    Settings have the numbers of the table. Blue is the setting as it was, green the best.
    """
    axes = _axes(report)
    body = [*_frame(report, axes), *_target(report, axes), *_lines(report, axes)]
    title = escape(f"{report.model} {report.version}: requests a second against p99")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img"><title>{title}</title>\n'
        f"<style>{STYLE}</style>\n"
        f'<rect class="card" width="{WIDTH}" height="{HEIGHT}"/>\n'
        f'<text x="{LEFT}" y="30">{title}</text>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _axes(report: TuningReport) -> _Axes:
    seen = [level for trial in report.trials for level in trial.levels]
    times = [max(level.p99, 0.01) for level in seen] + ([report.target] if report.target else [])
    least, most = min(times) / 1.2, max(times) * 1.2
    return _Axes(least, most, top=1.1 * max(level.rate for level in seen))


def _frame(report: TuningReport, axes: _Axes) -> Iterator[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    for rate in _steps(axes.top):
        y = axes.y(rate)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{rate:g}</text>'
    for p99 in _ticks(axes.least, axes.most):
        x = axes.x(p99)
        yield f'<path class="grid" d="M{x:.1f} {TOP}V{bottom}"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{p99:g}</text>'
    yield f'<text x="{right}" y="{bottom + 44}" text-anchor="end">p99, ms</text>'
    clients = ", ".join(str(level.clients) for level in report.trials[0].levels)
    said = f"requests a second, with {clients} clients; blue: as it was, green: best"
    yield f'<text x="{LEFT}" y="{bottom + 44}">{said}</text>'


def _steps(top: float) -> list[float]:
    """Return about five round numbers from 0 up to ``top``."""
    step = 10 ** math.floor(math.log10(top))
    while top / step < 4:
        step /= 2
    return [step * n for n in range(int(top / step) + 1)]


def _ticks(least: float, most: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten in a range."""
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    every = (digit * 10.0**power for power in powers for digit in (1, 2, 5))
    return [float(f"{one:.6g}") for one in every if least <= one <= most]


def _target(report: TuningReport, axes: _Axes) -> Iterator[str]:
    if report.target:
        x = axes.x(report.target)
        yield f'<path class="target" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'


def _lines(report: TuningReport, axes: _Axes) -> Iterator[str]:
    last = len(report.trials) - 1
    # The two that matter on top of the others.
    order = sorted(range(last + 1), key=lambda index: (index == report.best, index == 0))
    for index in order:
        trial = report.trials[index]
        points = [(axes.x(max(one.p99, 0.01)), axes.y(one.rate)) for one in trial.levels]
        if not points:
            continue
        kind = " best" if index == report.best else " start" if index == 0 else ""
        way = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        name = escape(f"{index + 1}: {trial.setting}")
        yield f'<path class="line{kind}" d="M{way}"><title>{name}</title></path>'
        for x, y in points:
            yield f'<circle class="dot{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
        x, y = points[-1]
        yield f'<text x="{x + 6:.1f}" y="{y - 6:.1f}">{index + 1}</text>'

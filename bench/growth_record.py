"""What `bench.growth` measured: its record, a table and a plot for each axis."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from bench.plot import OURS, THEIRS, save
from bench.table import grid, number, spread
from tests.support import ROOT

RESULTS = ROOT / "bench" / "results"
# How a value of an axis is called, and by which measure the axis is drawn.
TITLES = {
    "clients": "clients",
    "body": "bytes of the body, 1 client",
    "batch": "batchSize, 64 clients",
    "workers": "workers, 32 clients",
    "models": "models, 2 clients each",
    "pixels": "pixels of a JPEG, 4 clients",
}
HEADS = ("", "answers a second", "p50 / p99 ms", "CPU ms an answer", "MB", "failed", "others")
DRAWN = {"body": ("p50_ms", "p50 in ms"), "pixels": ("cpu_ms", "CPU ms an answer")}
WIDE = ("clients", "body", "batch", "pixels")
LEGEND = (
    "Medians of all rounds; ± is half of the distance between the extremes. *failed*: answers that "
    "were not 200, *others*: the share of all cores that other programs kept busy."
)
UNITS = ((10**6, "M"), (10**3, "k"), (1, ""))


@dataclass(frozen=True)
class Point:
    """What came of one value of an axis, in one round.

    Attributes:
        axis, value: what grew, and how far.
        series: who was asked.
        rate: answers a second.
        p50_ms, p99_ms: of the time to an answer.
        cpu_ms: CPU milliseconds of the server for an answer.
        resident_mb: memory of the server afterwards.
        others: share of all cores that others kept busy meanwhile.
        failed: answers of another status than 200: beyond the queue's 100 places they are 503.
    """

    axis: str
    value: float
    series: str
    rate: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    resident_mb: float
    others: float
    failed: int = 0


def kept(path: Path, machine: Mapping[str, str], renewed: Sequence[str]) -> list[Point]:
    """Return what a record has of the axes that are not measured anew.

    Raises:
        SystemExit: it is of another machine, or of other versions.
    """
    if not path.is_file():
        return []
    record = json.loads(path.read_text())
    found = [Point(**each) for each in record["points"] if each["axis"] not in renewed]
    for name in (machine.keys() - {"commit"}) if found else ():
        if record["machine"][name] != machine[name]:
            sys.exit(
                f"{path} was measured with {name} {record['machine'][name]}, this is "
                f"{machine[name]}: one page cannot show both; move it away, and measure every axis"
            )
    return found


def rounds(points: Sequence[Point], axis: str) -> list[list[Point]]:
    """Return an axis's points, the rounds of each value and series together."""
    found: dict[tuple[float, str], list[Point]] = {}
    for each in points:
        if each.axis == axis:
            found.setdefault((each.value, each.series), []).append(each)
    return list(found.values())


def middle(same: Sequence[Point]) -> Point:
    """Return the median of each figure over the rounds of one value and series."""
    figures = [each.name for each in fields(Point)[3:]]
    return replace(
        same[0], **{name: statistics.median(getattr(one, name) for one in same) for name in figures}
    )


def short(value: float) -> str:
    """Return 10 k for 10000, 2.07 M for 1920 x 1080 pixels."""
    size, unit = next((pair for pair in UNITS if value >= pair[0]), UNITS[-1])
    return f"{value / size:.3g} {unit}".strip()


def render(points: Sequence[Point], machine: Mapping[str, str]) -> str:
    """Return the whole page, in Markdown."""
    lines = ["# How cost grows", "", "cifar (VGG11) by marquee: " + " · ".join(TITLES) + ".", ""]
    lines += [LEGEND]
    lines += ["", ", ".join(f"{name} {value}" for name, value in machine.items())]
    for axis, title in TITLES.items():
        rows = [_row(each) for each in rounds(points, axis)]
        lines += ["", *grid((title, *HEADS), rows)] if rows else []
    return "\n".join(lines) + "\n"


def _row(same: Sequence[Point]) -> list[str]:
    each, apart = middle(same), spread([one.rate for one in same])
    figures = [
        f"{number(each.rate)} ±{apart:.0%}",
        f"{number(each.p50_ms)} / {number(each.p99_ms)}",
        number(each.cpu_ms),
        f"{each.resident_mb:.0f}",
        f"{each.failed:.0f}",
        f"{each.others:.0%}",
    ]
    return [short(each.value), each.series, *(cell.replace("%", " %") for cell in figures)]


def draw(points: Sequence[Point], path: Path) -> None:
    """Write a plot with a panel an axis: medians, and a line from the least to the most."""
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    axes: Any = figure.subplots(2, 3)
    for panel, axis in zip(axes.flat, TITLES, strict=True):
        _panel(panel, axis, rounds(points, axis))
    save(figure, path)


def _panel(panel: Any, axis: str, grouped: Sequence[Sequence[Point]]) -> None:
    if not grouped:
        panel.set_axis_off()
        return
    value, label = DRAWN.get(axis, ("rate", "answers a second"))
    for series in sorted({same[0].series for same in grouped}):
        _curve(panel, value, [same for same in grouped if same[0].series == series])
    panel.set(xlabel=TITLES[axis], ylabel=label)
    if axis in WIDE:
        panel.set_xscale("log")
    if axis in DRAWN:
        panel.set_yscale("log")
        panel.legend(fontsize=8)
    else:
        panel.set_ylim(bottom=0)
    measured = sorted({same[0].value for same in grouped})
    panel.set_xticks(measured, map(short, measured), fontsize=8)
    panel.minorticks_off()
    panel.spines[["top", "right"]].set_visible(False)


def _curve(panel: Any, value: str, grouped: Sequence[Sequence[Point]]) -> None:
    series = grouped[0][0].series
    colour = OURS if series == "marquee" else THEIRS
    at = [same[0].value for same in grouped]
    panel.plot(
        at, [getattr(middle(same), value) for same in grouped], "o-", color=colour, label=series
    )
    figures = [[getattr(one, value) for one in same] for same in grouped]
    panel.vlines(at, [*map(min, figures)], [*map(max, figures)], color="black", linewidth=1)


def write(points: Sequence[Point], machine: Mapping[str, str], path: Path) -> str:
    """Write record, table and plot; return the table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n  ".join(json.dumps(asdict(each)) for each in points)
    head = json.dumps({"machine": dict(machine)}, indent=1)[:-2]
    path.write_text(f'{head},\n "points": [\n  {lines}\n ]\n}}\n')
    text = render(points, machine)
    path.with_suffix(".md").write_text(text)
    draw(points, path.with_suffix(".svg"))
    return text

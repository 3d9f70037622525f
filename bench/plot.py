"""The record as a picture: answers a second, and the price of one in CPU."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.contenders.all import CONTENDERS
from bench.record import Record
from bench.table import columns, median, number, present

OURS, THEIRS = "#c0392b", "#7f8c8d"


def draw(record: Record, path: Path) -> None:
    """Write the plot."""
    figure = Figure(figsize=(12, 5.5), layout="constrained")
    panels = columns(record)
    axes: Any = figure.subplots(2, len(panels), sharey=True, squeeze=False)
    names = [name for name in reversed(CONTENDERS) if name in present(record)]
    for column, (load, title) in enumerate(panels.items()):
        _bars(axes[0][column], record, names, load, "rate")
        _bars(axes[1][column], record, names, load, "cpu_s")
        axes[0][column].set_title(f"{title} clients" if title[-1].isdigit() else title)
        axes[0][column].set_xlabel("answers a second", fontsize=9)
        axes[1][column].set_xlabel("CPU seconds per 1000 answers", fontsize=9)
    save(figure, path)


def _bars(axis: Any, record: Record, names: list[str], load: str, value: str) -> None:
    samples = [record.of(name, load) for name in names]
    middles = [median(each, lambda sample: getattr(sample, value)) for each in samples]
    colours = [OURS if name in ("marquee", "front") else THEIRS for name in names]
    axis.barh([plain(CONTENDERS[name].title) for name in names], middles, color=colours)
    for place, (middle, each) in enumerate(zip(middles, samples, strict=True)):
        found = [getattr(sample, value) for sample in each]
        axis.plot([min(found), max(found)], [place, place], color="black", linewidth=1)
        axis.annotate(f" {number(middle)}", (max(found), place), va="center", fontsize=7)
    axis.margins(x=0.15)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)


def plain(title: str) -> str:
    """Return a row's title without Markdown, short enough for an axis."""
    return re.sub(r"\*\*|:.*", "", title)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as SVG that is the same for the same figures."""
    with mpl.rc_context({"svg.hashsalt": "marquee", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})

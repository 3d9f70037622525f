"""What the tab "Operate" shows: models, a change, a canary, the history, a request; as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from marquee.front.traffic import Summary
from marquee.studio.changes import Change
from marquee.studio.html import render
from marquee.torchserve.logs import Line
from marquee.torchserve.models import ModelState
from marquee.torchserve.modeltable import COLUMNS, REPLACED
from marquee.versions.canaries import Canary
from marquee.versions.canary import CanaryFigures
from marquee.versions.history import DONE, Record


def models(states: Sequence[ModelState], canaries: Mapping[str, Canary]) -> str:
    """Return what ``marquee models`` shows, with the canaries' shares."""

    def cells(one: ModelState) -> list[str]:
        found = {name: cell(one) for name, cell in COLUMNS.items()}
        canary = canaries.get(one.name)
        if canary is not None and canary.version == one.version:
            found["VERSION"] += f" canary {canary.share:.2%}"
        return [*found.values()]

    marks = [one.default for one in states]
    note = paragraph(REPLACED) if any(one.replaced for one in states) else ""
    return table("What the server serves", [*COLUMNS], map(cells, states), marks) + note


def table(
    title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], marks: Sequence[bool] = ()
) -> str:
    """Return a table.

    Args:
        marks: which rows stand out; none where it is empty.
    """
    listed = [
        {"cells": cells, "marked": bool(marks) and marks[number]}
        for number, cells in enumerate(rows)
    ]
    return render("table", title=title, names=[head.capitalize() for head in heads], rows=listed)


def told(change: Change) -> str:
    """Return a change's steps until now, and what came of it."""
    return render("change", change=change)


def refused(sentence: str) -> str:
    """Return the sentence that says why something was refused."""
    return render("refused", sentence=sentence)


def paragraph(sentence: str) -> str:
    """Return a sentence."""
    return render("paragraph", sentence=sentence)


def canary(figures: CanaryFigures) -> str:
    """Return a canary beside its default version, as ``marquee canary MODEL`` shows both."""
    one = figures.canary
    rows = [
        [version, *_side(side)]
        for version, side in (
            (figures.default_version, figures.default),
            (one.version, figures.of_canary),
        )
    ]
    title = f"{one.model}: {one.share:.2%} of the requests go to {one.version}"
    return table(title, ["VERSION", "REQUESTS", "ERRORS", "RATE", "P50", "P95"], rows)


def _side(side: Summary) -> list[str]:
    times = ["-" if one is None else f"{one:.0f} ms" for one in (side.p50, side.p95)]
    return [str(side.requests), str(side.errors), f"{side.error_rate:.1%}", *times]


def history(records: Sequence[Record]) -> str:
    """Return changes, the newest first."""
    if not records:
        return paragraph("Nothing has been changed yet.")
    heads = ["WHEN", "WHO", "MODEL", "CHANGE", "VERSIONS", "TOOK", "OUTCOME", "WHY"]
    return table("Changes", heads, map(_record, reversed(records)))


def _record(record: Record) -> list[str]:
    versions = " -> ".join(filter(None, (record.get("from"), record.get("to"))))
    workers = f", {record['workers']} worker(s)" if "workers" in record else ""
    took = sum(step["seconds"] for step in record.get("steps", []))
    when = f"{datetime.fromisoformat(record['when']).astimezone():%Y-%m-%d %H:%M:%S}"
    words = [when, record["who"], record["model"], record["action"], versions + workers]
    outcome = record["outcome"]
    shown = outcome if outcome == DONE else outcome.upper()
    return [*words, f"{took:.1f} s", shown, record.get("reason", "")]


def log(entries: Sequence[Mapping[str, Any]], lines: Sequence[Line]) -> str:
    """Return what the door says of a request, and its story as ``marquee logs`` prints it."""
    heads = ["ENDED", "MODEL", "VERSION", "ARM", "STATUS", "MODEL'S TIME", "TOOK", "IN", "OUT"]
    door = table("At the door", heads, map(_entry, entries)) if entries else ""
    return door + (_story(lines) if lines else paragraph("The server's logs say no more of it."))


def _entry(entry: Mapping[str, Any]) -> list[str]:
    ended = datetime.fromtimestamp(float(entry["time"])).astimezone()
    names = [str(entry.get(name) or "-") for name in ("model", "version", "arm", "status")]
    times = [f"{entry.get(name, '-')} ms" for name in ("server_ms", "total_ms")]
    sizes = [f"{entry.get(name, '-')} bytes" for name in ("bytes_in", "bytes_out")]
    return [f"{ended:%Y-%m-%d %H:%M:%S}", *names, *times, *sizes]


def _story(lines: Sequence[Line]) -> str:
    def text(one: Line) -> str:
        origin = f"{one.model} {one.version}".strip() or one.source
        return f"{one.time.replace('T', ' ')} {one.level:5} {origin:16} {one.text}"

    return render("story", lines=map(text, lines))

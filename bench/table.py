"""The record as a page: medians over rounds, how far rounds went apart, and ratios by round."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence

from bench.contenders.all import CONTENDERS
from bench.record import Record, Sample

CLOSED = {
    "png-1": "1 client",
    "png-8": "8",
    "png-32": "32",
    "1080p-8": "1080p JPEG, 8",
    "12mp-8": "12 MP JPEG, 8",
}
OPEN = ("open-50", "open-80")
NONE = "-"
# Others that take more than this of the machine move the figures.
QUIET = 0.1


def median(samples: Sequence[Sample], value: Callable[[Sample], float]) -> float:
    """Return the median over rounds; 0 of none."""
    return statistics.median(map(value, samples)) if samples else 0.0


def spread(values: Sequence[float]) -> float:
    """Return half of the distance between the extremes, as a share of the median."""
    middle = statistics.median(values)
    return (max(values) - min(values)) / 2 / middle if middle else 0.0


def rate(samples: Sequence[Sample]) -> str:
    """Return answers a second with their spread, such as `332 ±4 %`."""
    if not samples:
        return NONE
    rates = [sample.rate for sample in samples]
    return f"{statistics.median(rates):.0f} ±{spread(rates):.0%}".replace("%", " %")


def times(samples: Sequence[Sample]) -> str:
    """Return p50 / p99 in ms."""
    if not samples:
        return NONE
    p50, p99 = (median(samples, of) for of in (lambda s: s.p50_ms, lambda s: s.p99_ms))
    return f"{number(p50)} / {number(p99)}"


def number(value: float) -> str:
    """Return three digits of a number, and all digits before the point."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def ratios(record: Record, load: str, value: Callable[[Sample], float], other: str) -> list[float]:
    """Return marquee's value over another's of the same round, for each round."""
    theirs = {sample.round: value(sample) for sample in record.of(other, load)}
    ours = ((sample.round, value(sample)) for sample in record.of("marquee", load))
    return [mine / theirs[turn] for turn, mine in ours if theirs.get(turn)]


def ratio(record: Record, load: str, value: Callable[[Sample], float], other: str) -> str:
    """Return the median of the ratios, with the lowest and the highest."""
    found = ratios(record, load, value, other)
    if not found:
        return NONE
    return f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"


def grid(heads: Iterable[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table, the first column to the left."""
    heads = list(heads)
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "--:|" * (len(heads) - 1)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows)]


def present(record: Record) -> list[str]:
    """Return the contenders that have samples, in the order of the table."""
    seen = {sample.contender for sample in record.samples}
    return [name for name in CONTENDERS if name in seen]


def columns(record: Record) -> dict[str, str]:
    """Return the closed loops that have samples, with their heads."""
    seen = {sample.load for sample in record.samples}
    return {load: head for load, head in CLOSED.items() if load in seen}


def _closed(record: Record) -> list[str]:
    loads = columns(record)
    first, title = next(iter(loads.items()))
    heads = ["answers a second", *loads.values(), f"p50 / p99 ms of {title}", "MB"]
    rows = []
    for name in present(record):
        rates = [rate(record.of(name, load)) for load in loads]
        memory = record.resident_mb.get(name, 0.0)
        cells = [times(record.of(name, first)), f"{memory:.0f}" if memory else NONE]
        rows.append([CONTENDERS[name].title, *rates, *cells])
    return grid(heads, rows)


def _cpu(record: Record) -> list[str]:
    rows = []
    for name in present(record):
        loads = (record.of(name, load) for load in columns(record))
        cells = [f"{median(each, lambda s: s.cpu_s):.2f}" if each else NONE for each in loads]
        rows.append([CONTENDERS[name].title, *cells])
    return grid(["CPU seconds per 1000 answers", *columns(record).values()], rows)


def _open(record: Record) -> list[str]:
    heads = ["p50 / p99 ms at a steady rate"]
    heads += [part for load in OPEN for part in (f"{load[-2:]} % of saturation: a second", "ms")]
    rows = []
    for name in present(record):
        loads = [record.of(name, load) for load in OPEN]
        if any(loads):
            cells = [(f"{median(each, lambda s: s.asked_rate):.0f}", times(each)) for each in loads]
            rows.append([CONTENDERS[name].title, *(cell for pair in cells for cell in pair)])
    return grid(heads, rows) if rows else []


def _against(record: Record, value: str, head: str) -> list[str]:
    loads = columns(record)
    rows = [
        [
            CONTENDERS[name].title,
            *(ratio(record, load, lambda s: float(getattr(s, value)), name) for load in loads),
        ]
        for name in present(record)
        if name != "marquee"
    ]
    return grid([head, *loads.values()], rows)


def quietness(record: Record) -> str:
    """Say how much of the machine others took, and whether that spoils the figures."""
    shares = [sample.others for sample in record.samples]
    middle = statistics.median(shares)
    said = f"Others kept {middle:.0%} of the cores busy (median; at most {max(shares):.0%})."
    if record.taken:
        return f"{record.taken} of the cores taken on purpose. {said}"
    return said if middle <= QUIET else f"**The machine was not quiet.** {said}"


def _faults(record: Record) -> list[str]:
    lines = []
    for name in present(record):
        bad = [s for s in record.samples if s.contender == name and (s.wrong or s.failed)]
        if bad:
            wrong, failed = sum(s.wrong for s in bad), sum(s.failed for s in bad)
            loads = ", ".join(sorted({s.load for s in bad}))
            lines.append(f"- **{name}**: {wrong} wrong and {failed} failed answers ({loads})")
    return lines or ["Every answer of every contender was the network's own."]


def render(record: Record) -> str:
    """Return the whole page, in Markdown."""
    machine = ", ".join(f"{name} {value}" for name, value in record.machine.items())
    programs = ", ".join(f"{name} {value}" for name, value in record.versions.items())
    missing = [f"- {name} is not there: {why}" for name, why in record.missing.items()]
    parts = [
        [f"# {record.network}, {record.rounds} rounds in turns, {', '.join(record.days)}"],
        ["Medians; ± is half of the distance between the extremes. " + quietness(record)],
        _faults(record),
        _closed(record),
        _cpu(record),
        _open(record),
        ["Ratios round by round: median (lowest to highest)."],
        _against(record, "rate", "marquee's answers a second over those of"),
        _against(record, "cpu_s", "marquee's CPU over that of"),
        [f"- {machine}", f"- {programs}", *missing],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"

"""Count what became of every request of `bench.swap`, and show it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from bench.load import Sample
from bench.swap_parts import Bench, Window

# Times in records are rounded to milliseconds.
CLOCK_SECONDS = 0.002
STEADY = "steady"


def percentile(seconds: Iterable[float], share: float) -> float:
    """Return a percentile in milliseconds, 0 of nothing."""
    ordered = sorted(seconds)
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def retired_answers(samples: Sequence[Sample], switches: Sequence[tuple[float, float, str]]) -> int:
    """Count answers by another version than the one that had been switched to before."""
    wrong = 0
    for index, (_, done, version) in enumerate(switches):
        until = switches[index + 1][0] if index + 1 < len(switches) else float("inf")
        wrong += sum(
            done + CLOCK_SECONDS < sample.sent < until - CLOCK_SECONDS
            and sample.status == 200
            and sample.version != f"cifar/{version}"
            for sample in samples
        )
    return wrong


def parts_of(bench: Bench) -> dict[str, list[Sample]]:
    """Sort the requests by what was done when they were sent; all swaps are one part."""
    parts: dict[str, list[Sample]] = {STEADY: []}
    for sample in bench.load.samples:
        during = next((w for w in bench.windows if w.start <= sample.sent <= w.end), None)
        parts.setdefault(during.part if during else STEADY, []).append(sample)
    return parts


def summary(bench: Bench) -> dict[str, Any]:
    """Return the counts; ``unexpected`` is 0 if all is as it should be."""
    samples, parts = bench.load.samples, parts_of(bench)
    failures = sum(sample.status != 200 for sample in samples)
    sound_until = next((w.start for w in bench.windows if w.part != "swap"), float("inf"))
    sound = [sample for sample in samples if sample.sent < sound_until]
    wrong = sum(bool(sample.wrong) for sample in samples)
    wrong += retired_answers(sound, bench.switches)
    allowed = sum(window.allowed for window in bench.windows)
    ended_badly = [window.part for window in bench.windows if not window.went]
    return {
        "requests": len(samples),
        "failures": failures,
        "wrong": wrong,
        "p99_steady_ms": round(percentile((s.seconds for s in parts[STEADY]), 0.99), 1),
        "p99_swap_ms": round(percentile((s.seconds for s in parts.get("swap", [])), 0.99), 1),
        "unexpected": max(0, failures - allowed) + wrong + len(ended_badly),
        "ended_badly": ended_badly,
        "failed_in": _failed_in(parts),
        "client_cpu": round(bench.client_cpu, 2),
        "steps": _median_steps(bench.steps),
    }


def _failed_in(parts: dict[str, list[Sample]]) -> dict[str, int]:
    counts = {name: sum(s.status != 200 for s in part) for name, part in parts.items()}
    return {name: count for name, count in counts.items() if count}


def _median_steps(steps: Sequence[dict[str, float]]) -> dict[str, float]:
    names = list(steps[0]) if steps else []
    return {name: round(statistics.median(s[name] for s in steps), 2) for name in names}


def table(bench: Bench, found: dict[str, Any]) -> str:
    """Return what a person wants to see."""
    lines = [f"{'':<28}{'requests':>9}{'failures':>9}{'p50 ms':>8}{'p99 ms':>8}{'max ms':>8}"]
    for name, part in parts_of(bench).items():
        lines.append(_row(name, part))
        for version in sorted({s.version for s in part if s.version}):
            lines.append(_row(f"  {version}", [s for s in part if s.version == version]))
        lines.append(_row("  open loop", [s for s in part if s.steady_rate]))
    lines += ["", *(_told(window) for window in bench.windows)]
    lines += ["", *(f"{name}: {value}" for name, value in found.items())]
    return "\n".join(lines)


def _row(name: str, part: Sequence[Sample]) -> str:
    seconds = [sample.seconds for sample in part]
    failed = sum(sample.status != 200 for sample in part)
    times = "".join(f"{percentile(seconds, share):8.0f}" for share in (0.5, 0.99, 1.0))
    return f"{name:<28}{len(part):>9}{failed:>9}{times}"


def _told(window: Window) -> str:
    mark = "ok " if window.went else "NOT"
    return f"{mark} {window.part} ({window.end - window.start:.1f} s) {window.said}"

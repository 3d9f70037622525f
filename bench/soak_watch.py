"""What a server that soaks holds: memory, descriptors, threads, sockets, files; their slopes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import psutil

from marquee.project import Project
from marquee.torchserve.server import running_pid
from tests.support import Running

ROLES = {"java": "TorchServe", "haproxy": "HAProxy"}
# What is looked at begins after so much of the time: caches and pools have filled.
WARM = 1 / 3


@dataclass(frozen=True)
class Look:
    """What one group of processes held at one moment.

    Attributes:
        at: Unix time.
        megabytes: resident.
        descriptors, threads, sockets: how many.
    """

    at: float
    megabytes: float
    descriptors: int
    threads: int
    sockets: int


def family(running: Running) -> list[psutil.Process]:
    """Return `marquee serve` and all that it started; TorchServe's launcher leaves Java alone."""
    java = running_pid(Project(running.project.root, running.environment))
    firsts = [psutil.Process(pid) for pid in (running.process.pid, java) if pid is not None]
    return [one for first in firsts for one in (first, *first.children(recursive=True))]


def look(running: Running) -> dict[str, Look]:
    """Return what each role's processes hold now; what ends meanwhile counts as nothing."""
    held: dict[str, list[Look]] = {}
    now = time.time()
    for one in family(running):
        try:
            own = one.pid == running.process.pid
            role = "marquee serve" if own else ROLES.get(one.name(), "workers")
            with one.oneshot():
                memory = one.memory_info().rss / 2**20
                sockets = len(one.net_connections("all"))
                each = Look(now, memory, one.num_fds(), one.num_threads(), sockets)
        except psutil.NoSuchProcess:
            continue
        held.setdefault(role, []).append(each)
    return {role: _sum(looks) for role, looks in held.items()}


def _sum(looks: Sequence[Look]) -> Look:
    return Look(
        looks[0].at,
        sum(one.megabytes for one in looks),
        sum(one.descriptors for one in looks),
        sum(one.threads for one in looks),
        sum(one.sockets for one in looks),
    )


def files(running: Running) -> int:
    """Return how many files lie in the server's temporary folder."""
    return sum(1 for one in Path(running.environment["TEMP"]).rglob("*") if not one.is_dir())


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the growth of a quantity in an hour, by the median of all pairs (Theil and Sen).

    One replaced worker, a step up or down, does not move it as it would move a fitted line.

    Args:
        points: Unix times in rising order, and the quantity.
    """
    rates = [(b - a) / (t - s) for (s, a), (t, b) in combinations(points, 2) if t > s]
    return 3600 * statistics.median(rates) if rates else 0.0


def growth(looks: Sequence[dict[str, Look]], counted: Sequence[tuple[float, int]]) -> list[str]:
    """Return a table's rows: each role and quantity, at the warm start, at the end, and an hour."""
    rows = []
    for role in sorted({role for each in looks for role in each}):
        seen = [asdict(each[role]) for each in looks if role in each]
        warm = seen[int(len(seen) * WARM) :]
        for quantity in ("megabytes", "descriptors", "threads", "sockets"):
            points = [(one["at"], float(one[quantity])) for one in warm]
            rows.append(_row(role, quantity, points))
    warm_files = [(at, float(count)) for at, count in counted[int(len(counted) * WARM) :]]
    return [*rows, _row("all", "temporary files", warm_files)]


def _row(role: str, quantity: str, points: Sequence[tuple[float, float]]) -> str:
    tenth = max(1, len(points) // 10)
    first = statistics.median(value for _, value in points[:tenth])
    last = statistics.median(value for _, value in points[-tenth:])
    return f"| {role} | {quantity} | {first:.0f} | {last:.0f} | {slope(points):+.1f} |"

"""How much memory there is for this container, and how much of it is left."""

from __future__ import annotations

from pathlib import Path

import psutil

V2 = Path("/sys/fs/cgroup")
V1 = Path("/sys/fs/cgroup/memory")


def limit() -> int:
    """Return the bytes that all processes together may take: the container's, or the machine's."""
    total = int(psutil.virtual_memory().total)
    bound = _number(V2 / "memory.max") or _number(V1 / "memory.limit_in_bytes")
    return min(total, bound) if bound else total


def available() -> int:
    """Return the bytes that are left, counting as free what the kernel would drop from caches."""
    left = int(psutil.virtual_memory().available)
    for folder, most, used, cache in (
        (V2, "memory.max", "memory.current", "inactive_file"),
        (V1, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        bound, taken = _number(folder / most), _number(folder / used)
        if bound is not None and taken is not None:
            return min(left, bound - taken + _statistic(folder / "memory.stat", cache))
    return left


def _number(path: Path) -> int | None:
    """Return a control group's number; None where there is none, or it says ``max``."""
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def _statistic(path: Path, name: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0)

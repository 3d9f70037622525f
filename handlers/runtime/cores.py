"""How many processors this process has: what it is bound to, and what its control groups allow.

A container with half a processor still sees all of the machine's. Threads beyond its quota do not
only gain nothing: the kernel stops all of them for the rest of each period of 100 ms.
See cgroups(7) and the kernel's documents on cgroup v2 (cpu.max) and v1 (cpu.cfs_quota_us).
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")
UNLIMITED = math.inf


def cores(root: Path = ROOT) -> int:
    """Return the number of processors this process may use, a part of one counted as one."""
    return max(1, math.ceil(min(_bound(), quota(root))))


def _bound() -> int:
    """Return how many processors it may run on; a cpuset of its group has narrowed these."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def quota(root: Path = ROOT) -> float:
    """Return how many processors' time the control groups allow, the least of all above us.

    Args:
        root: where /proc and /sys lie.
    """
    return min((_allowed(folder) for folder in _groups(root)), default=UNLIMITED)


def _groups(root: Path) -> Iterator[Path]:
    """Yield the folders of our groups that may limit the processor, and of all they lie in.

    In a container the path of our group may be the host's, while only the part below it is
    mounted. Then what is mounted is ours.
    """
    memberships = _memberships(_read(root / "proc/self/cgroup"))
    for kind, top, at in _mounts(_read(root / "proc/self/mountinfo")):
        if kind not in memberships:
            continue
        mounted = root / at.lstrip("/")
        relative = Path(os.path.relpath(memberships[kind], top))
        folder = mounted if ".." in relative.parts else mounted / relative
        if not folder.is_dir():
            folder = mounted
        while folder != mounted:
            yield folder
            folder = folder.parent
        yield mounted


def _memberships(text: str) -> dict[str, str]:
    """Read /proc/self/cgroup: the path of our group, by version 2 and version 1's cpu."""
    paths: dict[str, str] = {}
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            paths["cgroup2"] = path
        elif "cpu" in controllers.split(","):
            paths["cgroup"] = path
    return paths


def _mounts(text: str) -> Iterator[tuple[str, str, str]]:
    """Read /proc/self/mountinfo: type, root and place of the file systems of control groups."""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) < 5 or not kinds or kinds[0] not in ("cgroup", "cgroup2"):
            continue
        if kinds[0] == "cgroup" and "cpu" not in kinds[-1].split(","):
            continue  # of another controller
        yield kinds[0], _plain(fields[3]), _plain(fields[4])


def _plain(path: str) -> str:
    """Undo mountinfo's octal escapes, as of a space."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)


def _allowed(group: Path) -> float:
    """Return the processors' time that one group allows."""
    words = _read(group / "cpu.max").split() or [
        *_read(group / "cpu.cfs_quota_us").split(),
        *_read(group / "cpu.cfs_period_us").split(),
    ]
    try:
        share, period = (int(word) for word in words)
    except ValueError:  # "max", or no such file: not limited here
        return UNLIMITED
    return share / period if share > 0 and period > 0 else UNLIMITED


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # no Linux, or not visible here
        return ""

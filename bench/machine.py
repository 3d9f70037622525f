"""The machine and its programs: what a table has to say beside its figures."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import psutil

from bench.install import python_of, wrk_command
from tests.support import ROOT

OURS = ("torch", "torchserve", "pillow", "numpy", "sagemaker_pytorch_inference", "flask")
OTHERS = {
    "servers": ("litserve", "bentoml", "fastapi", "uvicorn", "gunicorn"),
    "pytriton": ("nvidia_pytriton",),
}


@dataclass(frozen=True)
class Usage:
    """CPU seconds so far, of the whole machine and of this process with its children."""

    machine: float
    own: float

    @classmethod
    def now(cls) -> Usage:
        """Read both."""
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        # Guests' time is part of the users' already.
        guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
        return cls(sum(times) - idle - guests, _own())


def _own() -> float:
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in spent)


def others_share(before: Usage, after: Usage, ours: float, seconds: float) -> float:
    """Return which share of all cores others kept busy.

    Args:
        before, after: the two readings.
        ours: CPU seconds of the server that was measured.
        seconds: between the readings.
    """
    busy = after.machine - before.machine - (after.own - before.own) - ours
    return max(0.0, busy / (seconds * cores()))


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def described() -> dict[str, str]:
    """Return the machine in words, and the commit that was measured."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "processor": processor(),
        "cores": str(cores()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "commit": commit.stdout.strip() or "unknown",
    }


def versions() -> dict[str, str]:
    """Return the versions of all servers, and of what they have in common."""
    found = {name: metadata.version(name) for name in OURS}
    for name, packages in OTHERS.items():
        folders = [str(path) for path in python_of(name).parents[1].glob("lib/python*/*")]
        for each in metadata.distributions(path=folders):
            if each.metadata["Name"].lower().replace("-", "_") in packages:
                found[each.metadata["Name"].lower()] = each.version
    return found | {"wrk": _wrk_version()}


def _wrk_version() -> str:
    command, variables = wrk_command()
    said = subprocess.run(
        [command, "-v"], env=os.environ | variables, capture_output=True, text=True, check=False
    )
    words = said.stdout.split()
    return words[1] if len(words) > 1 else "unknown"

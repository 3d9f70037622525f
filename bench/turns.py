"""Processes that take turns, and what each turn cost them."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import psutil


def serve_rounds(run: Callable[[], object]) -> None:
    """Say that all is ready, then do a round for each line that comes in, and print its cost."""
    print("{}", flush=True)  # noqa: T201
    for _ in sys.stdin:
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        run()
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
        system = after.ru_stime - before.ru_stime
        took = {
            "wall": wall,
            "cpu": after.ru_utime - before.ru_utime + system,
            "system": system,
            "faults": after.ru_minflt - before.ru_minflt,
            "peak": after.ru_maxrss * 1024,
            "rest": psutil.Process().memory_info().rss,
        }
        print(json.dumps(took), flush=True)  # noqa: T201


class Contender:
    """A process that does a round when it is told to."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self.rounds: list[dict[str, float]] = []
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._said()

    def round(self) -> None:
        """Do one, and print what it cost."""
        print(file=self._process.stdin, flush=True)
        self.rounds.append(self._said())
        print(f"{self.name:<16} {_shown(self.rounds[-1])}", flush=True)  # noqa: T201

    def median(self, what: str) -> float:
        """Return the rounds' median of one measure."""
        return statistics.median(took[what] for took in self.rounds)

    def end(self) -> None:
        """Let the process end."""
        self._process.communicate()

    def _said(self) -> dict[str, float]:
        line = next(iter(self._process.stdout or ()), "")
        if not line:
            raise SystemExit(f"{self.name} ended with {self._process.wait()}")
        said: dict[str, float] = json.loads(line)
        return said


def _shown(took: dict[str, float]) -> str:
    return (
        f"{took['wall']:6.2f} s wall  {took['cpu']:6.2f} s CPU ({took['system']:.2f} s system)  "
        f"{took['faults'] / 1e6:5.2f} million faults  peak {took['peak'] / 1e6:5.0f} MB  "
        f"at rest {took['rest'] / 1e6:5.0f} MB"
    )

"""The steps of an operation: told as they end, kept with their times."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Note = dict[str, Any]
Report = Callable[[Note], None]


def silent(_note: Note) -> None:
    """Tell nobody."""


class Steps:
    """What was done, in order.

    Attributes:
        done: for each step ``step`` (its name), ``at`` (Unix time of its start), ``seconds``,
            and ``said``, a few words on what was found.
        current: the step that runs, or the last one.
    """

    def __init__(self, report: Report = silent) -> None:
        self._report = report
        self.done: list[Note] = []
        self.current = "start"

    @contextmanager
    def step(self, name: str) -> Iterator[Note]:
        """Run a step; the block fills in ``said``. One that fails is not among those done."""
        note: Note = {"step": name, "at": round(time.time(), 3), "seconds": 0.0, "said": ""}
        self.current = name
        start = time.perf_counter()
        yield note
        note["seconds"] = round(time.perf_counter() - start, 3)
        self.done.append(note)
        self._report(note)

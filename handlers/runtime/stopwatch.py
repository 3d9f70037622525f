"""Time spent in the stages of a request."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

STAGES = ("decode", "preprocess", "model", "postprocess", "encode")


class Stopwatch:
    """Adds up seconds per stage; a stage inside another is not counted twice."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        self._inner = 0.0
        self._sharers: dict[str, int] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of the ``with`` block, less that of stages inside it, under ``name``."""
        start, outer = time.perf_counter(), self._inner
        self._inner = 0.0
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            self.seconds[name] += elapsed - self._inner
            self._inner = outer + elapsed

    def share(self, name: str) -> float:
        """Return the seconds of a stage, divided by the requests that went through it together."""
        return self.seconds[name] / self._sharers.get(name, 1)

    def server_timing(self) -> str:
        """Return the value of a ``Server-Timing`` header, in milliseconds (W3C Server Timing)."""
        return ", ".join(
            f"{name};dur={seconds * 1000:.2f}" for name, seconds in self.seconds.items()
        )

    def waited_with(self, sharers: int, name: str, seconds: float) -> None:
        """Take over the seconds of a stage that ``sharers`` requests went through together."""
        self.seconds[name], self._sharers[name] = seconds, sharers


@contextmanager
def shared_stage(name: str, watches: Sequence[Stopwatch]) -> Iterator[None]:
    """Count the time of the ``with`` block for each of ``watches``, as each waited for it."""
    shared = Stopwatch()
    with shared.stage(name):
        yield
    for watch in watches:
        watch.waited_with(len(watches), name, shared.seconds[name])

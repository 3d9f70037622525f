"""What a short load made of a server, whichever tool made it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """Counts and times of one load.

    Attributes:
        requests: answered, however.
        seconds: that it took.
        p50_ms, p99_ms: of the time to an answer.
        wrong: answers of status 200 that are not the network's.
        failed: answers of another status, and those that never came.
        example: the text of one that was wrong or failed.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    wrong: int
    failed: int
    example: str

    @property
    def rate(self) -> float:
        """Right answers a second."""
        return (self.requests - self.wrong - self.failed) / self.seconds


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least ``share`` of all do not exceed; 0 of none."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    needed = -(-share * len(ordered) // 1)  # rounded up
    return ordered[max(0, int(needed) - 1)]


def of_seconds(seconds: Sequence[float], total: float, wrong: int, failed: int) -> Outcome:
    """Return the outcome of requests that took ``seconds`` each, failed ones included."""
    p50, p99 = (1e3 * percentile(seconds, share) for share in (0.5, 0.99))
    return Outcome(len(seconds), total, p50, p99, wrong, failed, "")

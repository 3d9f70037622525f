"""What was measured of a setting, and which of two is better."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# What one setting must have more than another to be better: less is noise.
MARGIN = 1.03
# What settles it sooner.
CLEARLY_WORSE, CLEARLY_BETTER = 0.85, 1.25


@dataclass(frozen=True)
class Round:
    """One go of some clients, each of which asks again when it has its answer.

    Attributes:
        clients: how many.
        seconds: until the last had its answer.
        latencies: of all requests, in seconds.
    """

    clients: int
    seconds: float
    latencies: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Requests answered a second."""
        return len(self.latencies) / self.seconds


@dataclass(frozen=True)
class Level:
    """What so many clients got, over all rounds.

    Attributes:
        clients: how many asked at a time.
        rate: requests answered a second, the median of the rounds.
        p50, p99: milliseconds, of all requests of all rounds.
        answers: how many these were.
    """

    clients: int
    rate: float
    p50: float
    p99: float
    answers: int


def percentile(values: Iterable[float], share: float) -> float:
    """Return the least of the values that is not exceeded by this share of them (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def levels(rounds: Sequence[Round]) -> list[Level]:
    """Return the figures for each number of clients, the fewest first."""
    return [
        _level(clients, [one for one in rounds if one.clients == clients])
        for clients in sorted({one.clients for one in rounds})
    ]


def _level(clients: int, rounds: list[Round]) -> Level:
    latencies = [1000 * seconds for one in rounds for seconds in one.latencies]
    return Level(
        clients,
        rate=statistics.median(one.rate for one in rounds),
        p50=percentile(latencies, 0.5),
        p99=percentile(latencies, 0.99),
        answers=len(latencies),
    )


def served(measured: Sequence[Level], target: float | None) -> Level | None:
    """Return the level with the highest rate whose p99 is within the target; None if there is none.

    Args:
        measured: of one setting.
        target: milliseconds; None for any.
    """
    fitting = [one for one in measured if target is None or one.p99 <= target]
    return max(fitting, key=lambda one: one.rate, default=None)


def advantage(new: Sequence[Round], old: Sequence[Round], target: float | None) -> float:
    """Return how many times as good one setting is as another, by rounds in turns.

    By the requests a second within the target. Infinite or 0 where only one of them is ever
    within it; where none is, by the p99 of the fewest clients.
    """
    ours, theirs = levels(new), levels(old)
    mine, other = served(ours, target), served(theirs, target)
    if mine and other:
        return mine.rate / other.rate
    if mine or other:
        return math.inf if mine else 0.0
    return theirs[0].p99 / ours[0].p99


def steady(new: Sequence[Round], old: Sequence[Round], target: float | None) -> bool:
    """Tell whether one setting had more requests a second than another in each of their rounds.

    Where not both are within the target at any number of clients, nothing speaks against it.
    """
    mine, other = served(levels(new), target), served(levels(old), target)
    if mine is None or other is None:
        return True
    ours = (one for one in new if one.clients == mine.clients)
    theirs = (one for one in old if one.clients == other.clients)
    return all(one.rate > two.rate for one, two in zip(ours, theirs, strict=True))


def settled(ratio: float, rounds: int) -> bool:
    """Tell whether further rounds would hardly change the judgement."""
    return ratio < CLEARLY_WORSE or (rounds > 1 and ratio > CLEARLY_BETTER)


def busiest(rounds: Sequence[Round]) -> float:
    """Return the requests a second of the most clients."""
    return levels(rounds)[-1].rate

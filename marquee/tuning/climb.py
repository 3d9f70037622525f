"""Which settings are tried: one number at a time, as far as it pays, and not the full product."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from marquee.tuning.setting import Setting

BATCHES = (1, 2, 4, 8, 16, 32, 64)
DELAYS = (1, 2, 5, 10, 20, 50)
# Settings that differ in one number only, ever farther away.
Walk = list[Setting]
# Whether the first setting is better than the second, the best so far.
Better = Callable[[Setting, Setting], bool]


@dataclass(frozen=True)
class Space:
    """The settings that make sense here.

    Attributes:
        cores: CPU threads of all workers together, at the most.
        workers: at the most, for which there is memory.
        clients: that ask at a time, at the most: no batch is larger.
        precisions: to try beside the one that is set.
    """

    cores: int
    workers: int
    clients: int
    precisions: tuple[str, ...] = ()

    def walks(self, at: Setting) -> Iterator[tuple[str, list[Walk]]]:
        """Yield the ways from a setting for each of its numbers, by name."""
        yield "threads", self._threads(at)
        yield "workers", self._workers(at)
        yield "batch", self._batches(at)
        yield "delay", self._delays(at)
        yield "precision", [[replace(at, precision=one)] for one in self.precisions]

    def _threads(self, at: Setting) -> list[Walk]:
        known = doubling(max(1, self.cores // at.workers))
        if at.threads:
            return [[replace(at, threads=n) for n in way] for way in _ways(known, at.threads)]
        # Nobody knows how many they choose themselves: from both ends.
        ends = (known, known[::-1]) if len(known) > 1 else (known,)
        return [[replace(at, threads=n) for n in way] for way in ends]

    def _workers(self, at: Setting) -> list[Walk]:
        """Return more, then fewer; more workers share the cores."""
        return [
            [replace(at, workers=n, threads=min(at.threads, max(1, self.cores // n))) for n in way]
            for way in _ways(doubling(self.workers), at.workers)
        ]

    def _batches(self, at: Setting) -> list[Walk]:
        known = [batch for batch in BATCHES if batch <= self.clients]
        return [
            [replace(at, batch=n, delay=1 if n == 1 else at.delay) for n in way]
            for way in _ways(known, at.batch)
        ]

    def _delays(self, at: Setting) -> list[Walk]:
        if at.batch == 1:
            return []
        return [[replace(at, delay=n) for n in way] for way in _ways(DELAYS, at.delay)]


def doubling(most: int) -> list[int]:
    """Return 1, 2, 4, … and ``most`` itself."""
    known = [1]
    while known[-1] * 2 < most:
        known.append(known[-1] * 2)
    return known if most <= 1 else [*known, most]


def _ways(values: Sequence[int], at: int) -> list[list[int]]:
    """Return the values above, then those below, nearest first."""
    ways = [[n for n in values if n > at], [n for n in reversed(values) if n < at]]
    return [way for way in ways if way]


def climb(start: Setting, space: Space, better: Better) -> Setting:
    """Return the best setting that can be reached by changing one number at a time.

    Each way is left at the first setting that is no better, and where one way of a number was good
    the other is not tried. Goes round until a round brings nothing; nothing is tried twice.
    """
    best, tried = start, {start}
    improved = True
    while improved:
        improved = False
        for name in [name for name, _ in space.walks(best)]:
            for walk in dict(space.walks(best))[name]:
                found = _walk(best, walk, tried, better)
                if found != best:
                    best, improved = found, True
                    break
    return best


def _walk(best: Setting, walk: Walk, tried: set[Setting], better: Better) -> Setting:
    for candidate in walk:
        if candidate in tried:
            break
        tried.add(candidate)
        if not better(candidate, best):
            break
        best = candidate
    return best

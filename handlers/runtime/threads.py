"""How many CPU threads a network runs on: as few as serve it as well, measured when it loads.

PyTorch's threads (OpenMP) wait for one another at the end of every layer. A small network on two
threads takes twice the CPU for nothing, and where another program has one of the cores, many
times as long. A large one gains nearly as many times as it has threads.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import torch

logger = logging.getLogger(__name__)

# That measuring may take altogether.
SECONDS = 1.0
ROUNDS = 5
# How many times as fast twice the threads have to be. While a worker loads the server begins, too,
# and takes from the larger number more: 1.4 on a quiet machine was seen as 1.2.
GAIN = 1.15
# What takes less on one thread stays there: called again and again as here, a small network may
# be faster on two, but between requests its threads fall asleep, or spin beside other work.
SMALL_SECONDS = 0.02


def choose_threads(
    run: Callable[[], float], most: int, took: float, seconds: float = SECONDS
) -> int:
    """Set PyTorch's threads to what ``run`` is worth, to ``most`` where telling takes too long.

    Args:
        run: does the work once and returns the seconds that count, of those that it takes.
        most: the threads that there may be.
        took: seconds that the work took with so many.
        seconds: for all measuring; begun is only what should end in time.

    Returns:
        The number that was set.
    """
    best = _measured(run, _candidates(most), took, time.monotonic() + seconds)
    chosen = _worth(best) if best else most
    torch.set_num_threads(chosen)
    told = ", ".join(f"{n}: {least * 1000:.2f} ms" for n, least in sorted(best.items()))
    logger.info("CPU threads: %d (%s)", chosen, told or "trying others would take too long")
    return chosen


def _candidates(most: int) -> list[int]:
    """Return ``most`` and the powers of two below it, the fewest first."""
    return sorted({most, *(1 << k for k in range(most.bit_length()) if 1 << k < most)})


def _measured(
    run: Callable[[], float], candidates: list[int], took: float, end: float
) -> dict[int, float]:
    """Return the least seconds with each number of threads; nothing where time was too short.

    Of a small network, whose number is settled by it, the seconds with the fewest alone.
    """
    best: dict[int, float] = {}
    before = candidates[-1]
    for _ in range(ROUNDS):
        seen: dict[int, float] = {}
        for threads in candidates:
            # At worst a network takes as many times as long as it gets fewer threads.
            took *= max(1.0, before / threads)
            start = time.monotonic()
            if start + 2 * took > end:
                return best
            torch.set_num_threads(threads)
            run()  # twice, as threads begin and memory is laid out anew at the first call
            seen[threads] = run()
            took, before = (time.monotonic() - start) / 2, threads
            if seen[candidates[0]] < SMALL_SECONDS:
                return seen
        best = {n: min(least, best.get(n, least)) for n, least in seen.items()}
    return best


def _worth(best: dict[int, float]) -> int:
    """Return the largest number up to which every step was a gain."""
    fewest, *others = sorted(best)
    if best[fewest] < SMALL_SECONDS:
        return fewest
    for more in others:
        wanted = 1 + (GAIN - 1) * (more / fewest - 1)
        if best[fewest] < best[more] * wanted:
            break
        fewest = more
    return fewest

"""What a queue costs a request: mean seconds from load, service time and number of workers.

Arrivals are of many independent clients (Poisson). A request that needs a worker of its own waits
as in M/G/c, by Allen and Cunneen's approximation; requests that share batches wait for the rest of
the batch before theirs.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fit:
    """What was measured of a server without a queue.

    Attributes:
        workers: that answer at once.
        batch: requests that a worker takes at a time at most.
        fixed: seconds of a batch that do not depend on how many requests it has.
        each: seconds that every request of a batch adds.
        outside: seconds of a lone request that are no worker's: the door, the network, the answer.
        spread: standard deviation of the service time as a share of its mean.
    """

    workers: int
    batch: int
    fixed: float
    each: float
    outside: float = 0.0
    spread: float = 0.0

    @property
    def capacity(self) -> float:
        """Requests a second that all workers together answer with full batches."""
        return self.workers * self.batch / (self.fixed + self.batch * self.each)


def fitted(found: Mapping[str, Any]) -> Fit:
    """Return the fit of a case of bench/results/queueing.json.

    Clients that ask anew at once fill batches by themselves: so many more clients, so much longer
    batches. The full rate tells what of the rest is a worker's, and what is the server around it.
    """
    workers, batch = found["workers"], found["batch"]
    means = {int(count) / workers: each["mean"] for count, each in found["closed"].items()}
    full = batch * workers / found["capacity"]  # seconds of a full batch
    lone = means[1 / workers]
    if batch == 1:
        return Fit(workers, 1, 0.0, full, max(0.0, lone - full))
    points = {size: mean for size, mean in means.items() if 1 <= size <= batch}
    each = min(statistics.linear_regression([*points], [*points.values()]).slope, full / batch)
    fixed = min(full - batch * each, lone - each)
    return Fit(workers, batch, fixed, each, lone - fixed - each)


def erlang_c(workers: int, load: float) -> float:
    """Return the share of requests that find all workers busy (Erlang's formula C).

    Args:
        load: busy workers on average, below ``workers``.
    """
    last = load**workers / math.factorial(workers) / (1 - load / workers)
    return last / (sum(load**k / math.factorial(k) for k in range(workers)) + last)


def waiting(fit: Fit, rate: float) -> float:
    """Return the mean seconds in the queue where every request has a worker of its own."""
    service = fit.fixed + fit.each
    load = rate * service
    variation = (1 + fit.spread**2) / 2  # 1 for exponential service times, a half for equal ones
    return erlang_c(fit.workers, load) * service / (fit.workers - load) * variation


def seconds(fit: Fit, rate: float) -> float:
    """Return the mean seconds of a request at so many a second; infinite from the capacity on."""
    if rate >= fit.capacity:
        return math.inf
    if fit.batch == 1:
        return fit.outside + fit.fixed + fit.each + waiting(fit, rate)
    return fit.outside + _batched(fit, rate / fit.workers)


def _batched(fit: Fit, rate: float) -> float:
    """Return the mean seconds in one worker that takes what has come meanwhile as one batch.

    A batch holds what arrives while the one before it is answered, and never less than one. A
    request waits, if it comes while the worker is busy, for what is left of that batch: half of it
    on average, as all batches are about as long.
    """
    size = max(1.0, rate * fit.fixed / (1 - rate * fit.each))
    size = min(size, float(fit.batch))
    long = fit.fixed + size * fit.each
    busy = min(1.0, rate * long / size)
    return long + busy * long / 2


def servers_needed(fit: Fit, rate: float, most: float) -> int:
    """Return how many such servers keep the mean below ``most`` seconds.

    Raises:
        ValueError: none can: a lone request takes as long.
    """
    if seconds(fit, 0.0) >= most:
        raise ValueError(f"a lone request takes {seconds(fit, 0.0):.3f} s, expected below {most}")
    count = max(1, math.ceil(rate / fit.capacity))
    while seconds(fit, rate / count) > most:
        count += 1
    return count


def per_million(price: float, count: int, rate: float) -> float:
    """Return what a million requests cost, served by ``count`` instances at ``price`` an hour."""
    return price * count / 3600 / rate * 1e6

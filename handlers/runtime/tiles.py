"""Pictures in tiles that overlap by a halo and meet without a seam: where each side is cut."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """One side of a tile: it reads ``[read_from, read_to)`` and fills ``[start, stop)``."""

    start: int
    stop: int
    read_from: int
    read_to: int

    @property
    def source(self) -> slice:
        """What the tile reads, in the input."""
        return slice(self.read_from, self.read_to)

    @property
    def target(self) -> slice:
        """What the tile fills, in the output."""
        return slice(self.start, self.stop)

    @property
    def core(self) -> slice:
        """What is kept of the tile's result."""
        return slice(self.start - self.read_from, self.stop - self.read_from)


def spans(length: int, end: int, count: int, margin: int, stride: int) -> Iterator[Span]:
    """Cut one side into about ``count`` equal spans that begin at multiples of ``stride``.

    Outside of the input there is no halo: there the network's own padding does what it does
    without tiles.

    Args:
        length: of the input.
        end: of the output, where the last span stops.
        margin: the halo, on each side of a span.
    """
    step = math.ceil(length / count / stride) * stride
    for start in range(0, length, step):
        stop = min(start + step, end)
        yield Span(start, stop, max(start - margin, 0), min(stop + margin, length))

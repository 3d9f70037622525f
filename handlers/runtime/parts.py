"""Many pieces of work for one network: a few at a time on a GPU, one at a time on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from handlers.runtime.memory import is_out_of_memory

# Together with a network's bytes a pixel this is the memory of one pass: at 800, 3.4 GB.
PIXELS_ON_GPU = 1 << 22

Piece = TypeVar("Piece")


def at_once(device: torch.device, pixels: int) -> int:
    """Return how many pieces of so many pixels go through a network in one pass.

    On a CPU it is one: a single piece has work for all cores, and what several write between two
    layers is no longer in the caches when the next layer reads it.
    """
    return max(PIXELS_ON_GPU // max(pixels, 1), 1) if device.type == "cuda" else 1


def in_parts(work: Callable[[Sequence[Piece]], object], pieces: Sequence[Piece], size: int) -> None:
    """Do ``work`` on all pieces in order, ``size`` at a time, fewer whenever memory runs out.

    Args:
        work: keeps its results itself; what it did before memory ran out is done again.

    Raises:
        MemoryError, RuntimeError: out of memory for a single piece, or what else ``work`` raises.
    """
    start = 0
    while start < len(pieces):
        part = pieces[start : start + size]
        if _fits(work, part):
            start += len(part)
            continue
        # Only here the failed attempt's tensors are gone; in its except block they are not.
        torch.cuda.empty_cache()
        size = len(part) // 2


def _fits(work: Callable[[Sequence[Piece]], object], part: Sequence[Piece]) -> bool:
    try:
        work(part)
    except (MemoryError, RuntimeError) as error:
        if len(part) == 1 or not is_out_of_memory(error):
            raise
        return False
    return True

"""How much of a batch is held at once, and until when it may take: bounds that are products.

Of the time T after which TorchServe kills a worker, requests are begun within the first half;
what a model takes for one request should be a quarter at most. Explanations come after all
predictions and have a time of their own, less where the predictions have used up three quarters.
So a batch ends within 3/4 T, and one evaluation of a network.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from handlers.runtime.errors import Unavailable
from handlers.runtime.exchange import Exchange

CHANNELS = 3


@dataclass(frozen=True)
class Pace:
    """The bounds of a worker's batches.

    Attributes:
        timeout: seconds after which TorchServe kills the worker.
        explain_seconds: that the explanations may take together.
        max_pixels: of what waits for the network; with them the next part of the batch begins.
    """

    timeout: float
    explain_seconds: float
    max_pixels: int

    def check(self, exchange: Exchange) -> None:
        """Refuse to begin another request when half of the time has passed.

        Raises:
            Unavailable: TorchServe would kill the worker, and with it the whole batch.
        """
        if time.monotonic() - exchange.started > self.timeout / 2:
            raise Unavailable(
                "the requests before this one took half of the time that a batch has "
                f"(responseTimeout, {self.timeout:g} s); send it again"
            )

    def explanation(self, exchanges: list[Exchange]) -> float:
        """Return the seconds that each of a batch's explanations has from now on."""
        left = exchanges[0].started + self.timeout * 3 / 4 - time.monotonic()
        return max(min(self.explain_seconds, left), 0.0) / len(exchanges)


def held_pixels(exchange: Exchange) -> int:
    """Return how many pixels a request holds while it waits: its items, and what was noted."""
    notes = exchange.request.notes.values() if exchange.request else ()
    return sum(map(_pixels, [exchange.items, *notes]))


def _pixels(held: object) -> int:
    if isinstance(held, Image.Image):
        return held.width * held.height
    if isinstance(held, Tensor):
        return held.numel() // CHANNELS
    size = getattr(held, "size", 0)  # of an array
    return size // CHANNELS if isinstance(size, int) else 0

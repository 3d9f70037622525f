"""Requests of a batch begun side by side: Pillow lets other threads run while it decodes.

Order is kept, and so is the bound of memory: pictures that are decoded ahead have no more pixels
together, by their headers, than one request's picture may have.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from handlers.runtime.exchange import Exchange
from handlers.runtime.images import pixels_by_header

# A smaller file is decoded faster than a thread is told to.
LEAST_BYTES = 1 << 15
# Of a file, in which its size stands.
HEADER_BYTES = 1 << 18

Begin = Callable[[Exchange], None]


class Ahead:
    """Threads that begin requests with one large picture each; others are begun by the caller."""

    def __init__(self, threads: int, max_pixels: int) -> None:
        """``max_pixels`` is what one picture may have."""
        self._threads = threads
        self._max_pixels = max_pixels
        self._pool = ThreadPoolExecutor(threads, "ahead", _one_thread)  # begun when needed

    def begun(self, exchanges: list[Exchange], begin: Begin) -> Iterator[Exchange]:
        """Yield the exchanges in their order, each after ``begin``, which raises nothing."""
        side_by_side = len(exchanges) > 1 and self._threads > 1
        waiting = deque(exchanges)
        started: deque[tuple[Exchange, Future[None], int]] = deque()
        while waiting or started:
            held = sum(pixels for _, _, pixels in started)
            if side_by_side and waiting and len(started) < self._threads:
                pixels = _pixels(waiting[0])
                if pixels and (not started or held + pixels <= self._max_pixels):
                    exchange = waiting.popleft()
                    started.append((exchange, self._pool.submit(begin, exchange), pixels))
                    continue
            if started:
                exchange, future, _ = started.popleft()
                future.result()
            else:
                exchange = waiting.popleft()
                begin(exchange)
            yield exchange


def _pixels(exchange: Exchange) -> int:
    """Return the pixels of a request's only, large picture; 0 of any other request."""
    files = [value for value in exchange.row.values() if isinstance(value, (bytes, bytearray))]
    large = [file for file in files if len(file) >= LEAST_BYTES]
    return pixels_by_header(bytes(large[0][:HEADER_BYTES])) if len(large) == 1 else 0


def _one_thread() -> None:
    """Let PyTorch start no threads of its own in this one; first, as it asks for the default."""
    torch.get_num_threads()
    torch.set_num_threads(1)

"""Requests that come one by one, handed on in batches, as TorchServe makes them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


class Batches(Generic[Asked, Answered]):
    """Requests that wait, and those in the hands of one worker.

    Args:
        answer: answers a batch, one answer for each request; raises nothing but Left.
        size: of a batch, at the most.
        delay: seconds that a batch waits to fill; 0 takes what is there.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Asked]], Awaitable[Sequence[Answered]]],
        size: int,
        delay: float,
    ) -> None:
        self._answer, self._size, self._delay = answer, size, delay
        self._waiting: deque[tuple[Asked, asyncio.Future[Answered | None]]] = deque()
        self._arrived = asyncio.Event()
        self._closed = False
        self.in_hand = 0
        self.handled = 0

    async def ask(self, asked: Asked) -> Answered | None:
        """Return the answer to a request; None where it was not begun, and another may take it."""
        if self._closed:
            return None
        future: asyncio.Future[Answered | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        self._arrived.set()
        self.in_hand += 1
        try:
            return await future
        finally:
            self.in_hand -= 1
            self.handled += 1

    def close(self) -> None:
        """Take nothing more, and give back what has not been begun."""
        self._closed = True
        while self._waiting:
            _settle(self._waiting.popleft()[1], None)

    async def run(self) -> None:
        """Make batches, for ever."""
        while not self._closed:
            await self._arrived.wait()
            if self._delay and len(self._waiting) < self._size:
                await self._fill()
            taken = [self._waiting.popleft() for _ in range(min(self._size, len(self._waiting)))]
            if not self._waiting:
                self._arrived.clear()
            # Whoever has hung up meanwhile needs no answer.
            taken = [one for one in taken if not one[1].done()]
            if taken:
                answers = await self._answer([asked for asked, _ in taken])
                for (_, future), answer in zip(taken, answers, strict=True):
                    _settle(future, answer)

    async def _fill(self) -> None:
        """Wait until there is a whole batch, or its time is over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._delay
        while len(self._waiting) < self._size and (left := deadline - loop.time()) > 0:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), left)
            except asyncio.TimeoutError:
                break
        self._arrived.set()


def _settle(future: asyncio.Future[Answered | None], answer: Answered | None) -> None:
    if not future.done():
        future.set_result(answer)

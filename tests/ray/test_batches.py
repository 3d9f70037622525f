"""Batches are made as TorchServe makes them, and a real zero waits for nobody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from marquee.ray.batches import Batches


class Worker:
    """Answers each request with itself, and remembers the batches."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.batches: list[list[int]] = []
        self._seconds = seconds

    async def answer(self, requests: Sequence[int]) -> Sequence[int]:
        self.batches.append([*requests])
        await asyncio.sleep(self._seconds)
        return requests


def answered(batches: Batches[int, int], *requests: int) -> list[int | None]:
    async def all_of_them() -> list[int | None]:
        running = asyncio.create_task(batches.run())
        answers = await asyncio.gather(*(batches.ask(one) for one in requests))
        running.cancel()
        return answers

    return asyncio.run(all_of_them())


def test_each_request_gets_its_own_answer_in_batches_of_the_size() -> None:
    worker = Worker()
    batches = Batches(worker.answer, 3, 0.0)
    assert answered(batches, *range(7)) == [*range(7)]
    assert worker.batches == [[0, 1, 2], [3, 4, 5], [6]]
    assert (batches.in_hand, batches.handled) == (0, 7)


def test_a_batch_waits_for_others_until_its_time_is_over() -> None:
    worker = Worker()
    batches = Batches(worker.answer, 8, 0.3)

    async def later(request: int) -> int | None:
        await asyncio.sleep(0.05)
        return await batches.ask(request)

    async def both() -> None:
        running = asyncio.create_task(batches.run())
        await asyncio.gather(batches.ask(1), later(2))
        running.cancel()

    asyncio.run(both())
    assert worker.batches == [[1, 2]]


def test_a_full_batch_does_not_wait() -> None:
    start = time.monotonic()
    answered(Batches(Worker().answer, 2, 60.0), 1, 2)
    assert time.monotonic() - start < 30


def test_who_hangs_up_is_not_asked_for() -> None:
    worker = Worker(0.05)
    batches = Batches(worker.answer, 1, 0.0)

    async def hang_up() -> int | None:
        running = asyncio.create_task(batches.run())
        first, second = (asyncio.create_task(batches.ask(one)) for one in (1, 2))
        third = asyncio.create_task(batches.ask(3))
        await asyncio.sleep(0.01)
        second.cancel()
        await first
        answer = await third
        running.cancel()
        return answer

    assert asyncio.run(hang_up()) == 3
    assert worker.batches == [[1], [3]]
    assert batches.in_hand == 0


def test_what_was_not_begun_is_given_back() -> None:
    worker = Worker(0.05)
    batches = Batches(worker.answer, 1, 0.0)

    async def leave() -> list[int | None]:
        running = asyncio.create_task(batches.run())
        asked = [asyncio.create_task(batches.ask(one)) for one in (1, 2)]
        await asyncio.sleep(0.01)
        batches.close()
        answers = [*await asyncio.gather(*asked), await batches.ask(3)]
        await running
        return answers

    assert asyncio.run(leave()) == [1, None, None]
    assert worker.batches == [[1]]

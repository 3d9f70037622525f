"""Requests of a batch that are begun side by side."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from handlers.runtime import BadRequest, Request
from handlers.runtime.ahead import LEAST_BYTES, Ahead
from handlers.runtime.exchange import Exchange
from tests.handlers.loading import answers, load, png, prediction
from tests.handlers.runtime.test_handler_explanations import RED, Reddish

# Noise, which no compression makes small: 40,000 pixels.
LARGE = png(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8))
PIXELS = 200 * 200


def test_two_pictures_are_begun_at_once_and_come_in_order() -> None:
    both = threading.Barrier(2, timeout=60)
    exchanges = [prediction(LARGE) for _ in range(4)]

    def begin(exchange: Exchange) -> None:
        assert threading.current_thread() is not threading.main_thread()
        both.wait()  # fails if no other one is begun meanwhile

    assert list(Ahead(2, 2 * PIXELS).begun(exchanges, begin)) == exchanges


def test_no_more_pixels_are_begun_than_one_picture_may_have() -> None:
    begun: list[Exchange] = []
    taken: list[Exchange] = []
    exchanges = [prediction(LARGE) for _ in range(5)]

    def begin(exchange: Exchange) -> None:
        begun.append(exchange)
        assert len(begun) - len(taken) <= 3

    for exchange in Ahead(8, 3 * PIXELS).begun(exchanges, begin):
        taken.append(exchange)
    assert taken == exchanges


@pytest.mark.parametrize(
    "other",
    [
        prediction(RED),  # small
        prediction(b"no picture" * LEAST_BYTES),
        Exchange({"image": LARGE, "data": LARGE}),  # several, of which nobody knows the order
        Exchange({}),
    ],
)
def test_all_else_is_begun_by_the_caller_in_its_turn(other: Exchange) -> None:
    order: list[Exchange] = []

    def begin(exchange: Exchange) -> None:
        own = threading.current_thread() is threading.main_thread()
        assert own == (exchange is other)
        order.append(exchange)

    exchanges = [prediction(LARGE), other, prediction(LARGE)]
    assert list(Ahead(2, PIXELS * 9).begun(exchanges, begin)) == exchanges
    assert order == exchanges


@pytest.mark.parametrize(("threads", "requests"), [(1, 3), (2, 1)])
def test_one_thread_or_one_request_needs_no_other(threads: int, requests: int) -> None:
    def begin(exchange: Exchange) -> None:
        assert threading.current_thread() is threading.main_thread()

    list(Ahead(threads, PIXELS).begun([prediction(LARGE)] * requests, begin))


def test_pytorch_starts_no_threads_of_its_own_there() -> None:
    before, seen = torch.get_num_threads(), set()
    ahead = Ahead(2, PIXELS * 2)
    list(ahead.begun([prediction(LARGE)] * 4, lambda _: seen.add(torch.get_num_threads())))
    assert seen == {1}
    assert torch.get_num_threads() == before


class Careful(Reddish):
    """Refuses what is marked, wherever it runs."""

    preprocess_in_threads = True

    def preprocess(self, request: Request) -> Tensor:
        if request.payload.content_type == "image/gif":
            raise BadRequest("not this one")
        return super().preprocess(request)


def test_a_bad_one_hurts_nobody_else(tmp_path: Path) -> None:
    handler = load(Careful(), tmp_path / "none.pth", marquee={"threads": 2, "max_batch": 8})
    cut = LARGE[: len(LARGE) // 2]
    bad = prediction(LARGE, **{"Content_Type": "image/gif"})
    told = answers(handler, *(prediction(LARGE), bad, prediction(cut), prediction(LARGE)))
    assert [one.status for one in told] == [200, 400, 400, 200]
    assert b"not this one" in told[1].body
    assert b"truncated" in told[2].body
    assert told[0].body == told[3].body


def test_stage_times_are_each_requests_own(tmp_path: Path) -> None:
    handler = load(Careful(), tmp_path / "none.pth", marquee={"threads": 2, "max_batch": 8})
    asked = [prediction(LARGE) for _ in range(3)]
    answers(handler, *asked)
    assert all(one.watch.seconds["decode"] > 0 for one in asked)

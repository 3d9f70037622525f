"""The demo's weights make people visibly older, and keep them the same people."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from handlers.timetravel.demo.judge import judge
from handlers.timetravel.demo.make import SIDE
from handlers.timetravel.demo.portraits import draw, random_person
from handlers.timetravel.handler import TimetravelHandler
from handlers.timetravel.model import AgeingNetwork
from tests.handlers.timetravel.support import (
    CROPPED,
    DEMO,
    EXAMPLE,
    Pixels,
    ask,
    psnr,
    serve,
    tiles,
)


@pytest.fixture(scope="module")
def demo() -> TimetravelHandler:
    return serve(DEMO)


def test_small_enough_for_git() -> None:
    assert DEMO.stat().st_size < 5_000_000
    assert EXAMPLE.stat().st_size < 100_000


@pytest.mark.slow
def test_people_never_seen_get_the_right_age(demo: TimetravelHandler) -> None:
    assert isinstance(demo.network, AgeingNetwork)
    verdict = judge(demo.network, people=12, seed=4321)
    assert verdict.psnr > 24
    assert verdict.years < 11
    assert verdict.recognised > 0.9


def colourfulness(hair: Pixels) -> float:
    """Mean difference of the strongest and the weakest channel."""
    return float((hair.max(axis=2).astype(int) - hair.min(axis=2)).mean())


def test_the_examples_strip_ages(demo: TimetravelHandler) -> None:
    now, *aged = tiles(ask(demo, EXAMPLE.read_bytes(), **CROPPED), SIDE)
    # The crown of the head, where a young person's hair is.
    crowns = [tile[20:30, 54:74] for tile in aged]
    brightness = [float(crown.mean()) for crown in crowns]
    assert brightness[-1] > brightness[-2] > brightness[0] + 20
    assert psnr(now, aged[0]) > psnr(now, aged[-1])


def test_drawings_of_one_person_differ_by_age_alone() -> None:
    person = random_person(np.random.default_rng(3))
    other = random_person(np.random.default_rng(4))
    young, again, old = (np.asarray(draw(person, years, 64)) for years in (20, 20, 80))
    assert np.array_equal(young, again)
    assert 10 < psnr(young, old) < 30
    assert not np.array_equal(young, np.asarray(draw(other, 20, 64)))


def test_the_example_is_a_face_cut_out() -> None:
    with Image.open(EXAMPLE) as picture:
        assert picture.size == (256, 256)

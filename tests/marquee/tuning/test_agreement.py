"""How far two answers are apart, as a number."""

import io
import json
import math

import numpy as np
import pytest
from PIL import Image

from marquee.tuning.agreement import deviation, rounding


def answer(**probabilities: float) -> bytes:
    return json.dumps({"label": "cat", "probabilities": probabilities}).encode()


def npy(values: list[float]) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(values, np.float32))
    return file.getvalue()


def png(grey: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (20, 20), grey).save(file, "PNG")
    return file.getvalue()


def test_equal_answers_are_not_apart() -> None:
    assert deviation("application/json", answer(cat=0.9), answer(cat=0.9)) == 0


def test_numbers_in_json_are_apart_by_a_share_of_the_largest() -> None:
    expected, actual = answer(cat=0.8, dog=0.1), answer(cat=0.8, dog=0.14)
    assert deviation("application/json", expected, actual) == pytest.approx(0.05, rel=0.01)


def test_another_label_is_another_answer() -> None:
    other = answer(cat=0.9).replace(b'"cat", "p', b'"dog", "p')
    assert deviation("application/json", answer(cat=0.9), other) == math.inf


def test_arrays_are_apart_by_a_share_of_their_range() -> None:
    found = deviation("application/x-npy", npy([0, 10]), npy([0, 9]))
    assert found == pytest.approx(0.1, rel=0.01)


def test_pictures_are_apart_by_a_share_of_all_grey_levels() -> None:
    assert deviation("image/png", png(100), png(151)) == pytest.approx(0.2, rel=0.01)


def test_what_is_finer_than_can_be_told_is_not_nothing() -> None:
    found = deviation("application/x-npy", npy([0, 1e6]), npy([0, 1e6 + 0.125]))
    assert 0 < found < 1e-5


def test_short_formats_may_round_more() -> None:
    assert rounding("fp32") < rounding("bf16")

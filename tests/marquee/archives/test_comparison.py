"""What counts as the same answer."""

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from marquee.archives.comparison import difference, spread

JSON = "application/json"
NPY = "application/x-npy"
PNG = "image/png"
NOISE = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(array))
    return stream.getvalue()


def png(pixels: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def said(expected: Any, found: Any, tolerance: float = 0.05) -> str | None:
    return difference(JSON, json.dumps(expected).encode(), json.dumps(found).encode(), tolerance)


ALIKE: list[tuple[Any, Any]] = [
    ({"a": 1, "b": [True, None, "x"]}, {"b": [True, None, "x"], "a": 1}),
    ({"p": {"ship": 0.9, "car": 1e-9}}, {"p": {"car": 0.01, "ship": 0.88}}),
    ([[100.0, 1.0], [2.0, 3.0]], [[104.0, 5.0], [2.0, 3.0]]),
    ({"score": 0.5, "name": "x"}, {"score": 0.54, "name": "x"}),
    ([0.001] * 500 + [1.0], [0.001] * 495 + [9.0] * 5 + [1.0]),
]
UNLIKE: list[tuple[Any, Any, str]] = [
    ({"label": "ship"}, {"label": "cat"}, "the answer.label is 'cat', expected 'ship'"),
    ({"p": {"ship": 0.9, "car": 0.1}}, {"p": {"ship": 0.8, "car": 0.2}}, "off by up to 0.1"),
    ({"a": 1}, {"b": 1}, "has the fields"),
    ([1, "a"], [1, "a", 2], "has 3 items, expected 2"),
    ([1.0, 2.0], [1.0, 2.5], "1 of 2 numbers"),
    ([1.0] * 500, [9.0] * 6 + [1.0] * 494, "6 of 500 numbers"),
    ({"flag": True}, {"flag": 1}, "the answer.flag is 1"),
    ({"a": [None, {"c": 4.0, "d": ""}]}, {"a": [None, {"c": 9.0, "d": ""}]}, "answer.a[1].c"),
]


@pytest.mark.parametrize(("expected", "found"), ALIKE)
def test_json_that_says_the_same(expected: Any, found: Any) -> None:
    assert said(expected, found) is None


@pytest.mark.parametrize(("expected", "found", "words"), UNLIKE)
def test_json_that_says_something_else(expected: Any, found: Any, words: str) -> None:
    problem = said(expected, found)
    assert problem is not None
    assert words in problem


def test_pictures_inside_json_are_compared_as_pictures() -> None:
    def text(pixels: Any) -> str:
        return base64.b64encode(png(pixels)).decode()

    assert said({"img": text(NOISE)}, {"img": text(NOISE ^ 3)}) is None
    assert said({"img": text(NOISE)}, {"img": text(255 - NOISE)}) is not None
    assert said({"img": text(NOISE)}, {"img": "no picture" * 20}) is not None


def test_pictures_are_compared_by_their_grey_levels() -> None:
    assert difference(PNG, png(NOISE), png(NOISE ^ 3), 4) is None
    assert "50, 40" in str(difference(PNG, png(NOISE.transpose(1, 0, 2)), png(NOISE), 4))
    assert "off by up to" in str(difference(PNG, png(NOISE), png(NOISE[::-1]), 4))
    assert "cannot be read as image/png" in str(difference(PNG, png(NOISE), b"\x89PNG", 4))


def test_one_pixel_in_a_hundred_may_be_anything() -> None:
    specks, blot = NOISE.copy(), NOISE.copy()
    specks[::10, ::12] ^= 128
    blot[:20] ^= 128
    assert difference(PNG, png(NOISE), png(specks), 4) is None
    assert difference(PNG, png(NOISE), png(blot), 4) is not None


def test_arrays_are_compared_by_shape_kind_and_number() -> None:
    one = np.linspace(-3, 7, 30, dtype=np.float32)
    assert difference(NPY, npy(one), npy(one.astype(np.float64) + 0.4), 0.5) is None
    assert difference(NPY, npy(one), npy(one + 0.6), 0.5) is not None
    assert "(29,)" in str(difference(NPY, npy(one), npy(one[1:]), 0.5))
    assert "complex" in str(difference(NPY, npy(one), npy(one.astype(complex)), 0.5))
    broken = one.copy()
    broken[3] = np.nan
    assert "NaN" in str(difference(NPY, npy(one), npy(broken), 0.5))
    assert difference(NPY, npy(broken), npy(broken + 0.1), 0.5) is None


def test_damaged_answers_are_told_not_raised() -> None:
    for body in (b"", b"\x93NUMPY\x01", b"PK\x03\x04"):
        assert "cannot be read" in str(difference(NPY, npy([1.0]), body, 1))
    for body in (b"", b"{", b"[" * 100_000, b"\xff"):
        assert "cannot be read" in str(difference(JSON, b"[1]", body, 1))


def test_tables_and_unknown_types() -> None:
    assert difference("text/csv; charset=utf-8", b"a,1.0\nb,2", b"a,1.01\nb,2", 0.05) is None
    assert difference("text/csv", b"a,1.0", b"b,1.0", 0.05) is not None
    assert difference("text/plain", b"a", b"a", 0.05) is None
    assert "2 bytes" in str(difference("text/plain", b"a", b"ab", 0.05))


def test_a_share_is_of_the_range_of_values() -> None:
    assert spread(PNG, b"") == 255
    assert spread(JSON, b"") == 1
    assert spread(NPY, npy([-3.0, 7.0, np.nan])) == 10
    assert spread(NPY, npy([5.0, 5.0])) == 5
    assert spread(NPY, npy([np.inf])) == 1

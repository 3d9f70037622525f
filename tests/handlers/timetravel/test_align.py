"""Alignment against the original function's crops."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from PIL import Image

from handlers.timetravel import align as module
from handlers.timetravel.align import Crop, align, cropped, face_square, gaussian, padded, shrunk
from tests.handlers.timetravel.support import GOLDEN

FOLDER = GOLDEN / "align"
CASES: dict[str, dict[str, Any]] = json.loads((FOLDER / "cases.json").read_text())


def picture(name: str) -> Image.Image:
    source = "frontal" if name in ("large", "frontal_dlib") else name
    with Image.open(FOLDER / f"{source}.png") as stored:
        pixels = np.asarray(stored.convert("RGB"))
    return Image.fromarray(pixels.repeat(4, 0).repeat(4, 1) if name == "large" else pixels)


@pytest.mark.parametrize("name", CASES)
def test_cuts_what_the_original_cuts(name: str) -> None:
    aligned = align(picture(name), np.array(CASES[name]["landmarks"]))
    with Image.open(FOLDER / CASES[name]["aligned"]) as expected:
        difference = np.asarray(aligned, np.int16) - np.asarray(expected.convert("RGB"), np.int16)
    assert aligned.size == (256, 256)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("name", CASES)
def test_every_step_on_the_way(name: str) -> None:
    case = CASES[name]
    quad = face_square(np.array(case["landmarks"]))
    np.testing.assert_allclose(quad, case["quad0"], atol=1e-5)
    crop = shrunk(Crop(picture(name), quad, case["qsize0"]))
    assert crop.size == pytest.approx(case["qsize0"] / max(case["shrink"], 1), abs=1e-5)
    assert crop.border == case["border"]
    before = crop.image.size
    crop = cropped(crop)
    left, top, right, bottom = case["crop"]
    assert crop.image.size == (right - left, bottom - top)
    assert right <= before[0]
    crop = padded(crop)
    np.testing.assert_allclose(crop.quad, case["quad_final"], atol=1e-5)
    pad = case["pad"] if case["padded"] else [0, 0, 0, 0]
    wanted = (right - left + pad[0] + pad[2], bottom - top + pad[1] + pad[3])
    assert crop.image.size == wanted


def test_the_cases_take_every_branch() -> None:
    assert {case["shrink"] for case in CASES.values()} >= {0, 2}
    assert {case["padded"] for case in CASES.values()} == {True, False}


def test_gaussian_of_a_point_is_the_bell() -> None:
    image = np.zeros((31, 41, 1), np.float32)
    image[15, 20] = 1
    blurred = gaussian(image, 2.0)
    assert blurred.dtype == np.float32
    assert blurred.sum() == pytest.approx(1, abs=1e-5)
    for distance in (0, 1, 3):
        bell = math.exp(-(distance**2) / 8) / (8 * math.pi)
        assert blurred[15, 20 + distance, 0] == pytest.approx(bell, rel=1e-3)
    assert blurred[15, 20 + 9, 0] == 0  # cut off at four sigma


def test_gaussian_keeps_an_even_picture_up_to_its_edges() -> None:
    even = np.full((9, 7, 3), 100, np.float32)
    np.testing.assert_allclose(gaussian(even, 3.5), even, rtol=1e-6)


def test_a_face_far_outside_the_picture() -> None:
    """Landmarks may lie outside; the mirrored picture is then repeated."""
    landmarks = np.array(CASES["frontal"]["landmarks"], np.float64) * 0.5 - (110, 60)
    with Image.open(FOLDER / "frontal.png") as stored:
        small = stored.convert("RGB").resize((80, 60))
    aligned = module.align(small, landmarks)
    assert aligned.size == (256, 256)
    assert np.asarray(aligned).std() > 0

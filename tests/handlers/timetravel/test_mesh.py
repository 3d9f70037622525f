"""MediaPipe's networks: faces are found, and cut out as the original cuts them, nearly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from handlers.runtime.errors import Unprocessable
from handlers.runtime.weights import WeightsError
from handlers.timetravel.align import face_square
from handlers.timetravel.mesh import DETECTOR, LANDMARKS, MeshFinder, Square
from handlers.timetravel.pack import FACES
from handlers.timetravel.tflite import Network
from tests.handlers.timetravel.test_align import CASES, picture


@pytest.fixture(scope="module")
def finder() -> MeshFinder:
    return MeshFinder(FACES)


def distance(first: Any, second: Any) -> float:
    """Return how far corners of two squares are apart, at most, in 256ths of the first's side."""
    squares = face_square(np.array(first)), face_square(np.array(second))
    side = np.hypot(*(squares[0][3] - squares[0][0]))
    return float(np.hypot(*(squares[0] - squares[1]).T).max() / side * 256)


@pytest.mark.parametrize("name", ["frontal", "rotated", "border", "large"])
def test_squares_are_nearer_to_the_drawn_ones_than_dlib_is(finder: MeshFinder, name: str) -> None:
    """The landmarks of these cases are where the face was drawn; dlib's are off by 8 of 256."""
    dlib = distance(CASES["frontal"]["landmarks"], CASES["frontal_dlib"]["landmarks"])
    ours = finder.landmarks(picture(name), 0)
    assert distance(CASES[name]["landmarks"], ours) < dlib + 1


def test_a_small_face_in_a_large_picture_is_found(finder: MeshFinder) -> None:
    canvas = Image.new("RGB", (3200, 2400), (90, 100, 110))
    canvas.paste(picture("frontal").resize((320, 240)), (2000, 900))
    found = finder.landmarks(canvas, 0)
    wanted = np.array(CASES["frontal"]["landmarks"]) / 2 + (2000, 900)
    assert distance(wanted, found) < 12


def test_of_two_faces_the_second_is_had_by_its_number(finder: MeshFinder) -> None:
    one = picture("frontal")
    canvas = Image.new("RGB", (1280, 480))
    canvas.paste(one, (0, 0))
    canvas.paste(one.point(lambda value: value // 2), (640, 0))
    sides = sorted(finder.landmarks(canvas, index)[30, 0] // 640 for index in (0, 1))
    assert sides == [0, 1]
    with pytest.raises(Unprocessable, match="face is 2, but 2 were found; expected 0 to 1"):
        finder.landmarks(canvas, 2)


@pytest.mark.parametrize("size", [(1, 1), (2000, 1), (200, 150)])
def test_no_face_in_noise(finder: MeshFinder, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    with pytest.raises(Unprocessable, match="no face was found"):
        finder.landmarks(Image.fromarray(noise), 0)


@pytest.mark.parametrize("content", [b"", b"TFL3" * 9, None])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    (tmp_path / LANDMARKS).symlink_to(FACES / LANDMARKS)
    half = (FACES / DETECTOR).read_bytes()[:300_000]
    (tmp_path / DETECTOR).write_bytes(half if content is None else content)
    with pytest.raises(WeightsError, match=rf"{DETECTOR}: no TensorFlow Lite network"):
        MeshFinder(tmp_path)


def test_networks_have_the_sizes_of_their_cards() -> None:
    assert Network(FACES / DETECTOR).side == 192
    assert Network(FACES / LANDMARKS).side == 192


def test_a_square_beside_the_picture_is_black() -> None:
    white = Image.new("RGB", (20, 20), (255, 255, 255))
    beside = Square(np.array([100.0, 100.0]), 30, 0.3)
    inside = Square(np.array([10.0, 10.0]), 8, 0.3)
    assert beside.cut(white, 16).max() == 0
    assert inside.cut(white, 16).min() == 1

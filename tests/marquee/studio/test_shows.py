"""Answers as people want to see them, without a server."""

from __future__ import annotations

import base64
import io
import json
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from marquee.studio import explanation, shows
from marquee.studio.shows import JSON, NPY, Input, shown, wanted

PHOTO = Image.new("RGB", (64, 48), "teal")


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


def npy(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def jpeg(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG")
    return stream.getvalue()


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_classes_are_bars_the_most_probable_first() -> None:
    body = text({"probabilities": {"cat": 0.25, "dog": 0.75}})
    assert "dog 75.0 % cat 25.0 %" in plain(shown("classes", JSON, body, Input()))


def test_a_name_from_outside_is_no_html() -> None:
    body = text({"probabilities": {"<script>alert(1)</script>": 1.0}})
    assert "<script>" not in shown("classes", JSON, body, Input())
    assert "<b>" not in shown(None, JSON, text({"a": "<b>"}), Input())


def test_an_image_lies_beside_what_it_was_made_of() -> None:
    painting = jpeg(Image.new("RGB", (128, 96)))
    assert "mq-compare" in shown("image", "image/jpeg", painting, Input(PHOTO))


@pytest.mark.parametrize("asked", [Input(), Input(Image.new("RGB", (64, 64)))])
def test_an_image_of_other_proportions_stands_alone(asked: Input) -> None:
    painting = jpeg(Image.new("RGB", (128, 96)))
    assert "mq-compare" not in shown("image", "image/jpeg", painting, asked)


CORNERS = {"label": "cat", "score": 0.9, "box": [10, 20, 30, 60]}
CENTRE = {"class": "cat", "class_id": 0, "probability": 0.9, "box": [20, 40, 20, 40]}


@pytest.mark.parametrize("one", [CORNERS, CENTRE])
def test_boxes_by_corners_and_by_their_centre_are_the_same(one: dict[str, Any]) -> None:
    html = shown("detections", JSON, text({"detections": [one]}), Input(PHOTO, (640, 480)))
    assert 'viewBox="0 0 640 480"' in html
    assert 'x="10.0" y="20.0" width="20.0" height="40.0"' in html
    assert 'aria-label="cat 90 %"' in html


def test_the_least_threshold_hides_no_box() -> None:
    found = [CORNERS | {"score": 0.857}, CORNERS | {"score": 0.99}]
    html = shown("detections", JSON, text({"detections": found}), Input(PHOTO, (640, 480)))
    least = float(re.findall(r'type="range" min="([\d.]+)"', html)[0])
    assert least <= 0.857


def test_boxes_of_a_picture_that_was_cut_are_drawn_on_that() -> None:
    cut = base64.b64encode(jpeg(Image.new("RGB", (32, 16)))).decode()
    body = text({"detections": [CENTRE], "img": cut})
    assert 'viewBox="0 0 32 16"' in shown("detections", JSON, body, Input(PHOTO, (640, 480)))


def test_a_mask_of_probabilities_has_a_threshold_and_each_pixel_in_a_bin() -> None:
    plane = np.array([[[[0.0], [0.1]], [[0.5], [1.0]]]], np.float32)
    html = shown("mask", NPY, npy(plane), Input(PHOTO, threshold=0.3))
    bins = [int(count) for count in re.findall(r'data-bins="([\d,]+)"', html)[0].split(",")]
    assert (len(bins), sum(bins), sum(bins[50:])) == (100, 4, 2)
    assert 'value="0.30"' in html


def test_a_mask_of_classes_has_the_area_of_each() -> None:
    plane = np.array([[0, 0, 0, 2]], np.uint8)
    assert "class 2: 25.0 %" in plain(shown("mask", NPY, npy(plane), Input(PHOTO)))


def test_ages_are_a_strip_that_begins_with_now() -> None:
    face = base64.b64encode(jpeg(PHOTO)).decode()
    answer = {"type": "image/jpeg", "original": face, "ages": [{"age": 40, "image": face}]}
    html = shown("ages", JSON, text(answer), Input())
    assert re.findall(r"<span>([^<]+)</span></button>", html) == ["now", "40 years"]


@pytest.mark.parametrize("word", [*shows.SHOWS, "a word of tomorrow", None])
def test_what_is_otherwise_than_declared_is_shown_by_its_type(word: str | None) -> None:
    assert "some" in shown(word, JSON, text({"some": ["thing"]}), Input())
    assert "An array of 5" in shown(word, NPY, npy(np.zeros(5)), Input())
    assert "cannot show" in shown(word, "image/png", b"no picture", Input())
    assert "cannot show" in shown(word, "application/x-foreign", b"\x00\x01\xff", Input())
    assert "plain words" in shown(word, "text/plain", b"plain words", Input())


def test_long_json_is_cut_and_says_so() -> None:
    html = shown(None, JSON, text({"numbers": [0] * 5000, "file": "A" * 5000}), Input())
    assert len(html) < 4000
    assert "4976 more" in html
    assert "4840 letters more" in html


def test_the_type_that_is_shown_best_is_asked_for() -> None:
    assert wanted("image", ["application/json", "image/png", "image/jpeg"]) == "image/jpeg"
    assert wanted("mask", ["application/json"]) is None
    assert wanted(None, ["application/json"]) is None


EXPLAINED = {
    "method": "integrated_gradients",
    "target": "ship",
    "steps": 64,
    "score": 3.0,
    "baseline_score": 1.0,
    "completeness_error": 0.02,
    "relative_completeness_error": 0.01,
    "shape": [3, 4, 4],
    "attributions": [[1.0, -1.0], [0.0, 0.5]],
}


def test_an_explanation_says_how_it_was_made_and_what_is_missing() -> None:
    said = plain(explanation.shown(JSON, text(EXPLAINED), Input(PHOTO)))
    assert "ship" in said
    assert "integrated gradients, 64 steps" in said
    assert "1.0 % of the difference" in said
    without = EXPLAINED | {"relative_completeness_error": None}
    assert "no sum" in plain(explanation.shown(JSON, text(without), Input(PHOTO)))


def test_heat_is_red_for_and_blue_against() -> None:
    layer = np.asarray(explanation.heat(np.array([[1.0, -1.0]], np.float32), (2, 1)))
    assert layer[0, 0, 0] > layer[0, 0, 2]
    assert layer[0, 1, 2] > layer[0, 1, 0]
    assert layer[..., 3].min() > 200
    assert not np.asarray(explanation.heat(np.zeros((2, 2), np.float32), (2, 2)))[..., 3].any()

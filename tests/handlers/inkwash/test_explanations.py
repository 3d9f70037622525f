"""Explanations of a painting's darkness, through the real handler with the demo weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handlers.inkwash.handler import InkwashHandler
from handlers.runtime.exchange import Answer
from tests.handlers.loading import answers, array, explanation, load, png, prediction

ROOM = Path(__file__).parents[3] / "handlers" / "inkwash"
PHOTO = (ROOM / "example.jpg").read_bytes()
SMALL = {"x_marquee_size": "48"}
FINE = {"x_marquee_steps": "100"}
CENTRE = {"x_marquee_target": "0.4,0.4,0.6,0.6"}
AS_JSON = {"accept": "application/json"}
AS_NPY = {"accept": "application/x-npy"}


@pytest.fixture(scope="module")
def handler() -> InkwashHandler:
    return load(InkwashHandler(), ROOM / "demo" / "latest_net_G.pth")


def explained(handler: InkwashHandler, **headers: str) -> Answer:
    return answers(handler, explanation(PHOTO, **SMALL, **headers))[0]


def test_darkness_is_explained_completely(handler: InkwashHandler) -> None:
    answer = explained(handler, **AS_JSON)
    said: dict[str, Any] = json.loads(answer.body)
    assert answer.status == 200, said
    assert (said["target"], said["steps"]) == ([0, 0, 1, 1], 32)
    assert 0 < said["baseline_score"] < said["score"] < 1
    # Somewhere on the way a channel wakes and its instance norm jumps, so small pictures and few
    # steps leave some percent.
    assert said["relative_completeness_error"] < 0.05
    assert np.sum(said["attributions"]) == pytest.approx(
        said["score"] - said["baseline_score"], rel=0.05
    )


def test_the_score_is_the_paintings_darkness(handler: InkwashHandler) -> None:
    (painted,) = answers(handler, prediction(PHOTO, **SMALL, **AS_NPY))
    painting = array(painted).astype(float) / 255
    height, width = painting.shape[:2]
    region = painting[height // 2 :, : width // 4]
    target = f"0,0.5,{width // 4 / width},1"
    answer = explained(handler, **AS_JSON, x_marquee_target=target, x_marquee_method="occlusion")
    # The painting's bytes are cut, not rounded: half a level is missing.
    assert json.loads(answer.body)["score"] == pytest.approx(1 - region.mean(), abs=1 / 255)


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion"])
def test_a_region_is_explained_by_what_is_there(handler: InkwashHandler, method: str) -> None:
    heat = array(explained(handler, **CENTRE, **AS_NPY, **FINE, x_marquee_method=method)).sum(0)
    height, width = heat.shape
    inside = np.zeros(heat.shape, bool)
    inside[int(0.3 * height) : int(0.7 * height), int(0.3 * width) : int(0.7 * width)] = True
    assert np.abs(heat[inside]).mean() > 4 * np.abs(heat[~inside]).mean()


def test_by_default_the_heat_map_is_a_picture(handler: InkwashHandler) -> None:
    answer = explained(handler, x_marquee_steps="8")
    assert (answer.status, answer.content_type) == (200, "image/png")


def test_grad_cam_is_an_honest_422(handler: InkwashHandler) -> None:
    answer = explained(handler, x_marquee_method="grad_cam")
    assert answer.status == 422
    assert "no grad_cam" in json.loads(answer.body)["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {"x_marquee_target": "0,0,1"},
        {"x_marquee_target": "0.5,0,0.5,1"},
        {"x_marquee_target": "0,1,1,0"},
        {"x_marquee_target": "0,0,1,1.5"},
        {"x_marquee_target": "face"},
    ],
)
def test_a_region_that_is_none_is_named(handler: InkwashHandler, headers: dict[str, str]) -> None:
    answer = explained(handler, **headers)
    assert answer.status == 400
    assert "'target'" in json.loads(answer.body)["message"]


def test_the_size_is_bounded(handler: InkwashHandler) -> None:
    for size in ("0", "257", "8192"):
        (answer,) = answers(handler, explanation(PHOTO, x_marquee_size=size))
        assert answer.status == 400
        assert "'size'" in json.loads(answer.body)["message"]
    strip = png(np.zeros((20, 2000, 3), np.uint8))
    (answer,) = answers(handler, explanation(strip, x_marquee_size="128"))
    assert answer.status == 413
    assert "smaller size" in json.loads(answer.body)["message"]


def test_explanations_of_a_batch_share_the_servers_patience() -> None:
    hasty = load(InkwashHandler(), ROOM / "demo" / "latest_net_G.pth")
    hasty._pace = replace(hasty._pace, explain_seconds=1e-3)
    batch = [
        explanation(PHOTO, **SMALL),
        prediction(PHOTO, **SMALL),
        explanation(PHOTO, **SMALL),
    ]
    statuses = [answer.status for answer in answers(hasty, *batch)]
    assert statuses == [503, 200, 503]
    assert [one.seconds for one in batch] == [0.0005, float("inf"), 0.0005]

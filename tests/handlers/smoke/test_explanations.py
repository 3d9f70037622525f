"""Explanations of how much of a region is smoke, through the real handler with the demo weights."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from handlers.runtime.exchange import Answer
from handlers.smoke.demo.scenes import draw
from handlers.smoke.explanation import EXPLAINED_PIXELS
from handlers.smoke.handler import SmokeHandler
from tests.handlers.loading import answers, array, explanation, load, prediction

pytestmark = pytest.mark.slow

ROOM = Path(__file__).parents[3] / "handlers" / "smoke"
SCENE = (ROOM / "example.tif").read_bytes()
QUICK = {"x_marquee_steps": "8"}
OCCLUSION = {"x_marquee_method": "occlusion", **QUICK}
AS_JSON = {"accept": "application/json"}
AS_NPY = {"accept": "application/x-npy"}


@pytest.fixture(scope="module")
def handler() -> SmokeHandler:
    return load(SmokeHandler(), ROOM / "demo" / "smoke.pth")


def npy(values: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def explained(handler: SmokeHandler, body: bytes = SCENE, /, **headers: str) -> Answer:
    return answers(handler, explanation(body, **headers))[0]


def report(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    said: dict[str, Any] = json.loads(answer.body)
    return said


def message(answer: Answer, status: int) -> str:
    assert answer.status == status, answer.body
    return str(json.loads(answer.body)["message"])


def test_the_masks_area_is_explained_completely(handler: SmokeHandler) -> None:
    said = report(explained(handler, **AS_JSON))
    assert (said["target"], said["steps"]) == ([0, 0, 1, 1], 32)
    assert said["shape"] == [6, 256, 256]
    assert 0 <= said["baseline_score"] < 0.01 < said["score"] < 1
    assert said["relative_completeness_error"] < 0.03
    assert np.sum(said["attributions"]) == pytest.approx(
        said["score"] - said["baseline_score"], rel=0.03
    )


def test_the_smoke_itself_speaks_for_it(handler: SmokeHandler) -> None:
    (predicted,) = answers(handler, prediction(SCENE, **AS_NPY))
    smoke = array(predicted)[0, ..., 0] > 0.5
    heat = array(explained(handler, **AS_NPY)).sum(0)
    assert 0.01 < smoke.mean() < 0.2
    assert heat[smoke].sum() > 0.5 * np.abs(heat).sum()


@pytest.mark.parametrize("shape", [(256, 256), (256, 264)])
def test_the_score_is_the_predictions_mean(handler: SmokeHandler, shape: tuple[int, int]) -> None:
    """Also where the sides are no multiples of 16: what is mirrored beyond them does not count."""
    scene, _ = draw(np.random.default_rng(7), *shape)
    body = npy(scene)
    (predicted,) = answers(handler, prediction(body, **AS_NPY))
    found = array(predicted)[0, ..., 0].astype(float)
    assert found.shape == shape
    said = report(explained(handler, body, **AS_JSON, **OCCLUSION))
    assert said["score"] == pytest.approx(found.mean(), abs=1e-5)
    part = found[shape[0] // 2 :, : shape[1] // 2]
    target = {"x_marquee_target": "0,0.5,0.5,1"}
    said = report(explained(handler, body, **AS_JSON, **OCCLUSION, **target))
    assert said["score"] == pytest.approx(part.mean(), abs=1e-5)


def test_what_a_region_cannot_see_has_no_part_in_it(handler: SmokeHandler) -> None:
    """An output pixel sees 137 pixels far, which leaves the right third out for the left edge."""
    left = explained(handler, **AS_NPY, **QUICK, x_marquee_target="0,0,0.1,1")
    heat = array(left)
    assert np.count_nonzero(heat[:, :, :26])
    assert np.count_nonzero(heat[:, :, 180:]) == 0
    assert np.count_nonzero(array(explained(handler, **AS_NPY, **QUICK))[:, :, 180:])


def test_a_band_that_the_network_ignores_gets_zero() -> None:
    deaf = load(SmokeHandler(), ROOM / "demo" / "smoke.pth")
    first = next(m for m in deaf.network.modules() if isinstance(m, torch.nn.Conv2d))
    with torch.no_grad():
        first.weight[:, 3] = 0
    heat = array(explained(deaf, **AS_NPY, **QUICK))
    used = [np.count_nonzero(band) > 0 for band in heat]
    assert used == [True, True, True, False, True, True]


def test_by_default_the_heat_map_is_a_picture(handler: SmokeHandler) -> None:
    answer = explained(handler, **OCCLUSION)
    assert (answer.status, answer.content_type) == (200, "image/png")


def test_grad_cam_is_an_honest_422(handler: SmokeHandler) -> None:
    said = message(explained(handler, x_marquee_method="grad_cam"), 422)
    assert "no grad_cam" in said


@pytest.mark.parametrize("target", ["0,0,1", "0.5,0,0.5,1", "0,1,1,0", "0,0,1,1.5", "smoke"])
def test_a_region_that_is_none_is_named(handler: SmokeHandler, target: str) -> None:
    assert "'target'" in message(explained(handler, x_marquee_target=target), 400)


def test_one_scene_of_bounded_size(handler: SmokeHandler) -> None:
    several = npy(np.zeros((2, 256, 256, 6), np.uint8))
    assert "2 were sent" in message(explained(handler, several, accept="image/jpeg"), 400)
    large = npy(np.zeros((EXPLAINED_PIXELS // 256 + 1, 256, 6), np.uint8))
    assert f"at most {EXPLAINED_PIXELS}" in message(explained(handler, large), 413)


def test_each_of_a_batch_has_its_own_fate(handler: SmokeHandler) -> None:
    alone = explained(handler, **AS_NPY, **OCCLUSION)
    batch = answers(
        handler,
        explanation(SCENE, **AS_NPY, **OCCLUSION),
        explanation(b"no scene", **AS_NPY),
        prediction(SCENE),
        explanation(SCENE, x_marquee_method="magic"),
        prediction(SCENE, x_marquee_target="0,0,1,1"),
    )
    assert [answer.status for answer in batch] == [200, 400, 200, 400, 400]
    assert batch[0].body == alone.body

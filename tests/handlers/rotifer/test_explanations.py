"""Explanations of a detection's objectness, through the real handler with reference networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from handlers.rotifer.detections import suppress
from handlers.rotifer.explanation import locate
from handlers.rotifer.handler import RotiferHandler
from handlers.rotifer.heads import OBJECTNESS
from handlers.rotifer.model import Darknet
from handlers.rotifer.pictures import resize
from handlers.runtime.exchange import Answer, Exchange
from tests.handlers.loading import array
from tests.handlers.rotifer.support import GOLDEN, answers, ask, golden_files, loaded, pixels

pytestmark = pytest.mark.slow

PICTURE = (GOLDEN / "field_a.png").read_bytes()
QUICK = {"x_marquee_steps": "8"}
AS_JSON = {"accept": "application/json"}
AS_NPY = {"accept": "application/x-npy"}


@pytest.fixture(scope="module", params=["tiny5", "res5"])
def handler(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> RotiferHandler:
    return loaded(golden_files(tmp_path_factory.mktemp("archive"), request.param), threads=1)


def network_of(handler: RotiferHandler) -> Darknet:
    assert isinstance(handler.network, Darknet)
    return handler.network


def explained(handler: RotiferHandler, **headers: str) -> Answer:
    return ask(handler, PICTURE, explain="True", **headers)


def report(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    said: dict[str, Any] = json.loads(answer.body)
    return said


def message(answer: Answer, status: int) -> str:
    assert answer.status == status, answer.body
    return str(json.loads(answer.body)["message"])


def heat(answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    return array(answer)


def test_the_most_probable_detection_is_explained_completely(handler: RotiferHandler) -> None:
    first = report(ask(handler, PICTURE))["detections"][0]
    # The reference networks' weights are random and the way is rough; the demo's needs fewer steps.
    said = report(explained(handler, **AS_JSON, x_marquee_steps="256"))
    assert said["target"] == {"detection": 0, **first}
    width, height = network_of(handler).size
    assert said["shape"] == [3, height, width]
    # The probability is the objectness times that of the class.
    assert first["probability"] <= said["score"] <= 1
    assert said["relative_completeness_error"] < 0.02
    assert np.sum(said["attributions"]) == pytest.approx(
        said["score"] - said["baseline_score"], rel=0.02
    )


def test_each_detection_is_found_where_it_comes_from(handler: RotiferHandler) -> None:
    """Read at its place, objectness times class is the probability, and the box is the box."""
    network, picture = network_of(handler), pixels("field_a.png")
    size, thresh = (picture.shape[1], picture.shape[0]), 0.1
    with torch.inference_mode():
        outputs = network(torch.from_numpy(resize(picture, network.size))[None])
    heads = tuple(output[0].numpy() for output in outputs)
    candidates = network.candidates(heads, size, thresh)
    found = suppress(candidates, network.suppression(0.45))
    used = set()
    for detection in found:
        place = locate(detection, network.heads, heads, size, thresh)
        cell = heads[place.head][:, place.row, place.column]
        assert place.objectness(outputs).item() == cell[place.channel]
        kind = cell[place.channel - OBJECTNESS + 5 + detection.class_id]
        assert cell[place.channel] * kind == pytest.approx(detection.probability, rel=1e-6)
        used.add(place.head)
    assert len(found) > 20
    assert used == set(range(len(heads)))


def test_another_detection_has_another_explanation(handler: RotiferHandler) -> None:
    detections = report(ask(handler, PICTURE))["detections"]
    for method in ("integrated_gradients", "occlusion"):
        options = {**AS_NPY, **QUICK, "x_marquee_method": method}
        first, last = (
            heat(explained(handler, **options, x_marquee_target=str(index)))
            for index in (0, len(detections) - 1)
        )
        assert np.abs(first - last).max() > 0.1 * np.abs(first).max()


def test_thresh_decides_which_detections_there_are(handler: RotiferHandler) -> None:
    few = report(ask(handler, PICTURE, x_marquee_thresh="0.5"))["detections"]
    options = {**AS_JSON, **QUICK, "x_marquee_thresh": "0.5"}
    last = report(explained(handler, **options, x_marquee_target=str(len(few) - 1)))
    assert last["target"]["box"] == few[-1]["box"]
    said = message(explained(handler, **options, x_marquee_target=str(len(few))), 422)
    assert f"there are {len(few)} detections; expected 0 to {len(few) - 1}" in said


def test_a_colour_that_the_network_ignores_gets_zero(tmp_path: Path) -> None:
    blind = loaded(golden_files(tmp_path, "tiny5"), threads=1)
    first = next(m for m in blind.network.modules() if isinstance(m, torch.nn.Conv2d))
    with torch.no_grad():
        first.weight[:, 1] = 0
    values = heat(explained(blind, **AS_NPY, **QUICK, x_marquee_thresh="0.01"))
    assert [np.count_nonzero(plane) > 0 for plane in values] == [True, False, True]


def test_by_default_the_heat_map_is_a_picture(handler: RotiferHandler) -> None:
    answer = explained(handler, **QUICK)
    assert (answer.status, answer.content_type) == (200, "image/png")


def test_nothing_detected_is_an_honest_422(handler: RotiferHandler) -> None:
    assert "nothing was detected" in message(explained(handler, x_marquee_thresh="1"), 422)


def test_grad_cam_is_an_honest_422(handler: RotiferHandler) -> None:
    assert "no grad_cam" in message(explained(handler, x_marquee_method="grad_cam"), 422)


@pytest.mark.parametrize("target", ["-1", "0.5", "Rotifer"])
def test_a_target_that_is_none_is_named(handler: RotiferHandler, target: str) -> None:
    assert "'target'" in message(explained(handler, x_marquee_target=target), 400)


def test_each_of_a_batch_has_its_own_fate(handler: RotiferHandler) -> None:
    quick = {"explain": "True", "accept": "application/x-npy", "x-marquee-steps": "8"}
    alone = explained(handler, **AS_NPY, **QUICK)
    batch = answers(
        handler,
        [
            Exchange({"body": PICTURE}, quick),
            Exchange({"body": b"no picture"}, quick),
            Exchange({"body": PICTURE}),
            Exchange({"body": PICTURE}, quick | {"x-marquee-target": "5000"}),
            Exchange({"body": PICTURE}, {"x-marquee-target": "0"}),
        ],
    )
    assert [answer.status for answer in batch] == [200, 400, 200, 422, 400]
    assert batch[0].body == alone.body

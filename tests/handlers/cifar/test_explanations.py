"""Explanations of classes, through the real handler with the demo weights."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from handlers.cifar.data import draw_dataset
from handlers.cifar.handler import CifarHandler
from handlers.cifar.model import CLASSES, late_layer, normalise
from handlers.runtime.exchange import Answer
from tests.handlers.loading import answers, array, explanation, load, png, prediction

ROOM = Path(__file__).parents[3] / "handlers" / "cifar"
SHIP = (ROOM / "example.png").read_bytes()
METHODS = ("integrated_gradients", "grad_cam", "occlusion")
AS_JSON = {"accept": "application/json"}
AS_NPY = {"accept": "application/x-npy"}


@pytest.fixture(scope="module", params=["lenet", "vgg11"])
def handler(request: pytest.FixtureRequest) -> CifarHandler:
    return load(CifarHandler(), ROOM / "demo" / f"{request.param}.pth")


def explained(handler: CifarHandler, body: bytes = SHIP, /, **headers: str) -> Answer:
    return answers(handler, explanation(body, **headers))[0]


def report(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    said: dict[str, Any] = json.loads(answer.body)
    return said


def test_the_winning_class_is_explained_completely(handler: CifarHandler) -> None:
    said = report(explained(handler, **AS_JSON, x_marquee_steps="256"))
    assert (said["method"], said["target"], said["steps"]) == (METHODS[0], "ship", 256)
    assert said["relative_completeness_error"] < 0.01
    assert said["completeness_error"] == pytest.approx(
        said["relative_completeness_error"] * abs(said["score"] - said["baseline_score"])
    )
    # 32 by 32 sums over channels: the answer's own numbers keep the promise.
    cells = np.array(said["attributions"])
    assert cells.shape == (32, 32)
    assert said["shape"] == [3, 32, 32]
    assert cells.sum() == pytest.approx(said["score"] - said["baseline_score"], rel=0.01)


def test_completeness_on_fresh_drawings(handler: CifarHandler) -> None:
    images, _ = draw_dataset(4, seed=123_456)
    for image in images:
        body = png(image.permute(1, 2, 0).numpy())
        said = report(explained(handler, body, **AS_JSON, x_marquee_steps="256"))
        promised = abs(said["score"]) + abs(said["baseline_score"])
        assert said["completeness_error"] < 0.02 * promised


def test_scores_are_the_predictions_logits(handler: CifarHandler) -> None:
    (predicted,) = answers(handler, prediction(SHIP, **AS_NPY))
    for index, name in enumerate(CLASSES):
        said = report(explained(handler, **AS_JSON, x_marquee_target=name, x_marquee_steps="8"))
        assert said["target"] == name
        assert said["score"] == pytest.approx(array(predicted)[0, index], abs=1e-4)


def test_a_class_by_index_is_the_class_by_name(handler: CifarHandler) -> None:
    by_name = explained(handler, **AS_NPY, x_marquee_target="ship", x_marquee_method="occlusion")
    by_index = explained(handler, **AS_NPY, x_marquee_target="8", x_marquee_method="occlusion")
    assert by_name.body == by_index.body


@pytest.mark.parametrize("method", METHODS)
def test_another_class_has_another_explanation(handler: CifarHandler, method: str) -> None:
    ship, car = (
        array(explained(handler, **AS_NPY, x_marquee_target=name, x_marquee_method=method))
        for name in ("ship", "car")
    )
    assert ship.dtype == np.float32
    assert ship.shape == ((3 if method == METHODS[0] else 1), 32, 32)
    assert np.abs(ship - car).max() > 0.1 * np.abs(ship).max()


@pytest.mark.parametrize("method", METHODS)
def test_hiding_what_speaks_for_the_class_lowers_its_score(
    handler: CifarHandler, method: str
) -> None:
    """As much hidden in the same form, moved elsewhere, lowers it less on the average.

    Each pixel is hidden in proportion to its heat, so that the score is a continuous function of
    the heat map: another processor's rounding (1e-6) moves it as little. A ranking would not do:
    half of Grad-CAM's map is zero, and the order of ties is the sorting routine's.
    """
    heat = array(explained(handler, **AS_NPY, x_marquee_method=method)).sum(0).clip(0)
    weights = torch.from_numpy(heat / heat.max())
    shifts = [(down, right) for down in range(0, 32, 4) for right in range(0, 32, 4)]
    # Gray is zero: what is hidden whole says nothing.
    hidden = torch.stack([_ship() * (1 - weights.roll(shift, (0, 1))) for shift in shifts])
    with torch.inference_mode():
        own, *others = handler.network(hidden)[:, CLASSES.index("ship")].tolist()
    assert own < np.mean(others)


def test_grad_cam_weighs_what_the_network_passes_on(handler: CifarHandler) -> None:
    """Rectified maps, as the method has it: the network never sees what is below zero."""
    seen: list[torch.Tensor] = []

    def keep(layer: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
        output.retain_grad()
        seen.append(output)

    hook = late_layer(handler.network).register_forward_hook(keep)
    with torch.enable_grad():
        handler.network(_ship()[None].requires_grad_())[0, CLASSES.index("ship")].backward()
    hook.remove()
    maps, gradient = seen[0].detach(), seen[0].grad
    assert gradient is not None
    assert maps.min() == 0 < maps.max()
    weighted = (gradient.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1, keepdim=True).relu()
    expected = torch.nn.functional.interpolate(weighted, (32, 32), mode="bilinear")[0].numpy()
    found = array(explained(handler, **AS_NPY, x_marquee_method="grad_cam"))
    # Sums of at most 64 x 10 x 10 products, in whatever order: 1e-3 of the largest is far above.
    np.testing.assert_allclose(found, expected, atol=1e-3 * expected.max())


def _ship() -> torch.Tensor:
    """Return the example as the network sees it, (3, 32, 32) in [-1, 1]."""
    with Image.open(io.BytesIO(SHIP)) as picture:
        small = np.array(picture.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR))
    return normalise(torch.from_numpy(small).permute(2, 0, 1))


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", "image/png"),
        ("image/*", "image/png"),
        ("image/jpeg", "image/jpeg"),
        ("application/json", "application/json"),
        ("application/x-npy", "application/x-npy"),
    ],
)
def test_accept_decides_the_answer(handler: CifarHandler, accept: str, content_type: str) -> None:
    answer = explained(handler, accept=accept, x_marquee_steps="8")
    assert (answer.status, answer.content_type) == (200, content_type)
    if content_type.startswith("image/"):
        with Image.open(io.BytesIO(answer.body)) as shown:
            assert shown.size == (320, 320)
            assert shown.get_format_mimetype() == content_type
            # Red on the ship somewhere.
            red, _, blue = (plane.astype(int) for plane in np.moveaxis(np.array(shown), 2, 0))
            assert (red - blue).max() > 100


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({"x_marquee_method": "magic"}, 400, "'method' is 'magic', expected one of integrated"),
        ({"x_marquee_steps": "7"}, 400, "'steps' is '7', expected integer from 8 to 256"),
        ({"x_marquee_steps": "1000000"}, 400, "'steps'"),
        ({"x_marquee_target": "boat"}, 400, "'target' is 'boat', expected one of plane, car"),
        ({"x_marquee_target": "10"}, 400, "'target'"),
        ({"x_marquee_colour": "red"}, 400, "'colour'"),
        ({"accept": "text/html"}, 406, "image/png, image/jpeg, application/json"),
        ({"content_type": "text/csv"}, 415, "text/csv"),
    ],
)
def test_what_cannot_be_asked_is_named(
    handler: CifarHandler, headers: dict[str, str], status: int, words: str
) -> None:
    answer = explained(handler, **headers)
    assert answer.status == status
    assert words in json.loads(answer.body)["message"]


def test_several_pictures_are_one_too_many(handler: CifarHandler) -> None:
    stream = io.BytesIO()
    np.save(stream, np.zeros((2, 3, 32, 32), np.uint8))
    answer = explained(handler, stream.getvalue())
    assert answer.status == 400
    assert "2 were sent" in json.loads(answer.body)["message"]


def test_the_parameters_of_explanations_are_unknown_to_predictions(handler: CifarHandler) -> None:
    for name in ("method", "steps", "target"):
        (answer,) = answers(handler, prediction(SHIP, **{f"x_marquee_{name}": "8"}))
        assert answer.status == 400
        assert f"unknown parameter '{name}'" in json.loads(answer.body)["message"]


def test_each_of_a_batch_has_its_own_fate(handler: CifarHandler) -> None:
    alone = explained(handler, **AS_NPY)
    batch = answers(
        handler,
        explanation(SHIP, **AS_NPY),
        explanation(b"no image", **AS_NPY),
        prediction(SHIP),
        explanation(SHIP, x_marquee_method="magic"),
        explanation(SHIP, x_marquee_method="grad_cam", **AS_JSON),
        explanation(SHIP, accept="text/html"),
    )
    assert [answer.status for answer in batch] == [200, 400, 200, 400, 200, 406]
    assert batch[0].body == alone.body
    assert report(batch[2])["label"] == "ship"
    assert report(batch[4])["completeness_error"] is None


def test_the_model_describes_its_explanations(handler: CifarHandler) -> None:
    offered = handler.describe()["explanations"]
    assert offered["produces"][0] == "image/png"
    assert offered["parameters"]["properties"]["method"]["enum"] == [*METHODS]
    assert "steps" not in handler.describe()["parameters"]["properties"]

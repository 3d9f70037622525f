"""How a handler comes to have explanations, or to say why it has none."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from handlers.runtime import Request, Result, VisionHandler
from handlers.runtime.explain import METHOD, STEPS, attribute
from handlers.runtime.heatmap import picture_of
from tests.handlers.loading import answers, array, explanation, load, png, prediction

RED = png(np.full((8, 8, 3), (255, 0, 0), np.uint8))


class Reddish(VisionHandler):
    """Says how red a picture is: its network sees the first channel only."""

    unexplained = "red is red, there is no more to say"

    def load(self) -> nn.Module:
        return nn.Conv2d(3, 1, 1)

    def preprocess(self, request: Request) -> Tensor:
        return torch.from_numpy(np.array(request.payload.image())).permute(2, 0, 1) / 255

    def forward(self, batch: Tensor) -> Tensor:
        return batch[:, 0].mean(dim=(1, 2))

    def postprocess(self, output: Tensor, request: Request) -> Result:
        return Result(json=float(output))


class ExplainedReddish(Reddish):
    explain_parameters = (METHOD, STEPS)

    def explain(self, request: Request) -> Result:
        item = self.preprocess(request)
        found = attribute(request, self.forward, item, placement=self.placement)
        return found.result(picture_of(item, low=0), target="red")


@pytest.fixture
def handler(tmp_path: Path) -> ExplainedReddish:
    return load(ExplainedReddish(), tmp_path / "none.pth")


@pytest.mark.parametrize(
    "headers",
    [{}, {"x_marquee_method": "occlusion"}, {"accept": "image/png"}, {"accept": "text/html"}],
)
def test_a_model_that_cannot_explain_says_why(tmp_path: Path, headers: dict[str, str]) -> None:
    silent = load(Reddish(), tmp_path / "none.pth")
    (answer,) = answers(silent, explanation(RED, **headers))
    assert answer.status == 422
    assert json.loads(answer.body)["message"] == Reddish.unexplained
    assert silent.describe()["explanations"] is None


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion"])
def test_a_score_in_one_line_is_enough(handler: ExplainedReddish, method: str) -> None:
    headers = {"x_marquee_method": method, "accept": "application/x-npy"}
    (answer,) = answers(handler, explanation(RED, **headers))
    values = array(answer)
    assert values[0].sum() > 0.9 if method == "integrated_gradients" else values.min() > 0
    assert np.all(values[1:] == 0)


def test_predictions_know_nothing_of_it(handler: ExplainedReddish) -> None:
    told, refused = answers(handler, prediction(RED), prediction(RED, x_marquee_steps="8"))
    assert (told.status, told.body) == (200, b"1.0")
    assert refused.status == 400


def test_time_is_shared_by_the_explanations_of_a_batch(tmp_path: Path) -> None:
    patient = load(ExplainedReddish(), tmp_path / "none.pth", responseTimeout=60)
    batch = [explanation(RED), prediction(RED), explanation(b"no image"), explanation(RED)]
    assert [answer.status for answer in answers(patient, *batch)] == [200, 200, 400, 200]
    assert [round(one.seconds, 1) for one in batch if one.asks_explanation] == [5, 5, 5]


def test_predictions_come_before_explanations(tmp_path: Path) -> None:
    order: list[str] = []

    class Slow(ExplainedReddish):
        def postprocess(self, output: Tensor, request: Request) -> Result:
            order.append("predicted")
            return super().postprocess(output, request)

        def explain(self, request: Request) -> Result:
            order.append("explained")
            assert request.deadline < time.monotonic() + 15
            return super().explain(request)

    slow = load(Slow(), tmp_path / "none.pth", responseTimeout=60)
    told = answers(slow, explanation(RED), prediction(RED), explanation(RED), prediction(RED))
    assert [one.status for one in told] == [200] * 4
    assert order == ["predicted", "predicted", "explained", "explained"]


def test_the_time_for_explanations_is_a_setting(tmp_path: Path) -> None:
    settings = {"explain_seconds": 20}
    patient = load(ExplainedReddish(), tmp_path / "none.pth", responseTimeout=60, marquee=settings)
    batch = [explanation(RED), explanation(RED)]
    answers(patient, *batch)
    assert [round(one.seconds, 1) for one in batch] == [10, 10]

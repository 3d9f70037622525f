"""The demo: scenes with true boxes, the export to darknet's layout, and the trained network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from handlers.rotifer.cfg import read_cfg
from handlers.rotifer.demo.make import CFG, NAMES, NEEDED, WEIGHTS, vary
from handlers.rotifer.demo.scenes import Scene, draw_scene
from handlers.rotifer.demo.score import average_precisions
from handlers.rotifer.demo.training import Average, exported, loss, trainable
from handlers.rotifer.detections import Candidates, Suppression
from handlers.rotifer.model import Darknet, load_network
from handlers.rotifer.pack import inputs, pack
from handlers.rotifer.weights import write_weights
from tests.handlers.rotifer.support import ROOM, ask, loaded


def test_scenes_are_reproducible_and_their_boxes_inside() -> None:
    one, other = (draw_scene(np.random.default_rng(4), 192) for _ in range(2))
    assert np.array_equal(one.pixels, other.pixels)
    assert one.pixels.shape == (192, 192, 3)
    assert len(one.boxes) == len(one.classes) > 0
    low, high = one.boxes[:, :2] - one.boxes[:, 2:] / 2, one.boxes[:, :2] + one.boxes[:, 2:] / 2
    assert low.min() >= -1e-6
    assert high.max() <= 1 + 1e-6


def test_boxes_follow_the_picture_when_it_is_turned() -> None:
    pixels = np.full((40, 40, 3), 50, np.uint8)
    pixels[4:10, 6:26] = 200
    boxes = np.array([[0.4, 0.175, 0.5, 0.15]], np.float32)
    random = np.random.default_rng(0)
    for _ in range(16):
        varied = vary(Scene(pixels, boxes, np.zeros(1, np.int64)), random)
        rows, columns = np.nonzero(varied.pixels[..., 0] == 200)
        edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        centre, size = varied.boxes[0, :2] * 40, varied.boxes[0, 2:] * 40
        np.testing.assert_allclose([*(centre - size / 2), *(centre + size / 2)], edges, atol=1e-4)


def test_the_exported_network_is_the_trained_one(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = trainable(Darknet(read_cfg(CFG))).train()
    with torch.no_grad():
        network(torch.rand(4, 3, 224, 224))  # moves the running statistics
    network.eval()
    path = tmp_path / "a.weights"
    write_weights(path, exported(network), seen=4)
    picture = torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        for one, other in zip(network(picture), load_network(CFG, path)(picture), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_training_lowers_the_loss() -> None:
    torch.manual_seed(1)
    network = trainable(Darknet(read_cfg(CFG), size=(96, 96))).train()
    scene = draw_scene(np.random.default_rng(6), 96)
    picture = torch.from_numpy(scene.pixels).permute(2, 0, 1)[None].float() / 255
    average = Average(network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    errors = []
    for _ in range(10):
        error = loss(network, picture.expand(2, -1, -1, -1), [scene, scene])
        optimizer.zero_grad()
        torch.autograd.backward(error)
        optimizer.step()
        average.follow(network)
        errors.append(error.item())
    assert errors[-1] < 0.6 * errors[0]
    assert all(torch.isfinite(p).all() for p in average.network.parameters())


class Perfect(Darknet):
    """Answers what it was told, whatever it sees."""

    def __init__(self, answers: list[Candidates]) -> None:
        super().__init__(read_cfg(CFG))
        self.answers = iter(answers)

    def candidates(self, *_: object) -> Candidates:
        return next(self.answers)

    def suppression(self, threshold: float) -> Suppression:
        return Suppression(1.0)

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return ()


def test_average_precision_by_hand() -> None:
    boxes = np.array([[0.3, 0.3, 0.2, 0.2], [0.7, 0.7, 0.2, 0.2]], np.float32)
    scene = Scene(np.zeros((100, 100, 3), np.uint8), boxes, np.zeros(2, np.int64))
    # Found first, then a second answer for it (wrong), then the other one.
    found = np.array([[30, 30, 20, 20], [31, 30, 20, 20], [70, 70, 20, 20]], np.float32)
    probabilities = np.zeros((3, 5), np.float32)
    probabilities[:, 0] = 0.9, 0.8, 0.7
    network = Perfect([Candidates(found, np.ones(3, np.float32), probabilities)])
    precisions = average_precisions(network, [scene])
    assert precisions[0] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert precisions[1:] == [0, 0, 0, 0]


@pytest.mark.slow
def test_the_demo_weights_find_what_is_drawn() -> None:
    random = np.random.default_rng(77)
    scenes = [draw_scene(random) for _ in range(30)]
    precisions = average_precisions(load_network(CFG, WEIGHTS), scenes)
    assert np.mean(precisions) >= NEEDED


def test_the_demo_is_served_like_any_users_model(tmp_path: Path) -> None:
    assert len(inputs(WEIGHTS)) == 4
    pack(WEIGHTS, tmp_path)
    answer = ask(loaded(tmp_path), (ROOM / "example.png").read_bytes())
    assert answer.status == 200
    named = NAMES.read_text().split("\n")[:-1]
    assert all(name.encode() in answer.body for name in named)
    assert WEIGHTS.stat().st_size < 5_000_000

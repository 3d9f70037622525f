"""The axioms that explanations promise, on networks whose attributions are known."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from handlers.runtime.device import Placement
from handlers.runtime.errors import InternalError, TooLarge, Unavailable, Unprocessable
from handlers.runtime.explain import (
    GRAD_CAM,
    INTEGRATED_GRADIENTS,
    ITEMS_AT_ONCE,
    MAX_PIXELS,
    METHOD,
    OCCLUSION,
    PIXELS_AT_ONCE,
    Score,
    attribute,
    windows,
)
from handlers.runtime.request import Request

CPU = Placement(torch.device("cpu"), torch.float32)
METHODS = METHOD.choices


def asked(method: str, steps: int = 64, deadline: float = math.inf) -> Request:
    return Request((), {"method": method, "steps": steps}, "image/png", deadline=deadline)


def values(score: Score, item: Tensor, method: str, **options: Any) -> NDArray[Any]:
    return attribute(asked(method), score, item, placement=CPU, **options).values


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(8, 4, 3), nn.Sigmoid()
    ).eval()


def total(network: nn.Module, target: int = 0) -> Score:
    return lambda batch: network(batch)[:, target].sum(dim=(1, 2))


def test_a_linear_score_is_its_own_explanation() -> None:
    weights, item, baseline = noise(3, 8, 8), noise(3, 8, 8, seed=1), noise(3, 8, 8, seed=2)
    found = values(
        lambda x: (x * weights).sum((1, 2, 3)), item, INTEGRATED_GRADIENTS, baseline=baseline
    )
    np.testing.assert_allclose(found, (weights * (item - baseline)).numpy(), atol=1e-5)
    assert found.shape == (3, 8, 8)
    assert found.dtype == np.float32


@pytest.mark.parametrize("baseline", [0.0, 0.7, noise(3, 12, 10, seed=3)])
def test_completeness(network: nn.Sequential, baseline: Tensor | float) -> None:
    item = noise(3, 12, 10)
    score = total(network)
    request = asked(INTEGRATED_GRADIENTS, 256)
    found = attribute(request, score, item, placement=CPU, baseline=baseline)
    with torch.no_grad():
        origin = torch.as_tensor(baseline).expand(1, 3, 12, 10)
        difference = float(score(item[None]) - score(origin))
    assert found.score - found.baseline_score == pytest.approx(difference, rel=1e-5)
    assert found.values.sum() == pytest.approx(difference, rel=5e-3)
    assert found.completeness_error == pytest.approx(abs(found.values.sum() - difference), abs=1e-4)


def test_more_steps_are_more_complete() -> None:
    errors = [
        attribute(
            asked(INTEGRATED_GRADIENTS, steps),
            lambda x: torch.sin(3 * x).prod(dim=1).sum((1, 2)),
            noise(3, 6, 6) * 3,
            placement=CPU,
        ).completeness_error
        or 0.0
        for steps in (8, 32)
    ]
    assert errors[1] < errors[0] / 10
    assert errors[1] < 1e-3


def test_a_large_input_goes_through_the_network_alone() -> None:
    side = math.isqrt(PIXELS_AT_ONCE) + 1
    calls: list[int] = []

    def score(batch: Tensor) -> Tensor:
        calls.append(len(batch))
        return (batch**2).mean(dim=(1, 2, 3))

    item = noise(1, side, side)
    found = attribute(asked(INTEGRATED_GRADIENTS, 8), score, item, placement=CPU)
    assert max(calls) == 1
    # The integral of 2 a x * x over a from 0 to 1 is x * x.
    np.testing.assert_allclose(found.values, (item**2 / item.numel()).numpy(), rtol=1e-4)


@pytest.mark.parametrize("method", [INTEGRATED_GRADIENTS, OCCLUSION])
def test_the_network_gets_bounded_batches(method: str) -> None:
    calls: list[int] = []

    def score(batch: Tensor) -> Tensor:
        calls.append(len(batch))
        return batch.sum((1, 2, 3))

    attribute(asked(method, 256), score, noise(1, 16, 16), placement=CPU)
    assert ITEMS_AT_ONCE / 2 < max(calls) <= ITEMS_AT_ONCE
    assert sum(calls) <= 256 + 3  # the item and the baseline, and once more for occlusion


def test_an_ignored_channel_gets_nothing(network: nn.Sequential) -> None:
    def score(batch: Tensor) -> Tensor:
        seen = batch * torch.tensor([1.0, 0.0, 1.0])[:, None, None]
        return total(network)(seen)

    found = values(score, noise(3, 12, 10), INTEGRATED_GRADIENTS)
    assert np.all(found[1] == 0)
    assert np.all(np.abs(found[[0, 2]]).max(axis=(1, 2)) > 1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_an_ignored_region_gets_nothing(method: str) -> None:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.ReLU()).eval()

    def score(batch: Tensor) -> Tensor:
        seen = batch.clone()
        seen[..., 16:] = 0
        maps: Tensor = network(seen)
        return maps.square().sum((1, 2, 3))

    found = values(score, noise(3, 32, 32), method, layer=network)
    # A window is 8 wide, a convolution reaches one pixel. Gradients are zero exactly; scores are
    # rounded otherwise in a batch than alone: 27 products, a square, a sum in 12 levels, and that
    # twice, are 100 roundings of 2 ** -24 at the worst.
    reach, rounding = {
        INTEGRATED_GRADIENTS: (0, 0.0),
        GRAD_CAM: (1, 0.0),
        OCCLUSION: (8, 100 * 2**-24 * score(noise(1, 3, 32, 32)).item()),
    }[method]
    assert np.abs(found[..., 16 + reach :]).max() <= rounding
    assert np.abs(found[..., :16]).max() > 0.1


def test_an_input_like_the_baseline_has_nothing_to_explain(network: nn.Sequential) -> None:
    item = noise(3, 8, 8)
    request = asked(INTEGRATED_GRADIENTS)
    found = attribute(request, total(network), item, placement=CPU, baseline=item)
    assert np.all(found.values == 0)
    report: Any = found.result(np.zeros((8, 8, 3), np.uint8), None).json
    assert report["completeness_error"] == 0
    assert report["relative_completeness_error"] is None


def test_explanations_of_a_sum_add_up(network: nn.Sequential) -> None:
    item = noise(3, 12, 10)
    for method in (INTEGRATED_GRADIENTS, OCCLUSION):
        parts = [values(total(network, target), item, method) for target in (0, 1)]
        whole = values(lambda x: network(x)[:, :2].sum((1, 2, 3)), item, method)
        np.testing.assert_allclose(sum(parts), whole, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_another_target_has_another_explanation(network: nn.Sequential, method: str) -> None:
    item = noise(3, 12, 10)
    first, second = (
        values(total(network, target), item, method, layer=network[0]) for target in (0, 1)
    )
    assert np.abs(first - second).max() > 0.1 * np.abs(first).max()


def test_occlusion_is_the_mean_fall_of_the_score(network: nn.Sequential) -> None:
    item, baseline = noise(3, 12, 10), noise(3, 12, 10, seed=5)
    score = total(network)
    (down, right), (high, wide) = windows(12, 10, 64)
    fall, count = torch.zeros(12, 10), torch.zeros(12, 10)
    with torch.no_grad():
        for top in range(0, 12 - high + down, down):
            for left in range(0, 10 - wide + right, right):
                window = ..., slice(top, top + high), slice(left, left + wide)
                hidden = item.clone()
                hidden[window] = baseline[window]
                fall[window] += (score(item[None]) - score(hidden[None])).item()
                count[window] += 1
    found = values(score, item, OCCLUSION, baseline=baseline)
    assert found.shape == (1, 12, 10)
    np.testing.assert_allclose(found[0], (fall / count).numpy(), atol=1e-4)


def test_grad_cam_weighs_maps_by_their_mean_gradient(network: nn.Sequential) -> None:
    item = noise(3, 12, 10)
    maps = network[:3](item[None]).detach().requires_grad_()  # (1, 4, 10, 8)
    (gradient,) = torch.autograd.grad(network[3](maps)[:, 2].sum(), maps)
    weighted = (gradient.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1, keepdim=True).relu()
    expected = nn.functional.interpolate(weighted, (12, 10), mode="bilinear")
    found = values(total(network, 2), item, GRAD_CAM, layer=network[2])
    np.testing.assert_allclose(found, expected.detach().numpy()[0], atol=1e-6)
    assert found.min() >= 0


def test_the_caller_may_be_in_inference_mode(network: nn.Sequential) -> None:
    expected = values(total(network), noise(3, 8, 8), INTEGRATED_GRADIENTS)
    with torch.inference_mode():
        found = values(total(network), noise(3, 8, 8), INTEGRATED_GRADIENTS)
    np.testing.assert_array_equal(found, expected)


def test_a_network_in_half_precision_is_explained_in_single(network: nn.Sequential) -> None:
    half = Placement(torch.device("cpu"), torch.bfloat16)
    torch.manual_seed(0)
    coarse = half.network(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sigmoid()))
    request = asked(INTEGRATED_GRADIENTS)
    found = attribute(request, total(coarse), noise(3, 12, 10), placement=half)
    assert found.values.dtype == np.float32
    assert found.completeness_error is not None
    assert found.completeness_error < 0.02 * abs(found.score)


@pytest.mark.parametrize(
    ("height", "width", "count"),
    [(32, 32, 64), (32, 32, 8), (5, 400, 64), (400, 5, 64), (3, 3, 256), (1, 1, 8), (97, 61, 100)],
)
def test_windows_cover_everything_within_the_count(height: int, width: int, count: int) -> None:
    (down, right), (high, wide) = windows(height, width, count)
    rows = -(-(height - high) // down) + 1
    columns = -(-(width - wide) // right) + 1
    assert rows * columns <= count
    assert (rows - 1) * down + high >= height
    assert (columns - 1) * right + wide >= width
    assert down <= high <= height
    assert right <= wide <= width


@pytest.mark.parametrize("method", METHODS)
def test_an_explanation_ends_at_its_deadline(network: nn.Sequential, method: str) -> None:
    request = asked(method, deadline=time.monotonic() - 1)
    with pytest.raises(Unavailable, match="fewer steps"):
        attribute(request, total(network), noise(3, 8, 8), placement=CPU, layer=network[0])


def test_a_deadline_stops_work_that_has_begun() -> None:
    def slow(batch: Tensor) -> Tensor:
        time.sleep(0.05)
        return batch.sum((1, 2, 3))

    start = time.monotonic()
    side = math.isqrt(PIXELS_AT_ONCE) + 1  # one item a call: 256 calls, 13 seconds
    with pytest.raises(Unavailable):
        attribute(
            asked(INTEGRATED_GRADIENTS, 256, start + 0.5), slow, noise(1, side, side), placement=CPU
        )
    assert time.monotonic() - start < 5


def test_what_cannot_be_explained_says_why(network: nn.Sequential) -> None:
    score = total(network)
    with pytest.raises(Unprocessable, match=r"no grad_cam.*use integrated_gradients or occlusion"):
        values(score, noise(3, 8, 8), GRAD_CAM)
    with pytest.raises(TooLarge, match=f"at most {MAX_PIXELS}"):
        values(score, torch.zeros(1, 1025, 1025), INTEGRATED_GRADIENTS)
    with pytest.raises(InternalError, match="not finite"):
        values(lambda x: x.sqrt().sum((1, 2, 3)), -(noise(3, 8, 8) ** 2), INTEGRATED_GRADIENTS)
    with pytest.raises(ValueError, match=r"score of \(64, 3, 8, 8\) is \(64, 4"):
        values(network, noise(3, 8, 8), INTEGRATED_GRADIENTS)


def test_without_captum_the_answer_is_how_to_get_it(
    network: nn.Sequential, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(Unprocessable, match=r"pip install captum==0\.9\.0"):
        values(total(network), noise(3, 8, 8), INTEGRATED_GRADIENTS)

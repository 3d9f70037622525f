"""The network against Keras' own results: the whole, and layer by layer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from handlers.runtime.errors import InternalError
from handlers.runtime.finite import check_finite
from handlers.runtime.weights import WeightsError
from handlers.smoke.model import SmokeNet, load_network
from handlers.smoke.pack import read_keras
from tests.support import GOLDEN

pytest.importorskip("h5py", reason="reads the original's weights")

SMOKE = GOLDEN / "smoke"
SCENE = np.load(SMOKE / "scene.npy")
PREDICTIONS: NDArray[Any] = np.load(SMOKE / "predictions.npz")["predictions"]
# The kinds of layers that have a module here; pools and concatenations have none.
MODULES = {"Conv2D": nn.Conv2d, "Conv2DTranspose": nn.ConvTranspose2d}
MODULES["BatchNormalization"] = nn.BatchNorm2d


def read() -> SmokeNet:
    network = read_keras(SMOKE / "smoke_unet.h5")
    assert isinstance(network, SmokeNet)
    return network


@pytest.fixture(scope="module")
def golden() -> SmokeNet:
    return read()


def scene() -> Tensor:
    return torch.from_numpy(SCENE).permute(2, 0, 1)[None].float()


def test_has_as_many_numbers_as_the_original(golden: SmokeNet) -> None:
    assert sum(p.numel() for p in golden.parameters()) == 174_505
    statistics = [b for b in golden.buffers() if b.ndim]
    assert sum(b.numel() for b in statistics) == 175_961 - 174_505


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_predicts_what_keras_predicts(golden: SmokeNet, layout: torch.memory_format) -> None:
    with torch.inference_mode():
        found = golden(scene().contiguous(memory_format=layout)).permute(0, 2, 3, 1)
    error = np.abs(found.numpy() - PREDICTIONS)
    assert error.max() < 1e-4
    assert error.mean() < 1e-6


@torch.inference_mode()
def test_predicts_the_same_with_its_norms_folded(golden: SmokeNet) -> None:
    folded = read().eval()
    folded.fold()
    kept = [module for module in folded.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(kept) == 4  # of the transposed convolutions
    found = folded(scene()).permute(0, 2, 3, 1)
    assert np.abs(found.numpy() - PREDICTIONS).max() < 1e-4
    sizes = (scene()[..., :16, :16], scene()[..., :32, :48])  # borders are near, or one another
    for bands in (without_data(), *sizes, scene() * 250):
        torch.testing.assert_close(folded(bands), golden(bands), rtol=0, atol=1e-4)
    folded.fold()
    torch.testing.assert_close(folded(scene()).permute(0, 2, 3, 1), found, rtol=0, atol=0)


def test_every_layer_is_the_originals(golden: SmokeNet) -> None:
    seen: list[tuple[type[nn.Module], Tensor]] = []
    kinds = tuple(MODULES.values())
    hooks = [
        module.register_forward_hook(lambda m, _, out: seen.append((type(m), out)))
        for module in golden.modules()
        if isinstance(module, kinds)
    ]
    with torch.inference_mode():
        golden(scene())
    for hook in hooks:
        hook.remove()
    layers = json.loads((SMOKE / "layers.json").read_text())
    expected = [layer for layer in layers if layer["kind"] in MODULES]
    assert len(seen) == len(expected) == 52
    for (kind, out), layer in zip(seen, expected, strict=True):
        assert kind is MODULES[layer["kind"]]
        activated = _as_keras_gives_it(kind, out, last=layer is expected[-1])
        assert activated.shape == tuple(layer["shape_nhwc"])
        assert activated.mean() == pytest.approx(layer["mean"], rel=1e-4, abs=1e-6)
        assert activated.std() == pytest.approx(layer["std"], rel=1e-4)
        for place, name in ((128, "centre"), (0, "corner"), (-1, "last_corner")):
            y = activated.shape[1] // 2 if place == 128 else place
            pixel = activated[0, y, y][: len(layer[f"{name}_first4"])]
            np.testing.assert_allclose(pixel, layer[f"{name}_first4"], rtol=1e-3, atol=1e-4)


def _as_keras_gives_it(kind: type[nn.Module], out: Tensor, *, last: bool) -> NDArray[Any]:
    """Keras' convolutions include the activation, and its transposed ones the cut."""
    if last:
        out = out.sigmoid()
    elif kind is not nn.BatchNorm2d:
        out = out.relu()
    if kind is nn.ConvTranspose2d:
        out = out[..., :-1, :-1]
    return out.permute(0, 2, 3, 1).double().numpy()


def test_bfloat16_stays_within_the_originals_tolerance(golden: SmokeNet) -> None:
    narrow = SmokeNet().eval()
    narrow.load_state_dict(golden.state_dict())
    with torch.inference_mode():
        found = narrow.bfloat16()(scene().bfloat16()).float().permute(0, 2, 3, 1)
    error = np.abs(found.numpy() - PREDICTIONS)
    assert error.max() < 0.03
    assert error.mean() < 1e-3


@pytest.mark.slow
def test_a_batch_gives_what_single_tiles_give(golden: SmokeNet) -> None:
    tiles = torch.cat([scene(), scene().flip(2), scene().flip(3)])
    with torch.inference_mode():
        together = golden(tiles)
        alone = torch.cat([golden(tile[None]) for tile in tiles])
    assert (together - alone).abs().max() < 1e-5


def test_another_networks_weights_are_refused(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.ones(3)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"other\.pth: does not fit SmokeNet"):
        load_network(tmp_path / "other.pth")


def without_data() -> Tensor:
    """The scene with a hole, as satellites' products have it."""
    holed = scene()
    holed[..., 96:160, 32:128] = -9999
    return holed


@pytest.mark.parametrize("bands", [scene(), without_data(), scene() * 250], ids=["", "hole", "250"])
@torch.inference_mode()
def test_scaled_down_half_precision_holds_every_number(bands: Tensor) -> None:
    network = read().eval()
    exact = network(bands)
    network.scale_down()
    torch.testing.assert_close(network(bands), exact, rtol=0, atol=1e-5)
    network.half()
    half = network(bands.half())
    assert half.dtype == torch.float32
    assert (half - exact).abs().mean() < 2e-3


@torch.inference_mode()
def test_half_precision_that_overflows_shows() -> None:
    network = read().eval().half()
    assert network(scene().half()).isfinite().all()
    assert network(without_data().half()).isnan().any()
    with pytest.raises(InternalError, match="runs in fp16"):
        check_finite(network(without_data().half()), torch.float16)

"""Windows that meet: the whole scene's answer, without a grid, in bounded memory."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from handlers.runtime.settings import SettingsError
from handlers.smoke import stitch
from handlers.smoke.demo.scenes import draw
from handlers.smoke.model import SmokeNet, load_network
from handlers.smoke.stitch import HALO, WINDOW, predict, spans, window_of
from tests.support import ROOT

DEMO = ROOT / "handlers" / "smoke" / "demo" / "smoke.pth"
TILE = 256


@pytest.fixture(scope="module")
def network() -> SmokeNet:
    return load_network(DEMO)


@pytest.fixture(scope="module")
def wide() -> SmokeNet:
    """The same with every weight positive, so that no ReLU hides how far a pixel sees."""
    positive = SmokeNet().eval().double()
    for module in positive.modules():
        for name, value in module.named_parameters(recurse=False):
            value.data.fill_(0.0 if name == "bias" else 1 / value[0].numel())
    return positive


def bands(height: int, width: int, seed: int = 3) -> Tensor:
    scene, _ = draw(np.random.default_rng(seed), height, width)
    return torch.from_numpy(scene).permute(2, 0, 1)


@pytest.mark.parametrize("length", [256, 257, 300, 1024, 1025, 2048, 4096, 5000])
@pytest.mark.parametrize("window", [336, 512, WINDOW])
def test_spans_cover_every_pixel_once_and_read_at_most_a_window(length: int, window: int) -> None:
    found = [*spans(length, window)]
    assert found[0].start == 0
    assert found[-1].stop == length
    for before, after in pairwise(found):
        assert before.stop == after.start
    for span in found:
        assert span.read_to - span.read_from <= window
        assert span.start % 16 == span.read_from % 16 == 0
        assert span.read_from in (0, span.start - HALO)
        assert span.read_to in (length, span.stop + HALO)


@pytest.mark.slow
@torch.inference_mode()
def test_the_halo_is_as_wide_as_the_network_sees(wide: SmokeNet) -> None:
    empty = torch.zeros(1, 6, 352, 352, dtype=torch.double)
    before = wide.logits(empty)
    for place in (192, 207):
        touched = empty.clone()
        touched[..., place, place] = 1e6
        changed = (wide.logits(touched) != before)[0, 0].nonzero()
        reach = max(place - int(changed.min()), int(changed.max()) - place)
        assert 100 < reach <= HALO - 15


@pytest.mark.slow
@torch.inference_mode()
@pytest.mark.parametrize("size", [(450, 600), (701, 257)])
def test_windows_give_what_the_whole_scene_gives(network: SmokeNet, size: tuple[int, int]) -> None:
    scene = bands(*size)
    whole = predict(network, scene[None], window=4096)[0]
    stitched = predict(network, scene[None], window=496)[0]
    assert stitched.shape == (1, *size)
    assert (stitched - whole).abs().max() < 1e-5


@pytest.mark.slow
@torch.inference_mode()
def test_a_large_scene_has_no_grid_and_equals_single_tiles_in_their_centres(
    network: SmokeNet,
) -> None:
    side, window = 576, 512
    scene = bands(side, side, seed=12)
    (found,) = predict(network, scene[None], window=window)
    for top, left in ((0, 0), (0, 320), (144, 208), (256, 160), (320, 320)):
        tile = scene[:, top : top + TILE, left : left + TILE].float()
        alone = network(tile[None])[0]
        centre = slice(112, 144)
        there = found[:, top : top + TILE, left : left + TILE]
        assert (alone - there)[:, centre, centre].abs().max() < 1e-3
    # Where four windows meet, another window around the corner gives the same: there is no step.
    seams = [span.start for span in spans(side, window)][1:]
    assert len(seams) == 2
    for row, column in zip(seams, reversed(seams), strict=True):
        reach = HALO + 16
        around = slice(row - reach, row + reach), slice(column - reach, column + reach)
        inner = slice(HALO, HALO + 32), slice(HALO, HALO + 32)
        patch = network(scene[:, around[0], around[1]][None].float())[0, 0]
        assert (found[0][around] - patch)[inner].abs().max() < 1e-5


@pytest.mark.slow
@torch.inference_mode()
def test_bytes_stay_bytes_until_a_window_is_read(network: SmokeNet) -> None:
    seen: list[Tensor] = []

    def watched(tile: Tensor) -> Tensor:
        seen.append(tile)
        found: Tensor = network(tile)
        return found

    scene = bands(500, 300)
    predict(watched, scene[None], window=400)
    assert scene.dtype == torch.uint8
    assert len(seen) > 1
    assert all(len(tile) == 1 for tile in seen)  # together they are slower, on a CPU
    assert all(tile.dtype == torch.float32 for tile in seen)
    assert max(tile.shape[2] * tile.shape[3] for tile in seen) <= 400 * 400
    assert all(side % 16 == 0 for tile in seen for side in tile.shape[2:])


@torch.inference_mode()
def test_windows_of_one_shape_go_together_where_that_pays(
    network: SmokeNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def watched(windows: Tensor) -> Tensor:
        sizes.append(len(windows))
        found: Tensor = network(windows)
        return found

    scenes = torch.stack([bands(500, 300), bands(500, 300, seed=4)])
    alone = predict(network, scenes, window=400)
    monkeypatch.setattr(stitch, "at_once", lambda device, pixels: 3)
    together = predict(watched, scenes, window=400)
    assert max(sizes) > 1
    assert max(sizes) <= 3
    assert (together - alone).abs().max() < 1e-5
    assert (alone[1] - predict(network, scenes[1:], window=400)[0]).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window": 100}, "window is 100, expected pixels, >= 336"),
        ({"window": "big"}, "window is 'big'"),
        ({"window": True}, "window is True"),
        ({"overlap": 3}, "has overlap; smoke knows window only"),
    ],
)
def test_wrong_options_are_refused_at_load(options: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        window_of(options)


def test_the_window_has_a_default() -> None:
    assert window_of({}) == WINDOW
    assert window_of({"window": 512}) == 512

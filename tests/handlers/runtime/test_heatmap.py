import numpy as np
import pytest
import torch

from handlers.runtime.blur import blurred
from handlers.runtime.heatmap import overlay, picture_of, pooled

GRAY = np.full((40, 60, 3), 128, np.uint8)


def test_red_speaks_for_and_blue_against() -> None:
    heat = np.zeros((20, 30), np.float32)
    heat[5:15, 2:8], heat[5:15, 22:28] = 2.0, -2.0
    shown = overlay(GRAY, heat)
    assert shown.shape == (213, 320, 3)
    red, nothing, blue = (shown[106, x].astype(int) for x in (53, 160, 266))
    assert red[0] > red[2] + 100
    assert blue[2] > blue[0] + 100
    assert np.ptp(nothing) == 0


def test_nothing_to_show_leaves_the_gray_picture() -> None:
    shown = overlay(GRAY, np.zeros((20, 30), np.float32))
    assert np.ptp(shown, axis=2).max() == 0


def test_the_scale_of_the_numbers_does_not_matter() -> None:
    heat = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    assert np.abs(overlay(GRAY, heat).astype(int) - overlay(GRAY, heat * 1e-6)).max() <= 1


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((32, 32), (320, 320)),
        ((500, 250), (500, 250)),
        ((1, 2000), (1, 1024)),
        ((1, 1), (320, 320)),
    ],
)
def test_the_overlay_is_large_enough_to_see_and_bounded(
    size: tuple[int, int], shown: tuple[int, int]
) -> None:
    picture = np.zeros((*size, 3), np.uint8)
    assert overlay(picture, np.ones(size, np.float32)).shape == (*shown, 3)


def test_pooling_keeps_the_total_and_the_place() -> None:
    heat = np.random.default_rng(0).normal(size=(100, 47)).astype(np.float32)
    cells = pooled(heat, 32)
    assert cells.shape == (32, 32)
    assert cells.sum() == pytest.approx(heat.sum(dtype=np.float64))
    assert cells[0, 0] == pytest.approx(heat[:3, :1].sum(dtype=np.float64))
    assert np.array_equal(pooled(heat[:5, :7], 32), heat[:5, :7])


def test_pictures_of_tensors() -> None:
    item = torch.tensor([-1.0, 0.0, 1.0])[:, None, None].expand(3, 2, 4)
    picture = picture_of(item)
    assert picture.shape == (2, 4, 3)
    assert picture.dtype == np.uint8
    assert picture[0, 0].tolist() == [0, 128, 255]
    assert picture_of(item, low=0, high=2)[0, 0].tolist() == [0, 0, 128]


def test_blurring_is_a_gaussian_that_keeps_what_is_even() -> None:
    assert torch.allclose(blurred(torch.ones(2, 5, 4), 3.0), torch.ones(2, 5, 4))
    point = torch.zeros(1, 41, 41)
    point[0, 20, 20] = 1
    spread = blurred(point, 3.0)[0]
    offsets = torch.arange(41.0) - 20
    assert float(spread.sum()) == pytest.approx(1, abs=1e-5)
    assert float((spread.sum(0) * offsets**2).sum()) == pytest.approx(9, rel=0.05)

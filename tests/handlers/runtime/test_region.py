"""Regions that explanations are asked for."""

from __future__ import annotations

import pytest
import torch

from handlers.runtime.region import cut, region_parameter


def test_the_region_is_what_the_box_touches() -> None:
    planes = torch.arange(2 * 4 * 10).reshape(2, 4, 10)
    assert torch.equal(cut(planes, (0, 0, 1, 1)), planes)
    assert torch.equal(cut(planes, (0.5, 0, 1, 0.5)), planes[:, :2, 5:])
    # Cells that are touched in part count whole.
    assert torch.equal(cut(planes, (0.25, 0.3, 0.31, 0.6)), planes[:, 1:3, 2:4])


@pytest.mark.parametrize("corner", [0.0, 0.37, 0.999999])
def test_no_region_is_without_cells(corner: float) -> None:
    assert cut(torch.ones(4, 10), (corner, corner, corner + 1e-9, corner + 1e-9)).numel() >= 1


def test_the_whole_picture_is_the_default() -> None:
    parameter = region_parameter("darkness")
    assert parameter.default == (0, 0, 1, 1)
    assert parameter.parse("0.1,0,0.5,1") == (0.1, 0, 0.5, 1)
    assert "darkness is explained" in parameter.schema()["description"]

"""Gaussian blur of planes of numbers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def blurred(planes: Tensor, sigma: float) -> Tensor:
    """Blur floating-point (C, H, W) with a Gaussian of ``sigma`` pixels; edges are continued."""
    radius = max(1, round(3 * sigma))
    offsets = torch.arange(-radius, radius + 1, dtype=planes.dtype, device=planes.device)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    across = _convolved(planes, kernel[None, None, None, :], (radius, radius, 0, 0))
    return _convolved(across, kernel[None, None, :, None], (0, 0, radius, radius))


def _convolved(planes: Tensor, kernel: Tensor, padding: tuple[int, int, int, int]) -> Tensor:
    padded = functional.pad(planes[:, None], padding, mode="replicate")  # (C, 1, H', W')
    return functional.conv2d(padded, kernel)[:, 0]

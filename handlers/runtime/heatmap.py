"""Heat maps: signed numbers a pixel, laid over the picture they belong to."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional

from handlers.runtime.arrays import Array
from handlers.runtime.blur import blurred

# Sides of an overlay: small inputs are enlarged until patterns can be seen.
MIN_SIDE = 320
MAX_SIDE = 1024
# This part of the values spans the colours: single extreme pixels would leave the rest pale.
SPAN = 0.995
# Smoothing, for the eye only, as a part of the longer side.
BLUR = 1 / 80

FOR = np.array([230, 30, 20], np.float32)  # red
AGAINST = np.array([20, 70, 230], np.float32)  # blue
STRONGEST = 0.85
# The picture's darkest and brightest gray: neither hides a colour.
SHADES = (60, 240)


def overlay(picture: Array, heat: Array) -> Array:
    """Lay ``heat`` over ``picture``: red where it is positive, blue where negative.

    Args:
        picture: uint8 (H, W, 3); shown in gray.
        heat: (h, w), any range; stretched over the picture.

    Returns:
        uint8 (H', W', 3) in the picture's proportions, the longer side from 320 to 1024.
    """
    width, height = _shown_size(picture.shape[1], picture.shape[0])
    gray = ImageOps.autocontrast(Image.fromarray(picture).convert("L"), cutoff=1)
    large = gray.resize((width, height), Image.Resampling.BICUBIC)
    shade = np.interp(np.asarray(large), (0, 255), SHADES)[..., None]
    strength = _normalised(_smooth(heat), (height, width))[..., None]  # (H', W', 1) in [-1, 1]
    alpha = STRONGEST * np.abs(strength)
    colour = np.where(strength > 0, FOR, AGAINST)
    blended: Array = (shade * (1 - alpha) + colour * alpha).round().astype(np.uint8)
    return blended


def _shown_size(width: int, height: int) -> tuple[int, int]:
    longer = max(width, height)
    scale = min(max(longer, MIN_SIDE), MAX_SIDE) / longer
    return max(1, round(width * scale)), max(1, round(height * scale))


def _smooth(heat: Array) -> Tensor:
    """Blur (h, w) a little; returns (1, 1, h, w)."""
    plane = torch.from_numpy(np.ascontiguousarray(heat, np.float32))
    return blurred(plane[None], sigma=max(heat.shape) * BLUR)[None]


def _normalised(plane: Tensor, size: tuple[int, int]) -> Array:
    """Resize (1, 1, h, w) to ``size``, scaled to [-1, 1]; all zero stays zero."""
    resized: Array = functional.interpolate(plane, size, mode="bilinear")[0, 0].numpy()
    span = float(np.quantile(np.abs(resized), SPAN)) or float(np.abs(resized).max())
    scaled: Array = np.clip(resized / span, -1, 1) if span else resized
    return scaled


def pooled(heat: Array, most: int) -> Array:
    """Sum (h, w) over cells, at most ``most`` a side; the total stays what it was."""
    for axis in (0, 1):
        side = heat.shape[axis]
        count = min(side, most)
        starts = np.arange(count) * side // count
        heat = np.add.reduceat(heat, starts, axis=axis, dtype=np.float64)
    return heat


def picture_of(item: Tensor, low: float = -1.0, high: float = 1.0) -> Array:
    """Turn (3, H, W) with values from ``low`` to ``high`` into uint8 (H, W, 3)."""
    scaled = (item.detach().float().cpu() - low) / (high - low) * 255
    pixels: Array = scaled.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    return pixels

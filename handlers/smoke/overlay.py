"""Smoke drawn over what the eye would see."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.runtime.arrays import Array

# ABI bands 2, 3 and 1 by their place: red, the vegetation band in the place of green, blue.
RED_GREEN_BLUE = (1, 2, 0)
# The original's client shows probabilities that are at least 50 of 255.
THRESHOLD = 50 / 255
OPACITY = 0.85
# From a pale to a deep orange, as the probability goes from the threshold to 1.
PALE, DEEP = (254, 225, 190), (166, 54, 3)


def composite(bands: Array) -> NDArray[np.uint8]:
    """Return (H, W, 6) numbers as a picture (H, W, 3): no stretching, cut off at 0 and 255."""
    chosen = np.stack([bands[..., band] for band in RED_GREEN_BLUE], axis=-1)
    picture: NDArray[np.uint8] = chosen.clip(0, 255).astype(np.uint8)
    return picture


def overlay(
    bands: Array, probabilities: Array, threshold: float = THRESHOLD, opacity: float = OPACITY
) -> NDArray[np.uint8]:
    """Return the composite with smoke in orange, uint8 (H, W, 3).

    Args:
        bands: (H, W, 6).
        probabilities: of smoke, (H, W).
        threshold: below it a pixel stays as it is.
        opacity: of the orange, 0 to 1.
    """
    picture = composite(bands)
    smoke = probabilities >= threshold
    colours = _colours(probabilities[smoke], threshold)
    mixed = picture[smoke] * (1 - opacity) + colours * opacity
    picture[smoke] = np.rint(mixed).astype(np.uint8)
    return picture


def _colours(probabilities: Array, threshold: float) -> NDArray[Any]:
    share = (probabilities - threshold) / max(1 - threshold, 1e-6)
    pale, deep = np.array(PALE, np.float32), np.array(DEEP, np.float32)
    colours: NDArray[Any] = pale + (deep - pale) * share[:, None].clip(0, 1)
    return colours

"""Scenes larger than a tile: windows that overlap, and meet without a seam.

The network is fully convolutional, so a scene has one right answer: what the network gives
on the whole of it. Windows with a halo as wide as the network can see give just that, but for
rounding, in bounded memory. A tile of 256 cut out of the scene has the same answer in its
centre; towards its border it sees zeros where the scene goes on, and differs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from handlers.runtime import tiles
from handlers.runtime.settings import SettingsError
from handlers.smoke.model import STRIDE

# How far an output pixel sees, both ways. Backwards through the network, in pixels of the scene:
# 2 convolutions at full size and at 1/2, 1/4 and 1/8: 2 + 4 + 8 + 16; one step of the transposed
# ones at each: 2 + 4 + 8 + 16; 2 convolutions at 1/16: 32; 3 on each way down: 24 + 12 + 6 + 3.
# That is 137. A window's grid of strides must fall together with the scene's, and a pixel may be
# anywhere in its cell of 16: rounded up with one cell to spare.
HALO = 160
# 1024 x 1024 x 48 channels in float32 are 200 MB, the largest array there is in a window.
WINDOW = 1024


def spans(length: int, window: int) -> Iterator[tiles.Span]:
    """Cut one side into spans that read at most ``window`` pixels each."""
    count = 1 if length <= window else math.ceil(length / (window - 2 * HALO))
    return tiles.spans(length, length, count, HALO, STRIDE)


def predict(
    network: Callable[[Tensor], Tensor],
    scene: Tensor,
    *,
    dtype: torch.dtype = torch.float32,
    window: int = WINDOW,
) -> Tensor:
    """Return the probabilities (1, H, W) of a scene (6, H, W) of any number type.

    Args:
        network: (N, 6, h, w) of ``dtype`` to (N, 1, h, w), for sides that are multiples of 16.
        scene: on the network's device; uint8 is kept as it is, four times smaller than float32.
        dtype: the network's number type.
        window: longest side, halo included, that the network gets at a time.
    """
    height, width = scene.shape[1:]
    probabilities = scene.new_empty((1, height, width), dtype=dtype)
    for rows in spans(height, window):
        for columns in spans(width, window):
            part = scene[:, rows.source, columns.source]
            result = network(whole_cells(part[None].to(dtype)))[0]
            probabilities[:, rows.target, columns.target] = result[:, rows.core, columns.core]
    return probabilities


def window_of(options: Mapping[str, Any]) -> int:
    """Read ``window`` from the handler's options.

    Raises:
        SettingsError: an unknown option, or a side that no window can have.
    """
    unknown = sorted(set(options) - {"window"})
    if unknown:
        raise SettingsError(f"marquee.options has {', '.join(unknown)}; smoke knows window only")
    window, least = options.get("window", WINDOW), 2 * HALO + STRIDE
    if type(window) is not int or window < least:
        raise SettingsError(f"marquee.options.window is {window!r}, expected pixels, >= {least}")
    return window


def whole_cells(part: Tensor) -> Tensor:
    """Mirror the last rows and columns until the sides are multiples of 16."""
    bottom, right = (-side % STRIDE for side in part.shape[2:])
    padded = functional.pad(part, (0, right, 0, bottom), "reflect") if bottom or right else part
    return padded.contiguous(memory_format=torch.channels_last)

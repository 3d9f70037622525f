"""Scenes larger than a tile: windows that overlap, and meet without a seam.

The network is fully convolutional, so a scene has one right answer: what the network gives
on the whole of it. Windows with a halo as wide as the network can see give just that, but for
rounding, in bounded memory. A tile of 256 cut out of the scene has the same answer in its
centre; towards its border it sees zeros where the scene goes on, and differs.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from handlers.runtime import tiles
from handlers.runtime.parts import at_once, in_parts
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

# A scene's number, and a window's rows and columns.
Place: TypeAlias = tuple[int, tiles.Span, tiles.Span]


def spans(length: int, window: int) -> Iterator[tiles.Span]:
    """Cut one side into spans that read at most ``window`` pixels each."""
    count = 1 if length <= window else math.ceil(length / (window - 2 * HALO))
    return tiles.spans(length, length, count, HALO, STRIDE)


def predict(network: Callable[[Tensor], Tensor], scenes: Tensor, window: int = WINDOW) -> Tensor:
    """Return the probabilities (N, 1, H, W) of scenes (N, 6, H, W), float32.

    Windows of one shape go through the network together on a GPU, one by one on a CPU.

    Args:
        network: (n, 6, h, w) of any float type to (n, 1, h, w), for sides that are multiples of
            16.
        scenes: on the network's device, of any number type; uint8 is kept as it is until it is
            read, four times smaller than float32.
        window: longest side, halo included, that the network gets at a time.
    """
    count, _, height, width = scenes.shape
    probabilities = scenes.new_empty((count, 1, height, width), dtype=torch.float32)

    def fill(places: Sequence[Place]) -> None:
        parts = [scenes[n, :, rows.source, columns.source] for n, rows, columns in places]
        stacked = torch.stack(parts)
        numbers = stacked if stacked.is_floating_point() else stacked.float()
        results = network(whole_cells(numbers))
        for (n, rows, columns), result in zip(places, results, strict=True):
            probabilities[n, :, rows.target, columns.target] = result[:, rows.core, columns.core]

    for (high, wide), places in _places(scenes.shape, window).items():
        in_parts(fill, places, at_once(scenes.device, high * wide))
    return probabilities


def _places(shape: torch.Size, window: int) -> dict[tuple[int, int], list[Place]]:
    """Return what is read of each scene, by the windows' heights and widths."""
    count, _, height, width = shape
    groups: dict[tuple[int, int], list[Place]] = defaultdict(list)
    for rows, columns in product(spans(height, window), spans(width, window)):
        size = rows.read_to - rows.read_from, columns.read_to - columns.read_from
        groups[size] += [(n, rows, columns) for n in range(count)]
    return groups


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

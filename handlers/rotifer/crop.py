"""The original's auto_crop: cut a picture to its largest coloured region, such as a well."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from handlers.rotifer.pictures import Pixels
from handlers.rotifer.regions import Indices, Labels, label_regions

Box = tuple[int, int, int, int]

LEAST_SATURATION = 100
# Fixed-point factors of 8-bit saturation: round(255 * 4096 / value), ties to even.
FACTORS = np.array([0, *np.rint(255 * 4096 / np.arange(1, 256))], np.int32)


def crop_box(pixels: Pixels) -> Box | None:
    """Return (x, y, width, height) of the coloured region with the largest outline, if any.

    A region is made of pixels with saturation of at least 100 that touch, at corners too. Its
    area is that of the polygon through the centres of its outermost pixels, holes included.
    """
    labels, count = label_regions(saturation(pixels) >= LEAST_SATURATION, diagonal=True)
    if count == 0:
        return None
    rows, columns = np.nonzero(labels == 1 + np.argmax(_areas(labels, count)))
    left, top = int(columns.min()), int(rows.min())
    return left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1


def saturation(pixels: Pixels) -> NDArray[np.int32]:
    """Return the saturation of RGB pixels in 8 bits, (max - min) / max."""
    largest, smallest = pixels.max(axis=2), pixels.min(axis=2)
    spread = (largest - smallest).astype(np.int32)
    result: NDArray[np.int32] = (spread * FACTORS[largest] + 2048) >> 12
    return result


def _areas(labels: Labels, count: int) -> NDArray[np.float64]:
    """Return the outline's area of each region: whole 2 x 2 blocks, and half of those with three.

    With n pixels inside (holes filled) and b_k blocks that have k of them,
    4 n = 4 b_4 + 3 b_3 + 2 b_2 + b_1; of these only b_4 is not seen along the outline.
    """
    inside = np.pad(labels, 1)
    # Around a region lies that part of the background that its first pixel has on the left.
    outside, _ = label_regions(inside == 0, diagonal=False)
    first = np.unique(inside, return_index=True)[1][1:]
    around = np.concatenate([[0], outside.ravel()[first - 1]])
    blocks = _blocks_along_outlines(inside, outside, around, count)
    pixels = _pixels_inside(inside, outside, around, count)
    full = pixels - (3 * blocks[3] + 2 * blocks[2] + blocks[1]) / 4
    areas: NDArray[np.float64] = full + blocks[3] / 2
    return areas


def _blocks_along_outlines(
    inside: Labels, outside: Labels, around: Indices, count: int
) -> list[Indices]:
    """Return for k = 0 ... 3 how many 2 x 2 blocks of each region have k pixels inside."""
    corners = [
        (slice(None, -1), slice(None, -1)),
        (slice(None, -1), slice(1, None)),
        (slice(1, None), slice(None, -1)),
        (slice(1, None), slice(1, None)),
    ]
    # A block has pixels of one region at most: two would touch.
    region = np.maximum.reduce([inside[corner] for corner in corners])
    surrounding = around[region]
    left_out = np.zeros(region.shape, np.int8)
    for corner in corners:
        left_out += outside[corner] == surrounding
    return [
        np.bincount(region[(region > 0) & (left_out == 4 - k)], minlength=count + 1)[1:]
        for k in range(4)
    ]


def _pixels_inside(
    inside: Labels, outside: Labels, around: Indices, count: int
) -> NDArray[np.float64]:
    """Return each region's pixels, filled holes included: right ends minus left ends of rows."""
    total = np.zeros(count + 1)
    left, right = inside[:, :-1], inside[:, 1:]
    for region, other, sign in ((left, outside[:, 1:], 1), (right, outside[:, :-1], -1)):
        edge = (region > 0) & (other == around[region])
        column = np.nonzero(edge)[1]
        total += sign * np.bincount(region[edge], weights=column, minlength=count + 1)
    return total[1:]

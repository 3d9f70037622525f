"""Connected regions of a mask, by runs of cells along the rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Labels = NDArray[np.int32]
Indices = NDArray[np.int64]

# Runs of cells along the rows; bounds time and memory for pictures of pure noise.
MAX_RUNS = 3_000_000


class TooFragmented(ValueError):
    """The mask falls into more pieces than can be joined in reasonable time."""


def label_regions(mask: Mask, *, diagonal: bool) -> tuple[Labels, int]:
    """Number the connected regions of ``mask`` (H, W) from 1, in raster order of their first cell.

    Args:
        mask: the cells that belong to regions.
        diagonal: whether cells that touch at a corner are connected.

    Raises:
        TooFragmented: the mask has more than ``MAX_RUNS`` runs along its rows.

    Returns:
        (H, W) int32, 0 outside of regions, and the number of regions.
    """
    height, width = mask.shape
    # Two empty columns keep rows apart, diagonal neighbours of a row's end included.
    flat = np.zeros((height, width + 2), bool)
    flat[:, :width] = mask
    starts, ends = _runs(flat.ravel())
    if len(starts) > MAX_RUNS:
        raise TooFragmented(f"the coloured pixels fall into more than {MAX_RUNS} pieces")
    left, right = _touching(starts, ends, width + 2, reach=int(diagonal))
    roots = _roots(len(starts), left, right)
    firsts, numbers = np.unique(roots, return_inverse=True)
    labels = np.zeros(mask.shape, np.int32)
    labels[mask] = np.repeat(numbers.astype(np.int32) + 1, ends - starts + 1)
    return labels, len(firsts)


def _runs(flat: Mask) -> tuple[Indices, Indices]:
    """Return where runs of true cells start and end, both inclusive."""
    steps = np.diff(flat.view(np.int8), prepend=np.int8(0))
    starts = np.flatnonzero(steps == 1)
    ends = np.flatnonzero(steps == -1) - 1
    return starts.astype(np.int64), ends.astype(np.int64)


def _touching(starts: Indices, ends: Indices, stride: int, reach: int) -> tuple[Indices, Indices]:
    """Return pairs of runs in successive rows that touch."""
    first = np.searchsorted(ends, starts + stride - reach, "left")
    stop = np.searchsorted(starts, ends + stride + reach, "right")
    counts = np.maximum(stop - first, 0)
    upper = np.repeat(np.arange(len(starts)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return upper, np.repeat(first, counts) + within


def _roots(count: int, left: Indices, right: Indices) -> Indices:
    """Return for each node the smallest node it is connected with."""
    roots = np.arange(count)
    while True:
        low = np.minimum(roots[left], roots[right])
        high = np.maximum(roots[left], roots[right])
        apart = low != high
        if not apart.any():
            return roots
        left, right = left[apart], right[apart]  # joined ends stay joined
        np.minimum.at(roots, high[apart], low[apart])
        while not np.array_equal(roots, above := roots[roots]):
            roots = above

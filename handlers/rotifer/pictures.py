"""Pictures in and out: darknet's way to resize, and the boxes drawn on the answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from handlers.rotifer.detections import Detection, Floats

Pixels = NDArray[np.uint8]

# Shifts (x, y) of the five outlines that make a line three pixels wide.
OUTLINES = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))
OPACITY = 0.8
# Pixels of all outlines together: seconds of work, however large the boxes are.
MAX_OUTLINES = 1 << 28
GREEN_CLASSES = (0, 1)


def resize(pixels: Pixels, size: tuple[int, int]) -> Floats:
    """Scale a picture to the network's input, corners on corners, without regard to aspect.

    Bilinear in float32, columns first, without anti-aliasing. The last column is the last input
    column; the last row takes only its upper neighbour's share, as in the original: where
    rounding puts that neighbour one row higher, the last row comes out black.

    Takes memory for 2 * height rows of 3 * (W + 8 * width) bytes at the most, whatever H is.

    Args:
        pixels: (H, W, 3) RGB.
        size: width and height wanted.

    Returns:
        (3, height, width) in [0, 1].
    """
    width, height = size
    if pixels.shape[:2] == (height, width):
        return _planes(_unit(pixels))
    columns, right = _positions(pixels.shape[1], width)
    rows, below = _positions(pixels.shape[0], height)
    last = pixels.shape[0] - 1
    # At most two for each row of the result, however high the picture is.
    used, positions = np.unique([rows, np.minimum(rows + 1, last)], return_inverse=True)
    upper, lower = positions.reshape(2, -1)
    wide = _widened(pixels[used], columns, right[:, None])
    below = below[:, None, None]
    result = (1 - below) * wide[upper]
    if last > 0:
        result[:-1] += below[:-1] * wide[lower[:-1]]
    return _planes(result)


def _widened(pixels: Pixels, columns: NDArray[np.intp], right: Floats) -> Floats:
    """Return (H, width, 3) in [0, 1], each column from its two neighbours."""
    following = np.minimum(columns + 1, pixels.shape[1] - 1)
    wide: Floats = (1 - right) * _unit(pixels[:, columns]) + right * _unit(pixels[:, following])
    wide[:, -1] = _unit(pixels[:, -1])
    return wide


def _planes(values: Floats) -> Floats:
    return np.ascontiguousarray(values.transpose(2, 0, 1))


def _unit(values: Pixels) -> Floats:
    result: Floats = values.astype(np.float32) / np.float32(255)
    return result


def _positions(length: int, wanted: int) -> tuple[NDArray[np.intp], Floats]:
    """Return for each output cell the input cell before it and the distance from there."""
    step = np.float32(length - 1) / np.float32(max(1, wanted - 1))
    positions = np.arange(wanted, dtype=np.float32) * step
    cells = positions.astype(np.intp)
    return cells, positions - cells.astype(np.float32)


class TooMuchToDraw(ValueError):
    """Outlines that would take longer to draw than to find."""


def check_outlines(shape: Sequence[int], detections: Iterable[Detection]) -> None:
    """Refuse boxes whose outlines have more than ``MAX_OUTLINES`` pixels together.

    Args:
        shape: (H, W, ...) of the picture, beyond which nothing is drawn.
        detections: as :func:`draw` gets them.

    Raises:
        TooMuchToDraw: says how many pixels there are.
    """
    height, width = shape[:2]
    sides = (min(box[2], width) + min(box[3], height) for box in (d.box for d in detections))
    count = int(2 * len(OUTLINES) * sum(sides))
    if count > MAX_OUTLINES:
        raise TooMuchToDraw(
            f"the outlines of all boxes have {count} pixels, at most {MAX_OUTLINES} are drawn"
        )


def draw(pixels: Pixels, detections: Iterable[Detection]) -> Pixels:
    """Return a copy with the outline of each box, in order, so that later ones lie on top.

    Green for the first two classes, red for the others, brighter the more probable; no text.
    """
    drawn: Pixels = pixels.copy()
    for detection in detections:
        level = int(255 * max(0.5, detection.probability))
        is_green = detection.class_id in GREEN_CLASSES
        colour = np.array([0, level, 0] if is_green else [level, 0, 0], np.float64)
        centre_x, centre_y, width, height = detection.box
        left, top = int(centre_x - width / 2), int(centre_y - height / 2)
        for across, down in OUTLINES:
            for part in _outline(left + across, top + down, int(width), int(height)):
                # The double 1 - 0.8 lies below 0.2, which truncation makes visible.
                blend = drawn[part] * (1 - OPACITY) + colour * OPACITY
                drawn[part] = blend.astype(np.uint8)
    return drawn


def _outline(left: int, top: int, width: int, height: int) -> Iterator[tuple[slice, slice]]:
    """Yield the four sides of a rectangle, each pixel once, without what lies outside."""
    right, bottom = left + width, top + height
    inner = _span(top + 1, bottom)
    for row in dict.fromkeys((top, bottom)):
        yield _span(row, row + 1), _span(left, right + 1)
    for column in dict.fromkeys((left, right)):
        yield inner, _span(column, column + 1)


def _span(first: int, stop: int) -> slice:
    """Return a slice without the part below zero; what lies beyond the end slices to nothing."""
    return slice(max(0, first), max(0, stop))

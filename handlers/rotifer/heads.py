"""Detection heads: what ``[yolo]`` (v3, v4) and ``[region]`` (v2) make of the last channels.

For each anchor the channels are x, y, w, h, objectness, then one a class.
Sources: J. Redmon, A. Farhadi, "YOLO9000", arXiv:1612.08242, and "YOLOv3", arXiv:1804.02767;
A. Bochkovskiy et al., "Scaled-YOLOv4", arXiv:2011.08036, for ``new_coords``.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from handlers.rotifer.detections import Candidates, Floats

OBJECTNESS, FIRST_CLASS = 4, 5

Positions = NDArray[np.intp]


@dataclass(frozen=True)
class Grid:
    """What a head needs to place its boxes.

    Attributes:
        anchors: (width, height) of each, in pixels of the network's input for ``[yolo]``, in
            cells for ``[region]``.
        classes: how many.
        width, height: what anchors are divided by: the input's size, or the number of cells.
    """

    anchors: tuple[tuple[float, float], ...]
    classes: int
    width: int
    height: int

    @property
    def channels(self) -> int:
        """Channels that the head reads."""
        return len(self.anchors) * (FIRST_CLASS + self.classes)


class Head(nn.Module):
    """Activates the raw channels, always in float32, and reads boxes from the result."""

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, anchors * (5 + classes), H, W) to the same shape."""
        parts = torch.unflatten(x.float(), 1, (len(self.grid.anchors), -1))
        return self.activate(parts).flatten(1, 2)

    @abstractmethod
    def activate(self, parts: Tensor) -> Tensor:
        """Map (N, anchors, 5 + classes, H, W) to the same shape."""

    @abstractmethod
    def sides(self, raw: Floats) -> NDArray[np.float64]:
        """Return the factors by which anchors are scaled, from channels w and h: (K, 2)."""

    def candidates(self, output: Floats, size: tuple[int, int], threshold: float) -> Candidates:
        """Read the boxes whose objectness is above ``threshold``.

        Args:
            output: what ``forward`` gave for one picture, (anchors * (5 + classes), H, W).
            size: the picture's width and height in pixels.
            threshold: for objectness, and for objectness times class.
        """
        least = np.float32(threshold)
        positions = self.positions(output, threshold)
        boxes = self.boxes(output, positions, size)
        parts = self._parts(output, positions)
        objectness = parts[:, OBJECTNESS]
        probabilities = objectness[:, None] * parts[:, FIRST_CLASS:]
        probabilities[~(probabilities > least)] = 0
        usable = np.isfinite(boxes).all(axis=1)  # e^w of a badly trained network overflows
        return Candidates(boxes[usable], objectness[usable], probabilities[usable])

    def positions(self, output: Floats, threshold: float) -> Positions:
        """Return where the objectness is above ``threshold``: (K, 3) anchor, row, column.

        In darknet's order, cell by cell and anchor by anchor.
        """
        parts = output.reshape(len(self.grid.anchors), -1, *output.shape[1:])
        above = parts[:, OBJECTNESS].transpose(1, 2, 0) > np.float32(threshold)
        rows, columns, anchors = np.nonzero(above)
        return np.stack([anchors, rows, columns], axis=1)

    def channel(self, anchor: int) -> int:
        """Return the channel of the output that holds the objectness of ``anchor``."""
        return anchor * (FIRST_CLASS + self.grid.classes) + OBJECTNESS

    def boxes(self, output: Floats, positions: Positions, size: tuple[int, int]) -> Floats:
        """Return the boxes at ``positions`` (K, 3) in pixels of a picture of ``size``: (K, 4)."""
        parts = self._parts(output, positions)
        boxes = self._boxes(parts, positions[:, :0:-1], positions[:, 0], output.shape[1:])
        boxes *= np.asarray([*size, *size], np.float32)
        return boxes

    def _parts(self, output: Floats, positions: Positions) -> Floats:
        """Return all channels of the anchor and cell at ``positions``: (K, 5 + classes)."""
        parts = output.reshape(len(self.grid.anchors), -1, *output.shape[1:])
        anchors, rows, columns = positions.T
        chosen: Floats = parts[anchors, :, rows, columns]
        return chosen

    def _boxes(
        self,
        parts: Floats,
        cells: NDArray[np.intp],
        anchors: NDArray[np.intp],
        extent: tuple[int, ...],
    ) -> Floats:
        """Return (K, 4) centre and size as shares of the picture; ``extent`` is (H, W)."""
        height, width = extent
        centres = (cells.astype(np.float32) + parts[:, :2]) / np.asarray(
            [width, height], np.float32
        )
        pixels = np.asarray(self.grid.anchors, np.float32).astype(np.float64)[anchors]
        sides = self.sides(parts[:, 2:4]) * pixels / (self.grid.width, self.grid.height)
        with np.errstate(over="ignore"):
            return np.concatenate([centres, sides.astype(np.float32)], axis=1)


class Yolo(Head):
    """The head of YOLOv3 and later.

    Args:
        scale_x_y: x and y become v * scale - (scale - 1) / 2.
        new_coords: the channels are activated already, and w, h count as (2 v)^2.
    """

    def __init__(self, grid: Grid, scale_x_y: float, *, new_coords: bool) -> None:
        super().__init__(grid)
        self.scale_x_y, self.new_coords = scale_x_y, new_coords

    def activate(self, parts: Tensor) -> Tensor:
        """Sigmoid of everything but w and h, then the scale of x and y."""
        centre, side, rest = torch.split(parts, [2, 2, parts.shape[2] - 4], dim=2)
        if not self.new_coords:
            centre, rest = centre.sigmoid(), rest.sigmoid()
        centre = centre * self.scale_x_y - 0.5 * (self.scale_x_y - 1)
        return torch.cat([centre, side, rest], dim=2)

    def sides(self, raw: Floats) -> NDArray[np.float64]:
        """e^v, in double precision as the original; or (2 v)^2."""
        return _square(raw) if self.new_coords else _exponential(raw)


class Region(Head):
    """The head of YOLOv2.

    Args:
        softmax: over the classes of each anchor; otherwise they stay as they are.
    """

    def __init__(self, grid: Grid, *, softmax: bool) -> None:
        super().__init__(grid)
        self.softmax = softmax

    def activate(self, parts: Tensor) -> Tensor:
        """Sigmoid of x, y and objectness, softmax over the classes."""
        centre, side, objectness, classes = torch.split(parts, [2, 2, 1, self.grid.classes], dim=2)
        classes = classes.softmax(dim=2) if self.softmax else classes
        return torch.cat([centre.sigmoid(), side, objectness.sigmoid(), classes], dim=2)

    def sides(self, raw: Floats) -> NDArray[np.float64]:
        """e^v."""
        return _exponential(raw)

    def candidates(self, output: Floats, size: tuple[int, int], threshold: float) -> Candidates:
        """The boxes with a class above ``threshold``; each counts with objectness 1."""
        candidates = super().candidates(output, size, threshold)
        kept = candidates.probabilities.any(axis=1)
        ones = np.ones(int(kept.sum()), np.float32)
        return Candidates(candidates.boxes[kept], ones, candidates.probabilities[kept])


def _exponential(raw: Floats) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):
        result: NDArray[np.float64] = np.exp(raw.astype(np.float64))
    return result


def _square(raw: Floats) -> NDArray[np.float64]:
    result: NDArray[np.float64] = 4 * np.square(raw.astype(np.float64))
    return result

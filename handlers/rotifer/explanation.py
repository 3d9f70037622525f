"""What is explained of a detection: the objectness at its own anchor and cell of its own head.

Which detections there are is decided by thresholds and suppression, which have no gradient. So
the position is found once, and then stays what it is while the input changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
from torch import Tensor

from handlers.rotifer.detections import Detection, Floats
from handlers.rotifer.heads import Head
from handlers.runtime.errors import Unprocessable


@dataclass(frozen=True)
class Position:
    """Where a detection's objectness stands in what the network gives."""

    head: int
    channel: int
    row: int
    column: int

    def objectness(self, outputs: Sequence[Tensor]) -> Tensor:
        """Return (N,) from what each head gives, (N, channels, H, W)."""
        return outputs[self.head][:, self.channel, self.row, self.column]


def chosen(detections: list[Detection], index: int) -> Detection:
    """Return the detection with ``index``.

    Raises:
        Unprocessable: there is none; says how many there are.
    """
    if not detections:
        raise Unprocessable(
            "nothing was detected in this picture, so there is no objectness to explain; "
            "send another picture or a lower thresh"
        )
    if index >= len(detections):
        raise Unprocessable(
            f"parameter 'target' is {index}, but there are {len(detections)} detections; "
            f"expected 0 to {len(detections) - 1}, the most probable first"
        )
    return detections[index]


def locate(
    detection: Detection,
    heads: Sequence[Head],
    outputs: Sequence[Floats],
    size: tuple[int, int],
    threshold: float,
) -> Position:
    """Find the position whose box ``detection`` has; of several, the one with most objectness.

    Args:
        detection: made from the rest, so that numbers are equal to the last bit.
        heads: of the network.
        outputs: what they gave for one picture, each (anchors * (5 + classes), H, W).
        size: the picture's width and height in pixels.
        threshold: the objectness above which boxes were read.
    """
    box = np.asarray(detection.box, np.float32)
    matches: list[tuple[float, Position]] = []
    for number, (head, output) in enumerate(zip(heads, outputs, strict=True)):
        positions = head.positions(output, threshold)
        same = (head.boxes(output, positions, size) == box).all(axis=1)
        for anchor, row, column in positions[same].tolist():
            position = Position(number, head.channel(anchor), row, column)
            matches.append((float(output[position.channel, row, column]), position))
    return max(matches, key=itemgetter(0))[1]

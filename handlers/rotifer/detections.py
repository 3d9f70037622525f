"""From candidate boxes to detections: darknet's non-maximum suppression and its order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.intp]

# Pairs of box and class that are compared with each other; bounds the time of a request.
MAX_PAIRS = 20_000


class TooManyCandidates(ValueError):
    """More boxes pass the threshold than can be compared in reasonable time."""


@dataclass(frozen=True)
class Candidates:
    """Boxes that pass the threshold, in the order darknet lists them.

    Attributes:
        boxes: (N, 4) float32, centre x, centre y, width and height in pixels of the picture.
        objectness: (N,) float32.
        probabilities: (N, classes) float32, objectness * class, 0 where not above the threshold.
    """

    boxes: Floats
    objectness: Floats
    probabilities: Floats

    @staticmethod
    def joined(parts: list[Candidates]) -> Candidates:
        """Return the candidates of several heads, one head after another."""
        return Candidates(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.objectness for part in parts]),
            np.concatenate([part.probabilities for part in parts]),
        )


@dataclass(frozen=True)
class Detection:
    """One found object; a box of two classes gives two.

    Attributes:
        class_id: counted from 0.
        probability: above the threshold, up to 1.
        box: centre x, centre y, width, height in pixels; may reach beyond the picture.
    """

    class_id: int
    probability: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Suppression:
    """Which neighbours of a stronger box of the same class are dropped.

    Attributes:
        threshold: boxes with a larger overlap are dropped.
        distance_power: 0 to measure overlap by IoU; otherwise IoU less
            (distance of centres / diagonal of the common hull)^(2 * power), as ``diounms``.
    """

    threshold: float
    distance_power: float = 0.0

    def drops(self, box: Floats, others: Floats) -> NDArray[np.bool_]:
        """Tell which of ``others`` (N, 4) lie too close to ``box`` (4,)."""
        overlap = iou(box, others)
        if self.distance_power:
            overlap -= _distance(box, others) ** np.float32(self.distance_power)
        close: NDArray[np.bool_] = overlap > np.float32(self.threshold)
        return close


def suppress(candidates: Candidates, rule: Suppression) -> list[Detection]:
    """Drop weaker neighbours class by class; return what is left, the most probable first.

    The list is sorted anew for each class starting from the order the class before it left,
    and the result is read off in the last order: that decides between equal probabilities.

    Raises:
        TooManyCandidates: says how many there are.
    """
    boxes, left = candidates.boxes, candidates.probabilities.copy()
    if (pairs := np.count_nonzero(left)) > MAX_PAIRS:
        raise TooManyCandidates(f"{pairs} boxes pass the threshold, at most {MAX_PAIRS} are taken")
    order = np.arange(len(boxes))
    for probabilities in left.T:
        order = order[np.argsort(-probabilities[order], kind="stable")]
        alive = order[probabilities[order] > 0]
        probabilities[_dropped(boxes, alive, rule)] = 0
    return _sorted(boxes, left, order)


def _dropped(boxes: Floats, alive: Indices, rule: Suppression) -> Indices:
    """Return which of ``alive``, the strongest first, have a stronger neighbour that stays."""
    dropped = []
    while len(alive):
        first, rest = alive[0], alive[1:]
        close = rule.drops(boxes[first], boxes[rest])
        dropped.append(rest[close])
        alive = rest[~close]
    return np.concatenate(dropped) if dropped else alive


def _sorted(boxes: Floats, probabilities: Floats, order: Indices) -> list[Detection]:
    ranks, classes = np.nonzero(probabilities[order] > 0)
    scores = probabilities[order][ranks, classes]
    best_first = np.argsort(-scores, kind="stable")
    return [
        Detection(int(classes[i]), float(scores[i]), _box(boxes[order[ranks[i]]]))
        for i in best_first
    ]


def _box(row: Floats) -> tuple[float, float, float, float]:
    x, y, width, height = row.tolist()
    return x, y, width, height


def iou(box: Floats, others: Floats) -> Floats:
    """Return intersection over union of ``box`` (4,) with each of ``others`` (N, 4), in float32."""
    low = np.maximum(box[:2] - box[2:] / 2, others[:, :2] - others[:, 2:] / 2)
    high = np.minimum(box[:2] + box[2:] / 2, others[:, :2] + others[:, 2:] / 2)
    sides = np.maximum(high - low, np.float32(0))
    common = sides[:, 0] * sides[:, 1]
    union = box[2] * box[3] + others[:, 2] * others[:, 3] - common
    result: Floats = np.divide(common, union, out=np.zeros_like(common), where=union != 0)
    return result


def _distance(box: Floats, others: Floats) -> Floats:
    """Return (distance of centres)^2 / (diagonal of the common hull)^2; 0 for points."""
    low = np.minimum(box[:2] - box[2:] / 2, others[:, :2] - others[:, 2:] / 2)
    high = np.maximum(box[:2] + box[2:] / 2, others[:, :2] + others[:, 2:] / 2)
    hull = np.square(high - low).sum(axis=1)
    apart = np.square(box[:2] - others[:, :2]).sum(axis=1)
    result: Floats = np.divide(apart, hull, out=np.zeros_like(apart), where=hull != 0)
    return result

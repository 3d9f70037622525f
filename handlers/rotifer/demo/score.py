"""Average precision at IoU 0.5, by the area under the precision-recall curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from handlers.rotifer.demo.scenes import Scene
from handlers.rotifer.detections import Detection, iou, suppress
from handlers.rotifer.model import Darknet
from handlers.rotifer.pictures import resize

# Low: the curve needs the improbable detections as well.
THRESHOLD, NMS = 0.01, 0.45
MATCH = 0.5


@torch.inference_mode()
def detect(network: Darknet, scene: Scene, threshold: float = THRESHOLD) -> list[Detection]:
    """Return what the network finds in a scene, boxes in its pixels."""
    height, width = scene.pixels.shape[:2]
    picture = torch.from_numpy(resize(scene.pixels, network.size))[None]
    outputs = tuple(output[0].numpy() for output in network(picture))
    candidates = network.candidates(outputs, (width, height), threshold)
    return suppress(candidates, network.suppression(NMS))


def average_precisions(network: Darknet, scenes: Sequence[Scene]) -> list[float]:
    """Return the average precision of each class over ``scenes``."""
    found = [detect(network, scene) for scene in scenes]
    return [_of_class(kind, scenes, found) for kind in range(network.classes)]


def _of_class(kind: int, scenes: Sequence[Scene], found: list[list[Detection]]) -> float:
    total = sum(int((scene.classes == kind).sum()) for scene in scenes)
    hits: list[tuple[float, bool]] = []
    for scene, detections in zip(scenes, found, strict=True):
        boxes = scene.boxes[scene.classes == kind] * np.float32(scene.pixels.shape[0])
        hits += _matched(boxes, [d for d in detections if d.class_id == kind])
    hits.sort(key=lambda hit: -hit[0])
    right = np.cumsum([hit for _, hit in hits], dtype=np.float64)
    precision = right / np.arange(1, len(right) + 1)
    # At each recall the best precision at that recall or beyond.
    best = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.diff(right, prepend=0) / max(1, total)
    return float((best * steps).sum())


def _matched(boxes: NDArray[np.float32], detections: list[Detection]) -> list[tuple[float, bool]]:
    """Give each detection, the most probable first, the true box it meets; each box once."""
    free = np.ones(len(boxes), bool)
    hits = []
    for detection in detections:
        overlap = np.where(free, iou(np.array(detection.box, np.float32), boxes), 0)
        best = int(overlap.argmax()) if len(boxes) else -1
        hit = best >= 0 and overlap[best] >= MATCH
        if hit:
            free[best] = False
        hits.append((detection.probability, bool(hit)))
    return hits

"""Find faces and their landmarks with MediaPipe's two networks.

The packages they are from allow commercial use (mediapipe/README.md), and PyTorch runs them:
nothing has to be installed. The first finds faces, the second lays a mesh of 468 points over one,
of which the 68 of iBUG 300-W are taken.
Sources: V. Bazarevsky et al., arXiv:1907.05047 (BlazeFace); Y. Kartynnik et al.,
arXiv:1907.06724 (the mesh); MediaPipe's model cards (sizes, ranges).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from handlers.timetravel.align import Floats
from handlers.timetravel.missing import check_face
from handlers.timetravel.tflite import Network

DETECTOR = "face_detection_full_range.tflite"
LANDMARKS = "face_landmark.tflite"
# Where the second network's points are, in the order of iBUG 300-W: jaw, brows, nose, eyes, lips.
# fmt: off
POINTS = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301, 168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)
# fmt: on
CERTAIN = 0.6
OVERLAP = 0.3
# How much of a face's surroundings the second network sees, and how often it looks again.
AROUND = 1.5
LOOKS = 2
# Parts of the picture are looked at one by one where nothing is seen in the whole, down to these.
HALVINGS = 3


@dataclass(frozen=True)
class Face:
    """A face that was seen, in pixels: a box (left, top, right, bottom), and both eyes (2, 2)."""

    score: float
    box: Floats
    eyes: Floats

    @property
    def square(self) -> Square:
        """The tilted square that the second network wants."""
        centre = (self.box[:2] + self.box[2:]) / 2
        return Square(centre, float(np.max(self.box[2:] - self.box[:2])) * AROUND, _tilt(self.eyes))


@dataclass(frozen=True)
class Square:
    """A tilted square: its centre x, y and side in pixels, its angle in radians, clockwise."""

    centre: Floats
    side: float
    angle: float

    def place(self, points: Floats) -> Floats:
        """Return where points (N, 2), 0 to 1 inside the square, are in the picture."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        turned = (points - 0.5) @ np.array([[cos, sin], [-sin, cos]])
        placed: Floats = self.centre + turned * self.side
        return placed

    def cut(self, image: Image.Image, side: int) -> Floats:
        """Return the square's pixels (side, side, 3), 0 to 1; black beyond the picture."""
        corners = self.place(np.array([[0, 0], [0, 1], [1, 1], [1, 0]], np.float64))
        factor = max(1, int(self.side / side))
        low = np.clip(np.floor(corners.min(axis=0)) - factor, 0, image.size).astype(int)
        high = np.clip(np.ceil(corners.max(axis=0)) + factor, 0, image.size).astype(int)
        if min(high - low) < 1:
            return np.zeros((side, side, 3), np.float32)
        small = image.reduce(factor, (int(low[0]), int(low[1]), int(high[0]), int(high[1])))
        quad = tuple(((corners - low) / factor).flatten().tolist())
        cut = small.transform((side, side), Image.Transform.QUAD, quad, Image.Resampling.BILINEAR)
        return np.asarray(cut, np.float32) / 255


class MeshFinder:
    """Finds faces with MediaPipe's full-range detector and its mesh."""

    def __init__(self, folder: Path) -> None:
        """Read both networks from ``folder``.

        Raises:
            WeightsError: a file is damaged.
        """
        self._detector = Network(folder / DETECTOR)
        self._mesh = Network(folder / LANDMARKS)

    def landmarks(self, image: Image.Image, index: int) -> Floats:
        """Return the landmarks (68, 2), x and y in pixels, of one face in an RGB picture.

        Args:
            image: RGB.
            index: 0 for the most certain face, 1 for the next.

        Raises:
            Unprocessable: there is no such face.
        """
        faces = self.faces(image)
        check_face(image, index, len(faces))
        square = faces[index].square
        for _ in range(LOOKS):
            points = square.place(self._points(square.cut(image, self._mesh.side)))
            square = _around(points)
        return points[list(POINTS)] - 0.5  # from a pixel's corner to its middle

    def _points(self, pixels: Floats) -> Floats:
        """Return the mesh (468, 2) in a square of pixels, 0 to 1."""
        raw = self._mesh(torch.from_numpy(pixels)[None])[0]
        points: Floats = raw.reshape(-1, 3)[:, :2].numpy().astype(np.float64) / self._mesh.side
        return points

    def faces(self, image: Image.Image) -> list[Face]:
        """Return the faces of an RGB picture, the most certain first.

        Small ones are found where the whole picture shows none: then its halves are looked at,
        and theirs.
        """
        parts = 1
        for _ in range(HALVINGS):
            seen = [face for box in _parts(image, parts) for face in self._seen(image, box)]
            if seen:
                return _apart(seen)
            parts *= 2
        return []

    def _seen(self, image: Image.Image, box: tuple[int, int, int, int]) -> list[Face]:
        """Return the faces in a part of a picture, several for each."""
        side = self._detector.side
        large = max(box[2] - box[0], box[3] - box[1])
        square = Square(np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]), large, 0)
        pixels = square.cut(image, side) * 2 - 1
        boxes, logits = self._detector(torch.from_numpy(pixels)[None])
        scores = torch.sigmoid(logits[0, :, 0]).numpy()
        raw = boxes[0].numpy().reshape(len(scores), 8, 2).astype(np.float64) / side
        grid = math.isqrt(len(scores))
        rows, columns = np.divmod(np.arange(len(scores)), grid)
        anchors = (np.stack([columns, rows], axis=1) + 0.5) / grid
        found = np.flatnonzero(scores >= CERTAIN)
        return [_face(float(scores[i]), raw[i], anchors[i], square) for i in found]


def _face(score: float, raw: Floats, anchor: Floats, square: Square) -> Face:
    """Read one row (8, 2) of the detector: centre, size, then eyes, nose, mouth and ears."""
    centre, half = raw[0] + anchor, raw[1] / 2
    box = square.place(np.stack([centre - half, centre + half]))
    return Face(score, box.flatten(), square.place(raw[2:4] + anchor))


def _parts(image: Image.Image, count: int) -> list[tuple[int, int, int, int]]:
    """Return count x count boxes that cover a picture and overlap by half."""
    (width, height), places = image.size, 2 * count - 1
    across, down = width / count, height / count
    corners = [(x * across / 2, y * down / 2) for y in range(places) for x in range(places)]
    return [(int(x), int(y), int(x + across), int(y + down)) for x, y in corners]


def _apart(faces: list[Face]) -> list[Face]:
    """Make one face of those that overlap, weighted by their certainty; the most certain first."""
    left, apart = sorted(faces, key=lambda face: -face.score), []
    while left:
        same = [face for face in left if _overlap(face.box, left[0].box) > OVERLAP]
        left = [face for face in left if face not in same]
        apart.append(_mean(same))
    return apart


def _mean(faces: list[Face]) -> Face:
    weights = [face.score for face in faces]
    box = np.average([face.box for face in faces], axis=0, weights=weights)
    eyes = np.average([face.eyes for face in faces], axis=0, weights=weights)
    return Face(weights[0], box, eyes)


def _overlap(first: Floats, second: Floats) -> float:
    """Return the share of two boxes that both have."""
    sides = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    common = float(np.prod(np.maximum(sides, 0)))
    whole = float(np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2])) - common
    return common / whole if whole > 0 else 0.0


def _around(points: Floats) -> Square:
    """Return the square around a mesh (468, 2), upright to its eyes' outer corners."""
    angle = _tilt(points[[33, 263]])
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    upright = points @ turn
    low, high = upright.min(axis=0), upright.max(axis=0)
    return Square((low + high) / 2 @ turn.T, float(np.max(high - low)) * AROUND, angle)


def _tilt(eyes: Floats) -> float:
    """Return the angle of the line from the left eye to the right one, as seen."""
    across, down = eyes[1] - eyes[0]
    return math.atan2(down, across)

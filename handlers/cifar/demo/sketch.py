"""A brush for little drawings: shapes in a unit square, turned, scaled and moved onto a picture."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw

Point = tuple[float, float]
Colour = tuple[int, int, int]

CORNERS = 24  # an ellipse is drawn as a polygon, so that one map serves every shape

# No hand draws the same thing twice: how far, in drawn units, a shape is off its place and
# a line off its course, and how often a small detail is forgotten.
SHAKE = 0.025
BEND = 0.1
DETAIL, FORGOTTEN = 0.12, 0.2


def colour(
    rng: np.random.Generator, hue: Point, saturation: Point = (0.4, 0.9), value: Point = (0.4, 0.95)
) -> Colour:
    """Draw a random RGB colour; hue in degrees (may pass 360), the others in [0, 1]."""
    h, s, v = rng.uniform(*hue) % 360 / 360, rng.uniform(*saturation), rng.uniform(*value)
    red, green, blue = colorsys.hsv_to_rgb(h, s, v)
    return round(red * 255), round(green * 255), round(blue * 255)


def shade(base: Colour, factor: float) -> Colour:
    """Return ``base`` darker (factor below 1) or lighter (above 1)."""
    red, green, blue = (min(255, max(0, round(part * factor))) for part in base)
    return red, green, blue


@dataclass(frozen=True)
class Pose:
    """Where a subject stands: drawn units [-1, 1] to fractions of the picture's side."""

    scale: float
    stretch: float
    turn: float
    x: float
    y: float
    mirrored: bool
    bends: tuple[float, float]
    phases: tuple[float, float]

    @classmethod
    def random(cls, rng: np.random.Generator, most_turn: float) -> Pose:
        """Draw a pose that keeps nearly all of the subject within the picture."""
        scale = rng.uniform(0.3, 0.48)
        slack = 0.53 - scale
        return cls(
            scale=scale,
            stretch=rng.uniform(0.85, 1.15),
            turn=math.radians(rng.uniform(-most_turn, most_turn)),
            x=0.5 + rng.uniform(-slack, slack),
            y=0.5 + rng.uniform(-slack, slack),
            mirrored=bool(rng.random() < 0.5),
            bends=(rng.uniform(-BEND, BEND), rng.uniform(-BEND, BEND)),
            phases=(rng.uniform(0, math.tau), rng.uniform(0, math.tau)),
        )

    def place(self, point: Point) -> Point:
        """Bend, stretch, turn, mirror, scale and move one point."""
        x = point[0] + self.bends[0] * math.sin(2 * point[1] + self.phases[0])
        y = point[1] + self.bends[1] * math.sin(2 * point[0] + self.phases[1])
        x, y = x * self.stretch, y / self.stretch
        cos, sin = math.cos(self.turn), math.sin(self.turn)
        x, y = x * cos - y * sin, x * sin + y * cos
        x = -x if self.mirrored else x
        return self.x + self.scale * x, self.y + self.scale * y


@dataclass(frozen=True)
class Sketch:
    """Draws on ``picture`` in units where x and y run from -1 to 1, y downwards."""

    picture: Image.Image
    pose: Pose
    rng: np.random.Generator

    def _shaken(self, points: Sequence[Point]) -> list[Point]:
        right, down = self.rng.normal(0, SHAKE, 2)
        return [(x + right, y + down) for x, y in points]

    def polygon(self, points: Sequence[Point], fill: Colour) -> None:
        """Fill a polygon."""
        self._fill(self._shaken(points), fill)

    def _fill(self, points: Sequence[Point], fill: Colour) -> None:
        side = self.picture.width
        placed = [self.pose.place(point) for point in points]
        ImageDraw.Draw(self.picture).polygon([(x * side, y * side) for x, y in placed], fill)

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, fill: Colour, *, tilt: float = 0.0
    ) -> None:
        """Fill an ellipse with half axes ``rx`` and ``ry``, tilted by degrees clockwise."""
        if max(rx, ry) < DETAIL and self.rng.random() < FORGOTTEN:
            return
        self._fill(self._shaken(_ellipse(x, y, rx, ry, tilt)), fill)

    def circle(self, x: float, y: float, radius: float, fill: Colour) -> None:
        """Fill a circle."""
        self.ellipse(x, y, radius, radius, fill)

    def box(self, left: float, top: float, right: float, bottom: float, fill: Colour) -> None:
        """Fill an upright rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], fill)

    def stroke(self, points: Sequence[Point], width: float, fill: Colour) -> None:
        """Draw a thick line with round joints through ``points``."""
        shaken = self._shaken(points)
        for start, end in pairwise(shaken):
            self._fill(_segment(start, end, width / 2), fill)
        for x, y in shaken:
            self._fill(_ellipse(x, y, width / 2, width / 2, 0.0), fill)


def _ellipse(x: float, y: float, rx: float, ry: float, tilt: float) -> list[Point]:
    cos, sin = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
    angles = [math.tau * corner / CORNERS for corner in range(CORNERS)]
    ring = [(rx * math.cos(angle), ry * math.sin(angle)) for angle in angles]
    return [(x + cos * u - sin * v, y + sin * u + cos * v) for u, v in ring]


def _segment(start: Point, end: Point, half: float) -> list[Point]:
    (x, y), (u, v) = start, end
    length = math.hypot(u - x, v - y) or 1.0
    right, down = (y - v) / length * half, (u - x) / length * half  # across the line
    return [
        (x + right, y + down),
        (u + right, v + down),
        (u - right, v - down),
        (x - right, y - down),
    ]

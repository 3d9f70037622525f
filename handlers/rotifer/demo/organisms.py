"""Rotifers, ciliates and what else floats in a culture, drawn one by one as a microscope shows.

Each function draws on a transparent square canvas, head up, and is turned later.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Random = np.random.Generator
Colour = tuple[int, int, int, int]
Points = list[tuple[float, float]]
Curve = NDArray[np.float64]

# Canvas sides for one length of body: room for cilia, eggs and a bend.
ROOM = 1.7
STEPS = np.linspace(0, 1, 40)


class Canvas:
    """A transparent square to draw on in units of the body's length, the origin its middle."""

    def __init__(self, length: float, random: Random) -> None:
        self.random, self.length = random, length
        self.side = int(ROOM * length) + 1
        self.picture = Image.new("RGBA", (self.side, self.side), (0, 0, 0, 0))
        self.bend = random.uniform(-0.12, 0.12)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return pixels for a point; the body's axis is bent sideways."""
        bent = x + self.bend * (4 * y * y - 0.3)
        return self.side / 2 + bent * self.length, self.side / 2 + y * self.length

    def polygon(self, points: Points, fill: Colour, outline: Colour, width: float = 0.02) -> None:
        """Blend a filled shape with its outline onto the canvas."""
        pixels = np.array([self.place(*point) for point in points])
        thick = max(1, round(width * self.length))
        # Only the part that changes is blended: most shapes are small.
        low = np.maximum(pixels.min(axis=0) - thick, 0).astype(int)
        high = np.minimum(pixels.max(axis=0) + thick + 1, self.side).astype(int)
        corners = [(x, y) for x, y in (pixels - low).tolist()]
        layer = Image.new("RGBA", tuple(np.maximum(high - low, 1).tolist()), (0, 0, 0, 0))
        pen = ImageDraw.Draw(layer)
        pen.polygon(corners, fill=fill)
        pen.line([*corners, corners[0]], fill=outline, width=thick, joint="curve")
        self.picture.alpha_composite(layer, tuple(low.tolist()))

    def oval(
        self, centre: tuple[float, float], radii: tuple[float, float], fill: Colour, outline: Colour
    ) -> None:
        """Blend an ellipse."""
        angles = 2 * np.pi * STEPS
        xs = centre[0] + radii[0] * np.cos(angles)
        ys = centre[1] + radii[1] * np.sin(angles)
        self.polygon(_points(xs, ys), fill, outline, 0.015)

    def hair(self, start: tuple[float, float], end: tuple[float, float], colour: Colour) -> None:
        """Draw a thin straight line."""
        pen = ImageDraw.Draw(self.picture)
        thick = max(1, round(0.012 * self.length))
        pen.line([self.place(*start), self.place(*end)], fill=colour, width=thick)

    def grains(
        self, centre: tuple[float, float], radii: tuple[float, float], count: int, colour: Colour
    ) -> None:
        """Scatter dots inside an ellipse."""
        for _ in range(count):
            angle, reach = self.random.uniform(0, 2 * np.pi), np.sqrt(self.random.uniform(0, 0.9))
            x = centre[0] + radii[0] * reach * np.cos(angle)
            y = centre[1] + radii[1] * reach * np.sin(angle)
            size = self.random.uniform(0.01, 0.025)
            self.oval((x, y), (size, size), colour, colour)


def _points(xs: Curve, ys: Curve) -> Points:
    return list(zip(xs.tolist(), ys.tolist(), strict=True))


def _body(half_width: Curve, top: float, bottom: float) -> Points:
    """Return the outline of a body with the given half widths from ``top`` to ``bottom``."""
    ys = top + (bottom - top) * STEPS
    return _points(np.append(half_width, -half_width[::-1]), np.append(ys, ys[::-1]))


def _shade(random: Random, base: tuple[int, int, int], spread: int, alpha: int) -> Colour:
    red, green, blue = (
        int(np.clip(c + random.integers(-spread, spread + 1), 0, 255)) for c in base
    )
    return red, green, blue, alpha


def rotifer(canvas: Canvas) -> None:
    """A live one: vase-shaped shell, two wheels of cilia in front, a foot behind."""
    random = canvas.random
    line = _shade(random, (50, 52, 48), 12, 230)
    for side in (-1, 1):
        foot = [(0.0, 0.2), (0.03 * side, 0.42), (0.055 * side, 0.5), (0.0, 0.4)]
        canvas.polygon(foot, _shade(random, (150, 155, 140), 10, 170), line)
        _wheel(canvas, 0.11 * side, line)
    widths = random.uniform(0.17, 0.22) * np.sin(np.pi * (0.14 + 0.80 * STEPS)) ** 0.8
    canvas.polygon(_body(widths, -0.36, 0.3), _shade(random, (165, 172, 155), 14, 165), line, 0.025)
    canvas.oval((0, -0.17), (0.06, 0.05), _shade(random, (95, 90, 80), 12, 210), line)
    stomach = _shade(random, (120, 135, 70), 22, 200)
    canvas.oval((0, 0.04), (0.10, 0.13), stomach, stomach)
    canvas.grains((0, 0.04), (0.09, 0.12), 8, _shade(random, (70, 80, 40), 15, 220))


def _wheel(canvas: Canvas, x: float, line: Colour) -> None:
    canvas.oval((x, -0.37), (0.11, 0.05), (190, 195, 182, 160), line)
    for angle in np.linspace(np.pi * 0.95, np.pi * 2.05, 12):
        start = x + 0.10 * np.cos(angle), -0.38 + 0.05 * np.sin(angle)
        end = x + 0.17 * np.cos(angle), -0.38 + 0.12 * np.sin(angle)
        canvas.hair(start, end, line)


def one_egg_carrier(canvas: Canvas) -> None:
    """A live rotifer with one egg behind it."""
    rotifer(canvas)
    random = canvas.random
    side = random.choice((-1, 1))
    centre = side * random.uniform(0.12, 0.17), random.uniform(0.34, 0.40)
    line = _shade(random, (40, 38, 34), 8, 245)
    canvas.oval(centre, (0.11, 0.14), _shade(random, (110, 95, 75), 12, 240), line)
    canvas.grains(centre, (0.08, 0.11), 7, (70, 58, 45, 240))


def dead(canvas: Canvas) -> None:
    """An empty, contracted shell: pale, ragged, no cilia."""
    random = canvas.random
    angles = 2 * np.pi * STEPS[:-1]
    ragged = 1 + random.normal(0, 0.035, len(angles))
    across = random.uniform(0.24, 0.30) * ragged * np.cos(angles)
    along = random.uniform(0.34, 0.42) * ragged * np.sin(angles)
    line = _shade(random, (140, 118, 88), 12, 200)
    canvas.polygon(_points(across, along), _shade(random, (205, 188, 150), 10, 130), line, 0.02)
    canvas.grains((0, 0), (0.2, 0.3), int(random.integers(22, 34)), (120, 92, 60, 200))


def ciliate(canvas: Canvas) -> None:
    """A small oval with a fringe all around."""
    random = canvas.random
    radii = random.uniform(0.26, 0.34), 0.42
    line = _shade(random, (45, 60, 65), 12, 230)
    for angle in np.linspace(0, 2 * np.pi, 26, endpoint=False):
        start = radii[0] * np.cos(angle), radii[1] * np.sin(angle)
        canvas.hair(start, (1.28 * start[0], 1.2 * start[1]), line)
    canvas.oval((0, 0), radii, _shade(random, (150, 180, 185), 14, 190), line)
    canvas.oval((0.05, 0.1), (0.12, 0.14), _shade(random, (90, 120, 130), 14, 220), line)


def clump(canvas: Canvas) -> None:
    """A heap of algae and waste without a shape."""
    random = canvas.random
    at = np.zeros(2)
    for _ in range(int(random.integers(26, 40))):
        at = np.clip(at + random.normal(0, 0.11, 2), -0.4, 0.4)
        size = random.uniform(0.05, 0.12)
        fill = _shade(random, (84, 92, 42), 24, 215)
        canvas.oval((at[0], at[1]), (size, size), fill, _shade(random, (50, 52, 26), 10, 225))


# In the order of rotifer.names, with the range of lengths as a share of the scene's side.
ORGANISMS: tuple[tuple[Callable[[Canvas], None], tuple[float, float]], ...] = (
    (ciliate, (0.08, 0.13)),
    (clump, (0.16, 0.32)),
    (dead, (0.17, 0.27)),
    (one_egg_carrier, (0.22, 0.33)),
    (rotifer, (0.22, 0.33)),
)

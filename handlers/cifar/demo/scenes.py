"""Random little pictures of CIFAR-10's ten classes, drawn by program: no photos, no licences.

They stand in for CIFAR-10 where it is not at hand. A network that learns them knows
drawings; for photos, train on the real data set.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw

from handlers.cifar.demo.sketch import Colour, Pose, Sketch, colour
from handlers.cifar.demo.subjects import SUBJECTS
from handlers.cifar.model import CLASSES, SIZE

Generator = np.random.Generator
Pixels: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]

FINER = 4  # drawn this much larger, then reduced: smooth edges

SKY = ((195, 225), (0.15, 0.6), (0.6, 1.0))
GRASS = ((70, 130), (0.25, 0.65), (0.3, 0.8))
EARTH = ((20, 50), (0.15, 0.5), (0.35, 0.85))
ASPHALT = ((0, 360), (0.0, 0.1), (0.3, 0.7))
WATER = ((185, 230), (0.4, 0.85), (0.25, 0.7))
WALL = ((0, 360), (0.1, 0.4), (0.5, 0.95))

# What is usually above and below the horizon; any other pair happens too, so that the
# background alone does not give the class away.
GROUNDS = {
    "plane": (SKY, SKY),
    "car": (SKY, ASPHALT),
    "bird": (SKY, SKY),
    "cat": (WALL, EARTH),
    "deer": (SKY, GRASS),
    "dog": (WALL, GRASS),
    "frog": (GRASS, WATER),
    "horse": (SKY, GRASS),
    "ship": (SKY, WATER),
    "truck": (SKY, ASPHALT),
}
UNUSUAL = 0.3


def draw(label: int, rng: Generator, size: int = SIZE) -> Pixels:
    """Draw one picture of class ``label`` (0 to 9): uint8 RGB, (size, size, 3).

    Subject, colours, pose, background and light all come from ``rng``.
    """
    picture = _background(CLASSES[label], rng, size * FINER)
    most_turn = 30 if CLASSES[label] in ("plane", "bird") else 9
    SUBJECTS[label](Sketch(picture, Pose.random(rng, most_turn), rng), rng)
    return _photograph(picture.resize((size, size), Image.Resampling.BOX), rng)


def _background(name: str, rng: Generator, side: int) -> Image.Image:
    usual = name if rng.random() > UNUSUAL else rng.choice(CLASSES)
    above, below = (colour(rng, *ground) for ground in GROUNDS[usual])
    picture = _gradient(above, below, rng, side)
    for _ in range(rng.integers(0, 5)):
        _blob(picture, rng, above if rng.random() < 0.5 else below)
    return picture


def _gradient(above: Colour, below: Colour, rng: Generator, side: int) -> Image.Image:
    """Blend from one colour to the other around a horizon, softly or sharply."""
    height = np.linspace(0, 1, side)[:, None, None]
    steep = np.exp(rng.uniform(0.7, 4.0))
    share = 1 / (1 + np.exp(-steep * (height - rng.uniform(0.35, 0.75))))  # (side, 1, 1)
    rows = (1 - share) * np.array(above) + share * np.array(below)
    return Image.fromarray(np.broadcast_to(rows, (side, side, 3)).astype(np.uint8))


def _blob(picture: Image.Image, rng: Generator, base: Colour) -> None:
    """Add a cloud, a bush or a stone: an ellipse of a colour near ``base``."""
    mixed = np.array(base) * rng.uniform(0.6, 1.4) + rng.normal(0, 10, 3)
    red, green, blue = np.clip(mixed, 0, 255).astype(int).tolist()
    x, y = rng.uniform(0, picture.width, 2)
    rx, ry = rng.uniform(0.06, 0.25, 2) * picture.width
    ImageDraw.Draw(picture).ellipse((x - rx, y - ry / 2, x + rx, y + ry / 2), (red, green, blue))


def _photograph(picture: Image.Image, rng: Generator) -> Pixels:
    """Add what a camera adds: uneven light, contrast, a colour cast and noise."""
    pixels = np.asarray(picture, np.float64)
    ramp = np.linspace(-1, 1, picture.width)
    light = 1 + rng.uniform(-0.18, 0.18) * ramp[:, None] + rng.uniform(-0.18, 0.18) * ramp[None, :]
    pixels = pixels * light[:, :, None] * rng.uniform(0.94, 1.06, 3)
    pixels = 127.5 + rng.uniform(0.65, 1.15) * (pixels - 127.5) + rng.uniform(-25, 25)
    pixels = pixels + rng.normal(0, rng.uniform(0, 9), pixels.shape)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)

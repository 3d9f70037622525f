"""Microscope scenes with known boxes: a culture of rotifers in bright field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from handlers.rotifer.demo.organisms import ORGANISMS, Canvas, Random

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

# Drawn larger and scaled down: Pillow's lines have hard edges.
FINE = 2
VISIBLE_ALPHA = 60
MAX_OVERLAP = 0.12
TRIES = 12


@dataclass(frozen=True)
class Scene:
    """A picture and what is in it.

    Attributes:
        pixels: (side, side, 3) RGB.
        boxes: (N, 4) float32: centre x, centre y, width, height as shares of the side.
        classes: (N,) int64, in the order of rotifer.names.
    """

    pixels: Pixels
    boxes: Floats
    classes: NDArray[np.int64]


def draw_scene(random: Random, side: int = 384) -> Scene:
    """Draw a scene of 3 to 10 organisms that hardly overlap."""
    picture = Image.fromarray(_background(random, side)).convert("RGBA")
    boxes: list[tuple[float, ...]] = []
    classes: list[int] = []
    for _ in range(int(random.integers(3, 11))):
        kind = int(random.integers(len(ORGANISMS)))
        creature = _creature(random, kind, side)
        for _ in range(TRIES):
            left, top = (int(random.integers(-n // 10, side - n + n // 10)) for n in creature.size)
            box = _visible_box(creature, left, top, side)
            if box is not None and all(_overlap(box, other) < MAX_OVERLAP for other in boxes):
                seen = max(0, left), max(0, top)
                picture.alpha_composite(creature, seen, (seen[0] - left, seen[1] - top))
                boxes.append(box)
                classes.append(kind)
                break
    found = np.array(boxes, np.float32).reshape(-1, 4)
    low, high = found[:, :2], found[:, 2:]
    shares = np.concatenate([(low + high) / 2, high - low], axis=1) / side
    return Scene(_camera(random, picture), shares.astype(np.float32), np.array(classes, np.int64))


def _background(random: Random, side: int) -> Pixels:
    """Bright field: uneven light, a dark rim at times, dust out of focus."""
    ys, xs = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    light = np.array([205, 205, 188]) + random.normal(0, 12, 3)
    slope = random.uniform(-0.08, 0.08, 2)
    rim = random.uniform(0, 0.16) * (xs**2 + ys**2)
    coarse = Image.fromarray(random.normal(0, 5, (9, 9)).astype(np.float32))
    uneven = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))
    field = light * (1 + slope[0] * xs + slope[1] * ys - rim)[..., None] + uneven[..., None]
    dust = np.zeros((side, side))
    for _ in range(int(random.integers(5, 30))):
        x, y = random.uniform(-1, 1, 2)
        size, depth = random.uniform(0.006, 0.03), random.uniform(-45, 20)
        across, down = (
            np.exp(-(((axis - at) / size) ** 2)) for axis, at in ((xs[0], x), (ys[:, 0], y))
        )
        dust += depth * np.outer(down, across)
    field += dust[..., None]
    pixels: Pixels = field.clip(0, 255).astype(np.uint8)
    return pixels


def _creature(random: Random, kind: int, side: int) -> Image.Image:
    """Draw one organism, turned anyhow, cut to what is visible of it."""
    draw, lengths = ORGANISMS[kind]
    canvas = Canvas(FINE * side * random.uniform(*lengths), random)
    draw(canvas)
    turned = canvas.picture.rotate(random.uniform(0, 360), Image.Resampling.BICUBIC, expand=True)
    small = turned.resize((turned.width // FINE, turned.height // FINE), Image.Resampling.BOX)
    return small.crop(small.getbbox())


def _visible_box(
    creature: Image.Image, left: int, top: int, side: int
) -> tuple[float, float, float, float] | None:
    """Return (left, top, right, bottom) inside the scene, or None if too much is cut off."""
    mask = creature.getchannel("A").point(lambda alpha: 255 * (alpha > VISIBLE_ALPHA))
    bounds = mask.getbbox()
    if bounds is None:
        return None
    low = max(0, left + bounds[0]), max(0, top + bounds[1])
    high = min(side, left + bounds[2]), min(side, top + bounds[3])
    whole = (bounds[2] - bounds[0]) * (bounds[3] - bounds[1])
    seen = max(0, high[0] - low[0]) * max(0, high[1] - low[1])
    return (*low, *high) if seen > 0.75 * whole else None


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Return the common area as a share of the smaller box."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return max(0, across) * max(0, down) / min(areas)


def _camera(random: Random, picture: Image.Image) -> Pixels:
    """Focus, exposure, colour of the light and noise."""
    blurred = picture.convert("RGB").filter(ImageFilter.GaussianBlur(random.uniform(0, 1.1)))
    values = np.asarray(blurred, np.float64)
    contrast, tint = random.uniform(0.75, 1.15), random.uniform(0.92, 1.06, 3)
    values = ((values - 128) * contrast + 128 + random.normal(0, 8)) * tint
    noise = random.normal(0, random.uniform(1, 5), values.shape)
    return (values + noise).clip(0, 255).astype(np.uint8)

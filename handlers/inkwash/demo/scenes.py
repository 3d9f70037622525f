"""Photo-like pictures drawn by a program: what the demo weights learn from, beside photographs.

Every scene is a (3, SIZE, SIZE) float32 RGB tensor in [0, 1] and depends on
its random generator alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

from handlers.inkwash.demo.things import (
    SIZE,
    Colour,
    Random,
    ball,
    blossom,
    boat,
    bowl,
    bridge,
    clip,
    eye,
    fur,
    house,
    leaf,
    pines,
    place,
    shade,
    tone,
    tree,
    turned_box,
    vivid,
)

Field = NDArray[np.float32]


def scene(random: Random) -> Tensor:
    """Draw one scene: a landscape, a still life, flowers or an animal."""
    draw = SCENES[random.integers(len(SCENES))]
    return finish(draw(random), random)


def finish(picture: Image.Image, random: Random) -> Tensor:
    """Give a drawing what a camera gives: light from a side, texture, a lens, noise."""
    picture = picture.filter(ImageFilter.GaussianBlur(float(random.uniform(0.4, 1.4))))
    pixels = np.asarray(picture, np.float32) / 255
    light = 1 + random.uniform(0.1, 0.45) * (noise(random, 3) - 0.5)
    texture = 1 + random.uniform(0.05, 0.5) * (noise(random, 7) - 0.5)
    grain = random.normal(0, random.uniform(0.002, 0.02), pixels.shape)
    lit = pixels * (light * texture)[..., None] + grain
    return torch.from_numpy(lit.clip(0, 1).astype(np.float32)).permute(2, 0, 1)


def noise(random: Random, octaves: int, first: int = 2) -> Field:
    """Draw fractal noise (SIZE, SIZE) in [0, 1]: random lattices, each twice as fine."""
    total = np.zeros((SIZE, SIZE), np.float32)
    for octave in range(octaves):
        side = first * 2**octave + 1
        lattice = Image.fromarray(random.random((side, side), np.float32))
        total += np.asarray(lattice.resize((SIZE, SIZE), Image.Resampling.BICUBIC)) * 0.6**octave
    low, high = total.min(), total.max()
    scaled: Field = (total - low) / (high - low)
    return scaled


def landscape(random: Random) -> Image.Image:
    """Sky, ridges that fade with distance, sometimes water, trees, a boat or a bridge."""
    picture = _sky(random)
    horizon = int(random.uniform(0.35, 0.6) * SIZE)
    _ridges(picture, random, horizon)
    ground = _water if random.random() < 0.6 else _meadow
    picture = ground(picture, random, horizon + int(random.uniform(0.1, 0.25) * SIZE))
    pen = ImageDraw.Draw(picture)
    for extra in random.choice(np.array([boat, bridge, pines, house]), 2, replace=False):
        extra(pen, random)
    for _ in range(random.integers(0, 4)):
        tree(pen, random)
    return picture


def still_life(random: Random) -> Image.Image:
    """Bowls, fruit and boxes on a table, shaded by the light."""
    picture = _blend(noise(random, 6), tone(random, 30, 130), tone(random, 110, 220))
    pen = ImageDraw.Draw(picture)
    pen.rectangle(
        (0, int(random.uniform(0.5, 0.75) * SIZE), SIZE, SIZE), fill=tone(random, 40, 230)
    )
    for _ in range(random.integers(4, 10)):
        x, y, r = place(random, 40, 110)
        shape = random.integers(3)
        if shape == 0:
            ball(pen, x, y, r, vivid(random))
        elif shape == 1:
            bowl(pen, x, y, r, vivid(random))
        else:
            pen.polygon(turned_box(random, x, y, r), fill=vivid(random))
    return picture


def flowers(random: Random) -> Image.Image:
    """Blossoms, stems and leaves before a soft background."""
    picture = _blend(noise(random, 4), tone(random, 10, 120), tone(random, 60, 240))
    picture = picture.filter(ImageFilter.GaussianBlur(6))
    pen = ImageDraw.Draw(picture)
    for _ in range(random.integers(10, 40)):
        leaf(pen, random)
    for _ in range(random.integers(3, 9)):
        blossom(pen, random)
    return picture


def animal(random: Random) -> Image.Image:
    """A furry head with ears, eyes and a nose, hair by hair."""
    picture = _blend(noise(random, 5), tone(random, 10, 140), tone(random, 80, 240))
    picture = picture.filter(ImageFilter.GaussianBlur(5))
    pen = ImageDraw.Draw(picture)
    x, y, r = place(random, 110, 190)
    coat = tone(random, 40, 220)
    for side in (-1, 1):
        ear = [(x + side * r * a, y - r * b) for a, b in ((0.25, 0.7), (0.85, 1.3), (0.9, 0.4))]
        pen.polygon(ear, fill=shade(coat, 0.8))
    pen.ellipse((x - r, y - r, x + r, y + 0.9 * r), fill=coat)
    fur(pen, random, (x, y, r), coat)
    for side in (-1, 1):
        eye(pen, x + side * 0.4 * r, y - 0.15 * r, 0.17 * r, vivid(random))
    nose = [(x - 0.14 * r, y + 0.25 * r), (x + 0.14 * r, y + 0.25 * r), (x, y + 0.42 * r)]
    pen.polygon(nose, fill=tone(random, 20, 110))
    return picture


def foliage(random: Random) -> Image.Image:
    """Nothing but overlapping strokes: grass, hair, bark, leaves."""
    picture = _blend(noise(random, 7), tone(random, 5, 120), tone(random, 90, 250))
    pen = ImageDraw.Draw(picture)
    slant = random.uniform(0, math.tau)
    base = vivid(random)
    for _ in range(random.integers(300, 1200)):
        x, y, length = place(random, 10, 70)
        angle = slant + random.normal(0, 0.5)
        end = (x + length * math.cos(angle), y + length * math.sin(angle))
        pen.line([(x, y), end], shade(base, random.uniform(0.3, 1.5)), int(random.integers(1, 5)))
    return picture


SCENES: list[Callable[[Random], Image.Image]] = [
    landscape,
    landscape,
    still_life,
    flowers,
    animal,
    foliage,
]


def _blend(amount: Field, low: Colour, high: Colour) -> Image.Image:
    """Mix two colours by ``amount`` (SIZE, SIZE) in [0, 1]."""
    mixed = np.asarray(low) + amount[..., None] * (np.asarray(high) - np.asarray(low))
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))


def _sky(random: Random) -> Image.Image:
    fall = np.linspace(0, 1, SIZE, dtype=np.float32)[:, None]
    clouds = noise(random, 6, first=3)
    amount = fall + random.uniform(0, 0.8) * (clouds - 0.5)
    return _blend(amount.clip(0, 1), tone(random, 60, 230), tone(random, 150, 255))


def _ridges(picture: Image.Image, random: Random, horizon: int) -> None:
    pen = ImageDraw.Draw(picture)
    count = int(random.integers(2, 6))
    near, far = tone(random, 15, 110), tone(random, 140, 220)
    for index in range(count):
        share = (index + 1) / count
        heights = noise(random, 7)[0] * random.uniform(60, 240) * (1.1 - 0.5 * share)
        line = [(x, horizon + 60 * share - float(heights[x])) for x in range(SIZE)]
        mixed = (a + share * (b - a) for a, b in zip(far, near, strict=True))
        pen.polygon([*line, (SIZE, SIZE), (0, SIZE)], fill=clip(*mixed))


def _water(picture: Image.Image, random: Random, shore: int) -> Image.Image:
    """Mirror what stands above the shore, with ripples that widen towards us."""
    pixels = np.asarray(picture).copy()
    depth = np.arange(SIZE - shore)
    mirror = pixels[np.maximum(shore - 1 - depth, 0)].astype(np.float32)
    ripple = (6 * np.sin(depth * random.uniform(0.2, 0.9)) * (0.2 + depth / SIZE)).astype(int)
    rows = [np.roll(row, shift, 0) for row, shift in zip(mirror, ripple, strict=True)]
    tint = np.asarray(tone(random, 80, 220))
    pixels[shore:] = (0.6 * np.stack(rows) + 0.4 * tint).astype(np.uint8)
    return Image.fromarray(pixels)


def _meadow(picture: Image.Image, random: Random, edge: int) -> Image.Image:
    grass = np.asarray(_blend(noise(random, 8), tone(random, 30, 110), tone(random, 90, 200)))
    pixels = np.asarray(picture).copy()
    pixels[edge:] = grass[edge:]
    return Image.fromarray(pixels)

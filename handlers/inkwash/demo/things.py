"""What scenes are made of: colours, and things drawn by a pen at a random place."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from PIL import ImageDraw

Random = np.random.Generator
Colour = tuple[int, int, int]
Point = tuple[float, float]
Branch = tuple[Point, Point]

SIZE = 512  # pixels a side of every scene
TWIG = 14.0  # branches shorter than this carry leaves


def tone(random: Random, low: int, high: int) -> Colour:
    """Pick a muted colour: a grey of ``low`` to ``high`` with a tint."""
    red, green, blue = random.integers(low, high) + random.integers(-30, 31, 3)
    return clip(red, green, blue)


def vivid(random: Random) -> Colour:
    """Pick any colour."""
    red, green, blue = random.integers(10, 256, 3)
    return clip(red, green, blue)


def shade(base: Colour, factor: float) -> Colour:
    """Make a colour darker, under 1, or lighter."""
    red, green, blue = base
    return clip(red * factor, green * factor, blue * factor)


def clip(red: float, green: float, blue: float) -> Colour:
    """Cut three numbers to whole ones of 0 to 255."""
    return min(max(int(red), 0), 255), min(max(int(green), 0), 255), min(max(int(blue), 0), 255)


def place(random: Random, least: int, most: int) -> tuple[float, float, float]:
    """Pick a place and a size: x, y, radius."""
    x, y = random.uniform(0, SIZE, 2).tolist()
    return x, y, float(random.uniform(least, most))


def tree(pen: ImageDraw.ImageDraw, random: Random) -> None:
    """Draw a tree with bare branches and tufts of leaves."""
    root = random.uniform(0, SIZE), random.uniform(0.6, 1.0) * SIZE
    length = random.uniform(40, 110)
    bark, leaf = tone(random, 10, 90), tone(random, 30, 140)
    for start, end in _branches(random, root, -math.pi / 2, length):
        size = math.dist(start, end)
        pen.line([start, end], bark, max(1, int(size / 9)))
        if size < TWIG:
            _foliage_at(pen, random, end, leaf)


def _branches(random: Random, start: Point, angle: float, length: float) -> Iterator[Branch]:
    """Grow a tree, branch by branch, down to its twigs."""
    end = (start[0] + length * math.cos(angle), start[1] + length * math.sin(angle))
    yield start, end
    if length < TWIG:
        return
    for _ in range(random.integers(2, 4)):
        turned = angle + random.normal(0, 0.55)
        yield from _branches(random, end, turned, length * random.uniform(0.55, 0.8))


def _foliage_at(pen: ImageDraw.ImageDraw, random: Random, tip: Point, leaf: Colour) -> None:
    (x, y), r = tip, random.uniform(3, 11)
    fill = shade(leaf, random.uniform(0.5, 1.6))
    pen.ellipse((x - r, y - 0.7 * r, x + r, y + 0.7 * r), fill=fill)


def pines(pen: ImageDraw.ImageDraw, random: Random) -> None:
    """Draw a stand of pines."""
    fill = tone(random, 10, 90)
    for _ in range(random.integers(3, 25)):
        x, y, h = place(random, 30, 130)
        y = 0.55 * SIZE + 0.45 * y
        for level in range(5):
            top, half = y - h * (1 - level / 6), h * 0.07 * (level + 1)
            crown = [(x, top), (x - half, top + h / 3.5), (x + half, top + h / 3.5)]
            pen.polygon(crown, fill=shade(fill, random.uniform(0.7, 1.4)))


def boat(pen: ImageDraw.ImageDraw, random: Random) -> None:
    """Draw a sailing boat."""
    x, y, r = place(random, 25, 70)
    y = 0.65 * SIZE + 0.3 * y
    hull = [(x - r, y), (x + r, y), (x + 0.7 * r, y + 0.3 * r), (x - 0.7 * r, y + 0.3 * r)]
    pen.polygon(hull, fill=tone(random, 10, 120))
    pen.line([(x, y), (x, y - 1.5 * r)], tone(random, 10, 80), 3)
    pen.polygon(
        [(x, y - 1.5 * r), (x, y - 0.2 * r), (x + 0.8 * r, y - 0.2 * r)], fill=vivid(random)
    )


def bridge(pen: ImageDraw.ImageDraw, random: Random) -> None:
    """Draw a bridge of many arches across the picture."""
    y, fill = int(random.uniform(0.55, 0.8) * SIZE), tone(random, 30, 200)
    span, rise = float(random.uniform(60, 140)), float(random.uniform(20, 70))
    pen.rectangle((0, y - 12, SIZE, y), fill=fill)
    for left in np.arange(-span / 2, SIZE, span).tolist():
        pen.arc((left, y, left + span, y + 2 * rise), 180, 360, fill, 7)
        pen.rectangle((left - 5, y, left + 5, y + rise), fill=shade(fill, 0.8))


def house(pen: ImageDraw.ImageDraw, random: Random) -> None:
    """Draw a house of up to three storeys, each under its own roof."""
    x, y, r = place(random, 40, 100)
    y, wall, roof = 0.5 * SIZE + 0.4 * y, tone(random, 90, 250), tone(random, 20, 140)
    for storey in range(random.integers(1, 4)):
        half, base = r * (1 - 0.2 * storey), y - 0.8 * r * storey
        pen.rectangle((x - half, base - 0.5 * r, x + half, base), fill=shade(wall, 0.95))
        for door in np.linspace(-0.7, 0.5, 4).tolist():
            window = (x + door * half, base - 0.4 * r, x + (door + 0.2) * half, base - 0.1 * r)
            pen.rectangle(window, fill=shade(roof, 0.6))
        eaves = [
            (x - 1.3 * half, base - 0.45 * r),
            (x, base - 0.9 * r),
            (x + 1.3 * half, base - 0.45 * r),
        ]
        pen.polygon(eaves, fill=roof)


def ball(pen: ImageDraw.ImageDraw, x: float, y: float, r: float, base: Colour) -> None:
    """Shade a ball by rings that move towards the light."""
    for step in range(20):
        share = step / 20
        radius, shift = r * (1 - share), -0.35 * r * share
        box = (x + shift - radius, y + shift - radius, x + shift + radius, y + shift + radius)
        pen.ellipse(box, fill=shade(base, 0.45 + 1.1 * share))


def bowl(pen: ImageDraw.ImageDraw, x: float, y: float, r: float, base: Colour) -> None:
    """Draw a bowl, seen a little from above."""
    pen.chord((x - r, y - r, x + r, y + r), 0, 180, fill=base)
    pen.chord((x - r, y - r, x, y + r), 60, 180, fill=shade(base, 0.7))
    pen.ellipse((x - r, y - 0.25 * r, x + r, y + 0.25 * r), fill=shade(base, 1.3))
    pen.ellipse((x - 0.9 * r, y - 0.2 * r, x + 0.9 * r, y + 0.2 * r), fill=shade(base, 0.5))


def turned_box(random: Random, x: float, y: float, r: float) -> list[tuple[float, float]]:
    """Give the corners of a box top, turned and flattened."""
    turn, flat = random.uniform(0, math.pi), random.uniform(0.4, 1)
    corners = (turn + quarter * math.pi / 2 for quarter in range(4))
    return [(x + r * math.cos(a), y + flat * r * math.sin(a)) for a in corners]


def leaf(pen: ImageDraw.ImageDraw, random: Random) -> None:
    """Draw a long leaf with its rib."""
    x, y, length = place(random, 40, 220)
    angle, half = random.uniform(0, math.tau), random.uniform(4, 26)
    along, aside = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))
    fill = clip(*(int(random.integers(a, b)) for a, b in ((10, 120), (50, 210), (10, 110))))
    tip = (x + length * along[0], y + length * along[1])
    sides = [
        (
            x + length * along[0] / 2 + s * half * aside[0],
            y + length * along[1] / 2 + s * half * aside[1],
        )
        for s in (1, -1)
    ]
    pen.polygon([(x, y), sides[0], tip, sides[1]], fill=fill)
    pen.line([(x, y), tip], shade(fill, 0.6), 2)


def blossom(pen: ImageDraw.ImageDraw, random: Random) -> None:
    """Draw a flower: stem, petals, heart."""
    x, y, r = place(random, 25, 80)
    fill, petals = vivid(random), int(random.integers(5, 13))
    pen.line([(x, y), (x + random.uniform(-60, 60), SIZE)], (50, 90, 40), 5)
    for petal in range(petals):
        angle = math.tau * petal / petals
        px, py = x + 0.6 * r * math.cos(angle), y + 0.6 * r * math.sin(angle)
        ball(pen, px, py, 0.42 * r, shade(fill, random.uniform(0.8, 1.1)))
    ball(pen, x, y, 0.3 * r, vivid(random))


def fur(
    pen: ImageDraw.ImageDraw, random: Random, head: tuple[float, float, float], coat: Colour
) -> None:
    """Cover a head (x, y, radius) with striped hair."""
    x, y, r = head
    for _ in range(1500):
        angle, out = random.uniform(0, math.tau), math.sqrt(random.uniform(0, 1)) * r
        start = (x + out * math.cos(angle), y + out * math.sin(angle))
        swing, length = angle + random.normal(0, 0.3), random.uniform(6, 22)
        end = (start[0] + length * math.cos(swing), start[1] + length * math.sin(swing))
        # Stripes: darker where a slow wave over the head is low.
        stripe = 0.85 + 0.4 * math.sin(5 * angle + out / 25)
        pen.line([start, end], shade(coat, stripe * random.uniform(0.6, 1.3)), 1)


def eye(pen: ImageDraw.ImageDraw, x: float, y: float, r: float, iris: Colour) -> None:
    """Draw an animal's eye, with a glint."""
    pen.ellipse((x - 1.2 * r, y - 1.2 * r, x + 1.2 * r, y + 1.2 * r), fill=(25, 20, 18))
    pen.ellipse((x - r, y - r, x + r, y + r), fill=iris)
    pen.ellipse((x - 0.45 * r, y - 0.8 * r, x + 0.45 * r, y + 0.8 * r), fill=(8, 8, 10))
    pen.ellipse((x - 0.4 * r, y - 0.5 * r, x - 0.1 * r, y - 0.2 * r), fill=(250, 250, 250))

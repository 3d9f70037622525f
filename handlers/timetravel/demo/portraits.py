"""Draw people at any age: the same person keeps face, glasses and clothes, and gets older.

With the years hair turns grey and recedes, wrinkles and bags come, the jaw sags and lips grow
thin; children have large eyes and round cheeks. Brows grey only half, so that even an old
person's picture tells the colour of the hair in youth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[float, float, float]
Pixels = NDArray[np.uint8]
Point = tuple[float, float]

SKINS: tuple[Colour, ...] = ((250, 220, 196), (236, 190, 158), (198, 144, 104), (128, 84, 58))
HAIRS: tuple[Colour, ...] = ((40, 32, 30), (92, 58, 36), (216, 172, 92), (168, 74, 36))
EYES: tuple[Colour, ...] = ((84, 58, 40), (74, 120, 172), (86, 128, 84))
SHIRTS: tuple[Colour, ...] = ((52, 92, 150), (164, 58, 62), (70, 128, 92), (222, 214, 196))
GREY: Colour = (222, 222, 226)
OVERSAMPLING = 2


@dataclass(frozen=True)
class Person:
    """What stays the same; numbers without a unit are from 0 to 1."""

    skin: Colour
    hair: Colour
    eyes: Colour
    shirt: Colour
    wall: Colour
    width: float
    jaw: float
    spacing: float
    eye_size: float
    brow: float
    nose: float
    mouth: float
    long_hair: bool
    balding: float
    beard: bool
    glasses: bool
    parting: float


def random_person(rng: np.random.Generator) -> Person:
    """Return somebody."""
    long_hair = bool(rng.random() < 0.5)
    brow, jaw = rng.random(), rng.random()
    return Person(
        skin=_between(SKINS, rng),
        hair=_between(HAIRS, rng),
        eyes=EYES[rng.integers(len(EYES))],
        shirt=SHIRTS[rng.integers(len(SHIRTS))],
        wall=_colour(rng.uniform(95, 215, 3)),
        width=rng.random(),
        jaw=jaw,
        spacing=rng.random(),
        eye_size=rng.random(),
        brow=brow,
        nose=rng.random(),
        mouth=rng.random(),
        long_hair=long_hair,
        # To be told from a child's face already: what cannot be known would be learnt as a blur.
        balding=0.0 if long_hair else brow,
        beard=not long_hair and jaw > 0.6,
        glasses=bool(rng.random() < 0.25),
        parting=rng.random(),
    )


def draw(person: Person, years: float, side: int) -> Image.Image:
    """Return a portrait at ``years`` (0 to 100) of ``side`` x ``side`` pixels, as if aligned."""
    return _Portrait(person, years, side * OVERSAMPLING).finished(side)


def _between(palette: tuple[Colour, ...], rng: np.random.Generator) -> Colour:
    first, second = palette[rng.integers(len(palette))], palette[rng.integers(len(palette))]
    return _mix(first, second, 0.5 * rng.random())


def _colour(values: NDArray[np.float64]) -> Colour:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    red, green, blue = (x + (y - x) * share for x, y in zip(a, b, strict=True))
    return red, green, blue


def _ramp(years: float, start: float, end: float) -> float:
    """Rise smoothly from 0 at ``start`` to 1 at ``end``."""
    t = min(max((years - start) / (end - start), 0.0), 1.0)
    return t * t * (3 - 2 * t)


class _Portrait:
    """One picture while it is drawn; coordinates are shares of its side, y down."""

    def __init__(self, person: Person, years: float, side: int) -> None:
        self.who, self.side = person, side
        self.child = 1 - _ramp(years, 4, 20)
        self.old = _ramp(years, 24, 80)
        self.grey = _ramp(years, 32, 72)
        self.bald = person.balding * _ramp(years, 25, 70)
        self.skin = _mix(person.skin, (214, 196, 186), 0.22 * self.old)
        self.dark = _mix(self.skin, (70, 34, 26), 0.5)
        self.hair = _mix(person.hair, GREY, 0.95 * self.grey)
        self.half_width = 0.235 + 0.035 * person.width + 0.012 * self.child
        self.half_jaw = self.half_width * (0.62 + 0.16 * person.jaw + 0.12 * self.child)
        self.half_jaw += 0.02 * self.old
        self.chin = 0.885 - 0.035 * self.child + 0.012 * self.old
        self.image = Image.new("RGB", (side, side), _rounded(person.wall))
        self.pen = ImageDraw.Draw(self.image)

    def finished(self, side: int) -> Image.Image:
        self._back_hair()
        self._shoulders()
        self._head()
        self._wrinkles()
        self._front_hair()
        for sign in (-1, 1):
            self._eye(0.5 + sign * (0.115 + 0.022 * self.who.spacing), sign)
        self._nose()
        if self.who.beard:
            self._beard()
        self._mouth()
        if self.who.glasses:
            self._glasses()
        soft = self.image.filter(ImageFilter.GaussianBlur(0.0035 * self.side))
        return soft.resize((side, side), Image.Resampling.BOX)

    # Shapes

    def _polygon(self, points: list[Point], colour: Colour) -> None:
        self.pen.polygon([(x * self.side, y * self.side) for x, y in points], _rounded(colour))

    def _ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        box = [
            (x - rx) * self.side,
            (y - ry) * self.side,
            (x + rx) * self.side,
            (y + ry) * self.side,
        ]
        self.pen.ellipse(box, _rounded(colour))

    def _stroke(self, points: list[Point], width: float, colour: Colour) -> None:
        pixels = [(x * self.side, y * self.side) for x, y in points]
        thickness = max(round(width * self.side), 1)
        self.pen.line(pixels, _rounded(colour), thickness, joint="curve")

    def _line(self, points: list[Point], width: float, strength: float) -> None:
        """Draw a wrinkle; the weaker, the closer to the skin's colour."""
        if strength > 0.02:
            self._stroke(points, width, _mix(self.skin, self.dark, min(strength, 1.0)))

    # Parts, from back to front

    def _back_hair(self) -> None:
        if not self.who.long_hair:
            return
        rx = self.half_width + 0.075 - 0.02 * self.old
        shade = _mix(self.hair, (0, 0, 0), 0.25)
        self._ellipse(0.5, 0.42, rx, 0.36, shade)
        self._polygon(
            [(0.5 - rx, 0.42), (0.5 + rx, 0.42), (0.5 + rx, 0.95), (0.5 - rx, 0.95)], shade
        )

    def _shoulders(self) -> None:
        neck = 0.115 - 0.02 * self.child
        self._polygon(
            [(0.5 - neck, 0.75), (0.5 + neck, 0.75), (0.5 + neck, 1), (0.5 - neck, 1)],
            _mix(self.skin, self.dark, 0.35),
        )
        self._ellipse(0.5, 1.12, 0.44 - 0.06 * self.child, 0.185, self.who.shirt)

    def _head(self) -> None:
        for sign in (-1, 1):
            x = 0.5 + sign * (self.half_width + 0.005)
            self._ellipse(x, 0.53, 0.032, 0.062 + 0.012 * self.old, _mix(self.skin, self.dark, 0.2))
        self._polygon(self._outline(), self.skin)
        cheek = _mix(self.skin, (226, 104, 92), 0.30 - 0.18 * self.old)
        for sign in (-1, 1):
            self._ellipse(0.5 + sign * 0.155, 0.65, 0.045, 0.032, cheek)

    def _outline(self) -> list[Point]:
        """Return the face: half an ellipse above the cheeks, a rounder or squarer jaw below."""
        top, middle = 0.185, 0.52
        points = []
        for step in range(64):
            angle = 2 * math.pi * step / 64
            across, down = math.cos(angle), math.sin(angle)
            if down < 0:
                points.append((0.5 + self.half_width * across, middle + (middle - top) * down))
                continue
            # Superellipse towards the jaw: at the chin's height it is half_jaw wide.
            squareness = 1.55 + 1.3 * (self.half_jaw / self.half_width - 0.55)
            x = math.copysign(abs(across) ** (2 / squareness), across)
            points.append((0.5 + self.half_width * x, middle + (self.chin - middle) * down**0.9))
        return points

    def _wrinkles(self) -> None:
        for row, start in enumerate((0.0, 0.15, 0.3)):
            y, half = 0.315 + 0.034 * row, 0.125 - 0.012 * row
            wave = [(0.5 + half * t / 6, y + 0.006 * math.cos(t * 1.4)) for t in range(-6, 7)]
            self._line(wave, 0.008, 1.15 * (self.old - start))
        for sign in (-1, 1):
            self._cheek_lines(sign)
        for x in (0.485, 0.515):
            self._line([(x, 0.405), (x, 0.44)], 0.007, self.old - 0.25)

    def _cheek_lines(self, sign: int) -> None:
        def across(points: list[Point]) -> list[Point]:
            return [(0.5 + sign * x, y) for x, y in points]

        self._line(across([(0.06, 0.62), (0.098, 0.665), (0.118, 0.75)]), 0.011, 1.1 * self.old)
        self._line(across([(0.085, 0.535), (0.125, 0.55), (0.165, 0.532)]), 0.009, self.old)
        self._line(across([(0.092, 0.556), (0.125, 0.567), (0.158, 0.553)]), 0.007, self.old - 0.4)
        for rise in (-0.022, 0.0, 0.022):
            start, end = (0.195, 0.487 + 0.3 * rise), (0.228, 0.487 + rise)
            self._line(across([start, end]), 0.007, self.old - 0.1)
        self._line(across([(0.105, 0.79), (0.125, 0.825)]), 0.009, self.old - 0.3)

    def _front_hair(self) -> None:
        """Cover the skull down to the hairline, which rises as it recedes."""
        rx, top = self.half_width + 0.022, 0.115 + 0.035 * self.bald
        line = 0.295 - 0.085 * self.bald - 0.02 * self.child
        crown = [
            (
                0.5 + rx * math.cos(math.pi * t / 24),
                0.45 - (0.45 - top) * math.sin(math.pi * t / 24),
            )
            for t in range(25)
        ]
        dip = 0.5 + 0.24 * (self.who.parting - 0.5)
        inner = self.half_width - 0.012
        left, right = (0.5 - inner, 0.43), (0.5 + inner, 0.43)
        corner = 0.30 - 0.10 * self.bald
        front = [left, (0.5 - 0.64 * inner, corner), (dip, line)]
        front += [(0.5 + 0.64 * inner, corner), right]
        if self.bald > 0.62:
            self._fringe(rx)
            return
        self._polygon(crown + front, self.hair)
        shine = _mix(self.hair, (255, 255, 255), 0.16)
        self._stroke([(0.41, top + 0.075), (0.48, top + 0.05), (0.56, top + 0.05)], 0.014, shine)
        if self.who.long_hair:
            for sign in (-1, 1):
                x = 0.5 + sign * self.half_width
                self._polygon(
                    [
                        (x - sign * 0.02, 0.3),
                        (x + sign * 0.045, 0.3),
                        (x + sign * 0.06, 0.84),
                        (x, 0.8),
                    ],
                    self.hair,
                )

    def _fringe(self, rx: float) -> None:
        """What is left above the ears."""
        for sign in (-1, 1):
            x = 0.5 + sign * rx
            self._polygon(
                [
                    (x - sign * 0.035, 0.30),
                    (x + sign * 0.012, 0.36),
                    (x + sign * 0.012, 0.5),
                    (x - sign * 0.03, 0.47),
                ],
                self.hair,
            )

    def _eye(self, x: float, sign: int) -> None:
        y, size = 0.487, 0.048 + 0.01 * self.who.eye_size + 0.014 * self.child
        height = size * (0.60 + 0.16 * self.child - 0.17 * self.old)
        self._ellipse(x, y, size, height, (246, 244, 240))
        self._ellipse(x, y, height * 0.92, height * 0.92, self.who.eyes)
        self._ellipse(x, y, height * 0.45, height * 0.45, (18, 14, 14))
        self._ellipse(x + 0.008, y - 0.008, 0.006, 0.006, (255, 255, 255))
        lid = [(x + size * t / 4, y - height * math.sqrt(1 - (t / 4) ** 2)) for t in range(-4, 5)]
        self._stroke(lid, 0.011, _mix(self.dark, (30, 20, 18), 0.6))
        brow = _mix(self.who.hair, GREY, 0.5 * self.grey)
        lift = y - 0.078 - 0.012 * self.child
        arch = [
            (x - sign * 0.062, lift + 0.014),
            (x, lift - 0.006),
            (x + sign * 0.066, lift + 0.018),
        ]
        self._stroke(arch, 0.014 + 0.014 * self.who.brow, brow)

    def _nose(self) -> None:
        length = 0.625 - 0.022 * self.child + 0.012 * self.old
        half = 0.028 + 0.014 * self.who.nose + 0.006 * self.old - 0.006 * self.child
        self._line([(0.5 - 0.018, 0.52), (0.5 - half, length - 0.012)], 0.008, 0.45)
        self._line(
            [(0.5 - half, length - 0.01), (0.5, length + 0.012), (0.5 + half, length - 0.01)],
            0.012,
            0.75,
        )

    def _beard(self) -> None:
        grown = _ramp(100 * (1 - self.child), 60, 100)
        if grown < 0.05:
            return
        colour = _mix(self.skin, self.hair, 0.85 * grown)
        lower = [point for point in self._outline() if point[1] > 0.66]
        lower.sort(key=lambda point: point[0])
        upper = [(0.5 + 0.13, 0.70), (0.5 + 0.1, 0.675), (0.5 - 0.1, 0.675), (0.5 - 0.13, 0.70)]
        self._polygon(lower + upper, colour)

    def _mouth(self) -> None:
        half = 0.078 + 0.02 * self.who.mouth - 0.012 * self.child
        full = 0.022 * (1 - 0.5 * self.old)
        lips = _mix(_mix(self.skin, (186, 62, 66), 0.62), self.dark, 0.3 * self.old)
        self._polygon(
            [
                (0.5 - half, 0.738),
                (0.5 - 0.02, 0.738 - full),
                (0.5, 0.742 - full),
                (0.5 + 0.02, 0.738 - full),
                (0.5 + half, 0.738),
                (0.5 + 0.04, 0.745 + 1.1 * full),
                (0.5 - 0.04, 0.745 + 1.1 * full),
            ],
            lips,
        )
        sag = 0.008 * self.old
        self._stroke(
            [(0.5 - half, 0.738 + sag), (0.5, 0.744), (0.5 + half, 0.738 + sag)],
            0.008,
            _mix(lips, (40, 10, 10), 0.5),
        )

    def _glasses(self) -> None:
        rim = (34, 34, 40)
        thick = max(round(0.012 * self.side), 1)
        for sign in (-1, 1):
            x, rx, ry = 0.5 + sign * 0.128, 0.088, 0.068
            box = [
                (x - rx) * self.side,
                (0.492 - ry) * self.side,
                (x + rx) * self.side,
                (0.492 + ry) * self.side,
            ]
            self.pen.ellipse(box, outline=rim, width=thick)
            self._stroke(
                [(x + sign * rx, 0.485), (0.5 + sign * (self.half_width + 0.01), 0.475)], 0.012, rim
            )
        self._stroke([(0.46, 0.485), (0.5, 0.476), (0.54, 0.485)], 0.012, rim)


def _rounded(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = (round(value) for value in colour)
    return red, green, blue

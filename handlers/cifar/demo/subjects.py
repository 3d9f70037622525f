"""The ten subjects, one function each, facing right; coordinates as in ``Sketch``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from handlers.cifar.demo.sketch import Colour, Point, Sketch, colour, shade

Generator = np.random.Generator
Subject = Callable[[Sketch, Generator], None]

BLACK: Colour = (22, 20, 24)
GLASS: Colour = (168, 205, 222)


def _paint(rng: Generator) -> Colour:
    """Return a vehicle's colour: any hue, or white to grey."""
    if rng.random() < 0.3:
        return colour(rng, (0, 360), (0.0, 0.1), (0.45, 1.0))
    return colour(rng, (0, 360), (0.55, 0.95), (0.45, 0.95))


def _fur(rng: Generator) -> Colour:
    """Return a mammal's colour: brown, ginger, grey or near black."""
    if rng.random() < 0.3:
        return colour(rng, (0, 360), (0.0, 0.12), (0.25, 0.9))
    return colour(rng, (14, 38), (0.35, 0.75), (0.3, 0.85))


def plane(sketch: Sketch, rng: Generator) -> None:
    """An airliner with swept or straight wings, seen from the side and a little from above."""
    body = colour(rng, (190, 260), (0.0, 0.12), (0.75, 1.0))
    trim, wing = _paint(rng), shade(body, rng.uniform(0.6, 1.0))
    sweep = rng.uniform(0.0, 0.5)
    span = rng.uniform(0.5, 0.85)
    sketch.polygon([(0.2, -0.05), (0.2 - sweep, -span), (-sweep, -span), (-0.15, -0.05)], wing)
    sketch.polygon([(-0.6, -0.05), (-0.95, -0.42), (-0.75, -0.45), (-0.4, -0.05)], trim)
    sketch.ellipse(0.0, 0.0, 0.95, 0.15, body)
    sketch.polygon([(-0.9, 0.0), (-1.0, 0.18), (-0.85, 0.18), (-0.6, 0.03)], wing)
    sketch.polygon([(0.25, 0.05), (0.2 - sweep, span), (-sweep - 0.08, span), (-0.2, 0.05)], wing)
    if rng.random() < 0.7:
        sketch.polygon([(0.7, -0.09), (0.86, -0.04), (0.8, 0.0), (0.68, -0.01)], BLACK)
        sketch.stroke([(-0.5, -0.03), (0.5, -0.03)], 0.05, trim)


def _wheel(sketch: Sketch, x: float, y: float, radius: float) -> None:
    sketch.circle(x, y, radius, BLACK)
    sketch.circle(x, y, radius * 0.45, (165, 165, 170))


def car(sketch: Sketch, rng: Generator) -> None:
    """A saloon or a hatchback."""
    paint = _paint(rng)
    back = rng.choice([-0.85, -0.6])  # where the roof comes down
    roof = rng.uniform(-0.52, -0.4)
    cabin: list[Point] = [(back, -0.05), (back + 0.18, roof), (0.15, roof), (0.5, -0.05)]
    sketch.polygon(cabin, paint)
    sketch.polygon(
        [(back + 0.13, -0.08), (back + 0.25, roof + 0.09), (-0.15, roof + 0.09), (-0.15, -0.08)],
        GLASS,
    )
    sketch.polygon([(-0.07, -0.08), (-0.07, roof + 0.09), (0.1, roof + 0.09), (0.36, -0.08)], GLASS)
    hull: list[Point] = [(-0.95, -0.1), (0.5, -0.1), (0.9, 0.02), (0.97, 0.32), (-0.95, 0.32)]
    sketch.polygon(hull, paint)
    sketch.box(-0.95, 0.22, 0.97, 0.34, shade(paint, 0.6))
    sketch.circle(0.88, 0.1, 0.07, (250, 240, 170))
    for x in (-0.55, 0.55):
        _wheel(sketch, x, 0.34, rng.uniform(0.2, 0.25))


def bird(sketch: Sketch, rng: Generator) -> None:
    """A small bird, flying with a raised wing or standing on two thin legs."""
    plumage = colour(rng, (0, 360), (0.2, 0.85), (0.3, 0.9))
    wing = shade(plumage, rng.uniform(0.45, 0.7))
    sketch.polygon([(-0.4, 0.0), (-0.98, -0.16), (-0.92, 0.2), (-0.35, 0.2)], wing)
    flying = rng.random() < 0.5
    if not flying:
        for x in (-0.08, 0.14):
            sketch.stroke([(x, 0.3), (x, 0.78), (x + 0.14, 0.8)], 0.06, (200, 130, 50))
    sketch.ellipse(0.0, 0.08, 0.5, 0.3, plumage, tilt=-12)
    sketch.ellipse(0.12, 0.2, 0.3, 0.17, shade(plumage, 1.4), tilt=-20)
    sketch.polygon([(0.62, -0.3), (0.98, -0.18), (0.64, -0.08)], (240, 170, 40))
    sketch.circle(0.48, -0.2, 0.23, plumage)
    sketch.circle(0.54, -0.25, 0.06, BLACK)
    if flying:
        tip = rng.uniform(-0.45, 0.0)
        sketch.polygon([(0.2, 0.0), (tip, -0.95), (tip - 0.3, -0.75), (-0.32, 0.05)], wing)
    else:
        sketch.ellipse(-0.15, 0.03, 0.38, 0.17, wing, tilt=-8)


def cat(sketch: Sketch, rng: Generator) -> None:
    """A cat that sits and looks at you, its tail beside it."""
    fur = _fur(rng)
    dark, light = shade(fur, 0.6), shade(fur, 1.35)
    sketch.stroke([(0.3, 0.75), (0.75, 0.7), (0.85, 0.35), (0.7, 0.12)], 0.17, dark)
    sketch.ellipse(0.0, 0.42, 0.44, 0.55, fur)
    sketch.ellipse(0.0, 0.5, 0.22, 0.38, light)
    for side in (-1, 1):
        sketch.polygon([(0.1 * side, -0.6), (0.42 * side, -1.0), (0.46 * side, -0.35)], fur)
        sketch.polygon([(0.22 * side, -0.6), (0.37 * side, -0.83), (0.4 * side, -0.5)], dark)
        sketch.ellipse(0.2 * side, 0.9, 0.18, 0.1, light)
    sketch.ellipse(0.0, -0.33, 0.47, 0.4, fur)
    if rng.random() < 0.5:
        for x in (-0.15, 0.0, 0.15):
            sketch.stroke([(x, -0.7), (x * 0.8, -0.5)], 0.07, dark)
    _cat_face(sketch, rng, light)


def _cat_face(sketch: Sketch, rng: Generator, light: Colour) -> None:
    eyes = colour(rng, (50, 130), (0.6, 0.9), (0.7, 1.0))
    for side in (-1, 1):
        sketch.ellipse(0.19 * side, -0.38, 0.11, 0.11, eyes)
        sketch.ellipse(0.19 * side, -0.38, 0.045, 0.1, BLACK)
        sketch.stroke([(0.15 * side, -0.14), (0.62 * side, -0.18)], 0.03, light)
    sketch.ellipse(0.0, -0.14, 0.16, 0.1, light)
    sketch.polygon([(-0.07, -0.23), (0.07, -0.23), (0.0, -0.13)], (215, 120, 130))


def _legs(sketch: Sketch, places: tuple[float, ...], top: float, width: float, fur: Colour) -> None:
    """Draw legs down to y = 0.92; every second one is on the far side, hence darker."""
    for number, x in enumerate(places):
        tone = shade(fur, 0.65) if number % 2 else fur
        sketch.stroke([(x, top), (x, 0.92 - width / 2)], width, tone)


def deer(sketch: Sketch, rng: Generator) -> None:
    """A stag: slender, thin legs, upright neck, antlers, pale rump."""
    fur = colour(rng, (18, 34), (0.45, 0.75), (0.45, 0.8))
    lean = rng.uniform(-0.06, 0.08)
    _legs(sketch, (-0.48, -0.36, 0.2, 0.32), 0.3, 0.09, fur)
    sketch.ellipse(-0.1, 0.2, 0.5, 0.22, fur)
    sketch.ellipse(-0.55, 0.14, 0.12, 0.15, (240, 228, 205))
    sketch.stroke([(0.25, 0.18), (0.46 + lean, -0.35)], 0.22, fur)
    _antlers(sketch, 0.44 + lean, -0.5)
    sketch.ellipse(0.33 + lean, -0.46, 0.14, 0.06, shade(fur, 0.75), tilt=20)
    sketch.ellipse(0.6 + lean, -0.38, 0.24, 0.12, fur, tilt=18)
    sketch.circle(0.8 + lean, -0.32, 0.06, BLACK)
    sketch.circle(0.55 + lean, -0.44, 0.045, BLACK)
    for _ in range(rng.integers(0, 7)):
        x, y = rng.uniform(-0.45, 0.2), rng.uniform(0.06, 0.24)
        sketch.circle(x, y, 0.04, (245, 235, 215))


def _antlers(sketch: Sketch, x: float, y: float) -> None:
    bone = (92, 70, 48)
    for side, bend in ((-1, 0.3), (1, 0.16)):
        tip = x + side * bend
        sketch.stroke([(x, y), (tip, y - 0.24), (tip + 0.04 * side, y - 0.5)], 0.07, bone)
        sketch.stroke([(tip, y - 0.24), (tip + 0.2 * side, y - 0.36)], 0.06, bone)
        sketch.stroke([(tip, y - 0.3), (tip - 0.12 * side, y - 0.44)], 0.05, bone)


def dog(sketch: Sketch, rng: Generator) -> None:
    """A dog in profile: short legs, hanging ear, blunt muzzle, tail up."""
    fur = _fur(rng)
    dark = shade(fur, 0.5)
    _legs(sketch, (-0.52, -0.34, 0.2, 0.38), 0.4, 0.17, fur)
    wag = rng.uniform(-0.2, 0.1)
    sketch.stroke([(-0.55, 0.2), (-0.78, -0.12), (-0.8 + wag, -0.42)], 0.13, fur)
    sketch.ellipse(-0.08, 0.3, 0.58, 0.27, fur)
    if rng.random() < 0.5:
        sketch.ellipse(-0.2, 0.2, 0.26, 0.14, shade(fur, rng.choice([0.5, 1.6])))
    sketch.stroke([(0.35, 0.2), (0.45, -0.15)], 0.32, fur)
    sketch.ellipse(0.72, -0.18, 0.27, 0.15, shade(fur, 1.15), tilt=5)
    sketch.circle(0.45, -0.3, 0.31, fur)
    sketch.ellipse(0.25, -0.2, 0.13, 0.32, dark, tilt=10)
    sketch.circle(0.95, -0.22, 0.09, BLACK)
    sketch.circle(0.58, -0.38, 0.06, BLACK)
    sketch.ellipse(0.78, 0.0, 0.08, 0.12, (225, 100, 110))
    sketch.stroke([(0.22, 0.1), (0.52, 0.14)], 0.08, colour(rng, (0, 360)))


def frog(sketch: Sketch, rng: Generator) -> None:
    """A frog from the front: wide mouth, eyes on top, thighs to both sides."""
    skin = colour(rng, (75, 150), (0.5, 0.9), (0.4, 0.85))
    belly = shade(skin, 1.45)
    for side in (-1, 1):
        sketch.ellipse(0.66 * side, 0.45, 0.28, 0.36, shade(skin, 0.75), tilt=25 * side)
        sketch.ellipse(0.72 * side, 0.8, 0.28, 0.1, skin)
    sketch.ellipse(0.0, 0.3, 0.62, 0.52, skin)
    if rng.random() < 0.7:
        sketch.ellipse(0.0, 0.48, 0.4, 0.34, belly)
    sketch.ellipse(0.0, -0.1, 0.66, 0.38, skin)
    for side in (-1, 1):
        sketch.circle(0.38 * side, -0.45, 0.23, skin)
        sketch.circle(0.38 * side, -0.47, 0.16, (245, 240, 190))
        sketch.circle(0.38 * side, -0.47, 0.08, BLACK)
        sketch.stroke([(0.26 * side, 0.4), (0.3 * side, 0.82)], 0.15, skin)
        sketch.ellipse(0.3 * side, 0.86, 0.17, 0.08, shade(skin, 0.8))
    sketch.stroke(
        [(-0.46, -0.05), (-0.2, 0.08), (0.2, 0.08), (0.46, -0.05)], 0.06, shade(skin, 0.4)
    )


def horse(sketch: Sketch, rng: Generator) -> None:
    """A horse in profile: strong neck with a mane, long head, hanging tail."""
    fur = _fur(rng)
    mane = shade(fur, 0.35) if rng.random() < 0.7 else (235, 222, 190)
    sketch.stroke([(-0.6, 0.05), (-0.85, 0.2), (-0.88, 0.65)], 0.17, mane)
    _legs(sketch, (-0.52, -0.34, 0.18, 0.36), 0.25, 0.14, fur)
    sketch.ellipse(-0.1, 0.1, 0.58, 0.29, fur)
    nod = rng.uniform(-0.05, 0.15)
    sketch.polygon([(0.05, 0.0), (0.35, -0.72 + nod), (0.68, -0.62 + nod), (0.46, 0.22)], fur)
    sketch.stroke([(0.02, -0.12), (0.2, -0.5 + nod), (0.38, -0.8 + nod)], 0.19, mane)
    sketch.polygon([(0.4, -0.7 + nod), (0.46, -0.98 + nod), (0.56, -0.7 + nod)], fur)
    sketch.ellipse(0.7, -0.5 + nod, 0.34, 0.16, fur, tilt=38)
    sketch.ellipse(0.88, -0.35 + nod, 0.13, 0.11, shade(fur, 0.7), tilt=38)
    sketch.circle(0.6, -0.62 + nod, 0.05, BLACK)
    for x in (-0.52, 0.18):
        sketch.box(x - 0.08, 0.84, x + 0.08, 0.95, BLACK)


def ship(sketch: Sketch, rng: Generator) -> None:
    """A steamer with funnels, or a boat under sail."""
    hull = _paint(rng)
    if rng.random() < 0.4:
        _sails(sketch, rng)
    else:
        _deckhouse(sketch, rng)
    sketch.polygon([(-0.98, 0.22), (0.98, 0.14), (0.68, 0.66), (-0.72, 0.66)], hull)
    sketch.polygon([(-0.78, 0.55), (0.74, 0.55), (0.68, 0.68), (-0.72, 0.68)], shade(hull, 0.5))
    sketch.stroke([(-0.9, 0.24), (0.9, 0.18)], 0.06, shade(hull, 1.5))


def _sails(sketch: Sketch, rng: Generator) -> None:
    cloth = colour(rng, (0, 360), (0.0, 0.3), (0.8, 1.0))
    sketch.stroke([(-0.05, 0.3), (-0.05, -0.98)], 0.07, (90, 62, 40))
    sketch.polygon([(0.02, -0.92), (0.02, 0.08), (0.75, 0.08)], cloth)
    sketch.polygon([(-0.12, -0.75), (-0.12, 0.08), (-0.7, 0.08)], shade(cloth, 0.85))


def _deckhouse(sketch: Sketch, rng: Generator) -> None:
    white = colour(rng, (0, 360), (0.0, 0.08), (0.8, 1.0))
    funnel = colour(rng, (0, 360), (0.5, 0.9), (0.3, 0.9))
    for x in (-0.25, 0.15)[: rng.integers(1, 3)]:
        sketch.box(x - 0.1, -0.6, x + 0.1, -0.1, funnel)
        sketch.box(x - 0.1, -0.62, x + 0.1, -0.48, BLACK)
    sketch.box(-0.55, -0.12, 0.5, 0.25, white)
    sketch.box(-0.38, -0.3, 0.34, -0.1, shade(white, 0.85))
    for x in (-0.4, -0.15, 0.1, 0.35):
        sketch.circle(x, 0.05, 0.06, (60, 80, 110))


def truck(sketch: Sketch, rng: Generator) -> None:
    """A lorry: tall box behind, cab in front, two or three axles."""
    cab, cargo = _paint(rng), _paint(rng)
    top = rng.uniform(-0.72, -0.5)
    sketch.box(-0.97, top, 0.38, 0.4, cargo)
    sketch.box(-0.97, top, 0.38, top + 0.08, shade(cargo, 1.25))
    for x in (-0.6, -0.2, 0.2)[: rng.integers(0, 4)]:
        sketch.stroke([(x, top + 0.12), (x, 0.36)], 0.03, shade(cargo, 0.7))
    sketch.polygon(
        [(0.44, -0.3), (0.74, -0.3), (0.9, 0.02), (0.97, 0.08), (0.97, 0.42), (0.44, 0.42)], cab
    )
    sketch.polygon([(0.55, -0.2), (0.7, -0.2), (0.82, 0.02), (0.55, 0.02)], GLASS)
    sketch.box(-0.97, 0.36, 0.97, 0.46, BLACK)
    sketch.circle(0.92, 0.24, 0.06, (250, 240, 170))
    for x in (-0.7, 0.7, -0.3)[: rng.integers(2, 4)]:
        _wheel(sketch, x, 0.5, 0.19)


# In the order of handlers.cifar.model.CLASSES.
SUBJECTS: tuple[Subject, ...] = (plane, car, bird, cat, deer, dog, frog, horse, ship, truck)

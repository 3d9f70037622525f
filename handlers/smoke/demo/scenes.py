"""Satellite scenes drawn by program: land, water, clouds and smoke, and where the smoke is.

Reflectances of the six bands are mixed as in nature, roughly: a layer of optical depth tau lets
exp(-tau) of what is below through and adds its own colour. Smoke is thick in blue light and thin
in the infrared, water clouds are white in all bands but darker at 2.2 um: this is what a network
has to learn.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Field: TypeAlias = NDArray[np.floating[Any]]  # (H, W), or (H, W, 6)
Random: TypeAlias = np.random.Generator
Scene: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.bool_]]

# Reflectance in ABI's bands 1 to 6: 0.47, 0.64, 0.86, 1.37, 1.6 and 2.2 um.
FOREST = (0.05, 0.04, 0.32, 0.004, 0.17, 0.08)
GRASS = (0.07, 0.08, 0.30, 0.006, 0.26, 0.15)
SOIL = (0.10, 0.16, 0.25, 0.010, 0.34, 0.27)
DEEP = (0.06, 0.03, 0.015, 0.002, 0.006, 0.004)
MUDDY = (0.10, 0.09, 0.05, 0.002, 0.010, 0.006)
CLOUD = (0.78, 0.78, 0.76, 0.05, 0.55, 0.38)
CIRRUS = (0.60, 0.60, 0.60, 0.30, 0.35, 0.25)
SMOKE = (0.42, 0.40, 0.36, 0.010, 0.20, 0.10)
AIR = (0.055, 0.020, 0.007, 0.0, 0.0, 0.0)  # blue sky light
# Optical depth in each band, relative to the first.
THIN_IN_INFRARED = (1.0, 0.72, 0.42, 0.20, 0.14, 0.07)
ALIKE = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0)

VISIBLE = 0.22  # optical depth from which a pixel counts as smoke
PLUMES_PER_TILE = 1.6
TILE_PIXELS = 256 * 256


def draw(rng: Random, height: int = 256, width: int = 256) -> Scene:
    """Draw one scene.

    Returns:
        uint8 (H, W, 6), the numbers the network gets; bool (H, W), true where there is smoke.
    """
    shape = height, width
    bands = surface(rng, shape)
    depth = smoke(rng, shape)
    bands = veil(bands, depth, SMOKE, THIN_IN_INFRARED)
    bands = veil(bands, haze(rng, shape), SMOKE, ALIKE)
    over = clouds(rng, shape)
    bands = veil(bands, over, CLOUD, ALIKE)
    bands = veil(bands, cirrus(rng, shape), CIRRUS, ALIKE) + spectrum(AIR)
    # What a cloud hides is not there to be found.
    return numbers(bands, rng), (depth > VISIBLE) & (over < 1)


def numbers(reflectance: Field, rng: Random) -> NDArray[np.uint8]:
    """Reflectance to 0..255 as in the original's data: floor(sqrt(100 r) * 25.5), with noise."""
    noisy = reflectance + rng.normal(0, 0.0015, reflectance.shape)
    scaled: Field = np.floor(np.sqrt(100 * noisy.clip(0, 1)) * 25.5)
    return scaled.astype(np.uint8)


def fractal(rng: Random, shape: tuple[int, int], largest: float, slope: float = 1.5) -> Field:
    """Noise of mean 0 and deviation 1, with features of up to ``largest`` pixels.

    White noise filtered to a spectrum 1 / (f0**2 + f**2)**(slope / 2), f in cycles a pixel.
    """
    rows = np.fft.fftfreq(shape[0])[:, None]
    columns = np.fft.rfftfreq(shape[1])[None]
    scale = ((1 / largest) ** 2 + rows**2 + columns**2) ** (-slope / 2)
    noise = np.fft.irfft2(np.fft.rfft2(rng.normal(size=shape)) * scale, s=shape)
    flat = noise - noise.mean()
    field: Field = (flat / flat.std()).astype(np.float32)
    return field


def surface(rng: Random, shape: tuple[int, int]) -> Field:
    """Forest, grass and soil, with lakes or a sea: (H, W, 6)."""
    green = blend(FOREST, GRASS, sigmoid(2 * fractal(rng, shape, 60)))
    dry = sigmoid(2 * fractal(rng, shape, 120) + rng.uniform(-3, 1.5))
    land = green + (spectrum(SOIL) - green) * dry[..., None]
    land *= 1 + 0.10 * fractal(rng, shape, 14, 1.7)[..., None]
    water = blend(DEEP, MUDDY, sigmoid(2 * fractal(rng, shape, 80) - 1))
    coast = sigmoid(25 * (fractal(rng, shape, 90, 2.0) - rng.uniform(0.3, 2.2)))
    mixed: Field = land + (water - land) * coast[..., None]
    return mixed


def clouds(rng: Random, shape: tuple[int, int]) -> Field:
    """Optical depth of cumulus and stratus, (H, W)."""
    cover = rng.uniform(0.6, 2.5)
    shapes = fractal(rng, shape, rng.uniform(15, 90), 2.3) - cover
    return (2.5 * shapes).clip(0, 6)


def cirrus(rng: Random, shape: tuple[int, int]) -> Field:
    """Optical depth of high thin cloud; most scenes have little of it."""
    return rng.uniform(0, 0.3) * (fractal(rng, shape, 70, 2.0) - rng.uniform(0, 2)).clip(0, 2)


def haze(rng: Random, shape: tuple[int, int]) -> Field:
    """Optical depth of a weak even haze, which is no smoke."""
    depth: Field = rng.uniform(0, 0.05) * sigmoid(fractal(rng, shape, 200, 2.0))
    return depth


def smoke(rng: Random, shape: tuple[int, int]) -> Field:
    """Optical depth of all plumes at 0.47 um; their fires share one wind."""
    count = rng.poisson(PLUMES_PER_TILE * shape[0] * shape[1] / TILE_PIXELS)
    wind = rng.uniform(0, 2 * math.pi)
    depth = np.zeros(shape, np.float32)
    for _ in range(count):
        add_plume(depth, rng, wind + rng.normal(0, 0.25))
    if count:
        depth *= np.exp(0.35 * fractal(rng, shape, 25, 2.4))
    return depth


def add_plume(depth: Field, rng: Random, wind: float) -> None:
    """Add one plume to ``depth``: it widens and thins along its bent way."""
    height, width = depth.shape
    length, spread = rng.uniform(50, 170), rng.uniform(0.10, 0.24)
    y0, x0 = rng.uniform(0.02, 0.98, 2) * (height, width)
    reach = int(1.6 * length)
    rows = slice(max(0, int(y0) - reach), min(height, int(y0) + reach))
    columns = slice(max(0, int(x0) - reach), min(width, int(x0) + reach))
    y, x = np.ogrid[rows, columns]
    along = (x - x0) * math.cos(wind) + (y - y0) * math.sin(wind)
    across = (y - y0) * math.cos(wind) - (x - x0) * math.sin(wind)
    downwind = along.clip(0)
    across = across - _meander(rng, downwind, length)
    sigma = 2 + spread * downwind
    profile = np.exp(-0.5 * (across / sigma) ** 2) * (5 / (3 + sigma)) ** 0.5
    fade = sigmoid(2 * along) * sigmoid((length - along) / (0.08 * length))
    depth[rows, columns] += (rng.uniform(0.7, 2.2) * profile * fade).astype(np.float32)


def _meander(rng: Random, downwind: Any, length: float) -> Any:
    bend, waves = rng.normal(0, 0.12), rng.uniform(1, 3)
    sway = 0.03 * length * np.sin(waves * math.pi * downwind / length + rng.uniform(0, 6))
    return bend * downwind**2 / length + sway * downwind / length


def veil(below: Field, depth: Field, colour: tuple[float, ...], bands: tuple[float, ...]) -> Field:
    """Lay a layer of optical ``depth`` (H, W) over (H, W, 6)."""
    through = np.exp(-depth[..., None] * spectrum(bands))
    mixed: Field = below * through + spectrum(colour) * (1 - through)
    return mixed


def blend(first: tuple[float, ...], second: tuple[float, ...], share: Field) -> Field:
    """Mix two spectra by ``share`` of the second, (H, W) in [0, 1]."""
    start, end = spectrum(first), spectrum(second)
    mixed: Field = start + (end - start) * share[..., None]
    return mixed


def spectrum(values: tuple[float, ...]) -> Field:
    """Return one value a band as an array (6,)."""
    return np.array(values, np.float32)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))

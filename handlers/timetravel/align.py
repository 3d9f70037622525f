"""Cut a face out of a photograph, upright and centred, the way FFHQ's pictures were cut.

Source: the FFHQ data set (T. Karras et al., arXiv:1812.04948), with the sizes of the ageing
project: 256 pixels, no supersampling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 256

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Crop:
    """A picture and the tilted square in it that holds the face.

    Attributes:
        image: RGB.
        quad: (4, 2) corners x, y in pixels: top left, bottom left, bottom right, top right.
        size: side of the square in pixels.
    """

    image: Image.Image
    quad: Floats
    size: float

    @property
    def border(self) -> int:
        """Pixels kept around the square."""
        return max(int(np.rint(self.size * 0.1)), 3)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The upright rectangle around the square: left, top, right, bottom."""
        left, top = np.floor(self.quad.min(axis=0))
        right, bottom = np.ceil(self.quad.max(axis=0))
        return int(left), int(top), int(right), int(bottom)


def align(image: Image.Image, landmarks: Floats) -> Image.Image:
    """Cut a face out of ``image``.

    Args:
        image: RGB.
        landmarks: (68, 2) points x, y in pixels, numbered as iBUG 300-W does.

    Returns:
        RGB of 256 x 256. Where the photograph ends too early it is continued by its
        blurred mirror image.
    """
    quad = face_square(landmarks)
    size = 2 * float(np.hypot(*(quad[3] - quad[0]) / 2))
    crop = padded(cropped(shrunk(Crop(image, quad, size))))
    corners = tuple((crop.quad + 0.5).flatten().tolist())
    return crop.image.transform(
        (SIDE, SIDE), Image.Transform.QUAD, corners, Image.Resampling.BILINEAR
    )


def face_square(landmarks: Floats) -> Floats:
    """Return the corners (4, 2) of the square around a face, from its eyes and mouth."""
    points = np.asarray(landmarks, np.float64)
    left, right = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    eyes, between = (left + right) * 0.5, right - left
    down = (points[48] + points[54]) * 0.5 - eyes
    # Along the eyes, corrected by the mouth's direction turned by a right angle.
    across = between - np.array([-down[1], down[0]])
    across /= np.hypot(*across)
    across *= max(np.hypot(*between) * 2.0, np.hypot(*down) * 1.8)
    along = np.array([-across[1], across[0]])
    centre = eyes + down * 0.1
    corners = [
        centre - across - along,
        centre - across + along,
        centre + across + along,
        centre + across - along,
    ]
    return np.stack(corners)


def shrunk(crop: Crop) -> Crop:
    """Reduce a picture whose face is more than four times too large, by a whole number."""
    factor = math.floor(crop.size / SIDE * 0.5)
    if factor <= 1:
        return crop
    width, height = (int(np.rint(side / factor)) for side in crop.image.size)
    image = crop.image.resize((width, height), Image.Resampling.LANCZOS)
    return Crop(image, crop.quad / factor, crop.size / factor)


def cropped(crop: Crop) -> Crop:
    """Cut off what is far from the face."""
    (left, top, right, bottom), border = crop.box, crop.border
    width, height = crop.image.size
    left, top = max(left - border, 0), max(top - border, 0)
    right, bottom = min(right + border, width), min(bottom + border, height)
    if right - left >= width and bottom - top >= height:
        return crop
    image = crop.image.crop((left, top, right, bottom))
    return replace(crop, image=image, quad=crop.quad - (left, top))


def padded(crop: Crop) -> Crop:
    """Continue a picture that ends within the border around the face."""
    (left, top, right, bottom), border = crop.box, crop.border
    width, height = crop.image.size
    missing = (-left, -top, right - width, bottom - height)
    pad = [max(side + border, 0) for side in missing]
    if max(pad) <= border - 4:
        return crop
    pad = [max(side, int(np.rint(crop.size * 0.3))) for side in pad]
    pixels = _mirrored(np.asarray(crop.image, np.float32), pad)
    _fade(pixels, pad, crop.size * 0.02)
    image = Image.fromarray(np.rint(pixels).clip(0, 255).astype(np.uint8))
    return replace(crop, image=image, quad=crop.quad + pad[:2])


def _mirrored(pixels: Floats, pad: list[int]) -> Floats:
    left, top, right, bottom = pad
    return np.pad(pixels, ((top, bottom), (left, right), (0, 0)), "reflect")


def _fade(pixels: Floats, pad: list[int], sigma: float) -> None:
    """Blur ``pixels`` (H, W, 3) towards the edges, in place, then fade to their median colour."""
    depth = _depth(pixels.shape[0], pixels.shape[1], pad)
    pixels += (gaussian(pixels, sigma) - pixels) * np.clip(depth * 3 + 1, 0, 1)
    pixels += (np.median(pixels, axis=(0, 1)) - pixels) * np.clip(depth, 0, 1)


def _depth(height: int, width: int, pad: list[int]) -> Floats:
    """Return (H, W, 1): 1 at the edges, 0 where the picture begins, negative inside it."""
    x = np.arange(width, dtype=np.float32)
    y = np.arange(height, dtype=np.float32)[:, np.newaxis]
    left, top, right, bottom = (np.float32(side) for side in pad)
    across = 1 - np.minimum(x / left, (width - 1 - x) / right)
    down = 1 - np.minimum(y / top, (height - 1 - y) / bottom)
    depth: Floats = np.maximum(across, down)[:, :, np.newaxis]
    return depth


def gaussian(pixels: Floats, sigma: float) -> Floats:
    """Blur (H, W, C) float32 over H and W, cut off at four sigma, the picture mirrored around."""
    radius = int(4 * sigma + 0.5)
    steps = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 / (sigma * sigma) * steps**2)
    weights /= weights.sum()
    for axis in (0, 1):
        pixels = _filtered(pixels, weights, axis)
    return pixels


def _filtered(pixels: Floats, weights: Floats, axis: int) -> Floats:
    """Correlate one axis with symmetric ``weights``, adding up in float64."""
    radius, length = len(weights) // 2, pixels.shape[axis]
    around = [(0, 0)] * pixels.ndim
    around[axis] = (radius, radius)
    wide = np.moveaxis(np.pad(pixels, around, "symmetric"), axis, 0).astype(np.float64)
    total = wide[radius : radius + length] * weights[radius]
    for offset in range(1, radius + 1):
        before = wide[radius - offset : radius - offset + length]
        after = wide[radius + offset : radius + offset + length]
        total += (before + after) * weights[radius + offset]
    filtered: Floats = np.moveaxis(total, 0, axis).astype(np.float32)
    return filtered

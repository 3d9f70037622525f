"""What people see of an input: its picture, as large as a page has room for."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

SIDE = 1280
NPY_MAGIC = b"\x93NUMPY"
# Of an array's values, what is cut off at either end to stretch the rest over black to white.
CUT = 2
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)


def of_file(path: Path, *, upright: bool) -> Image.Image | None:
    """Return a file as a picture in RGB; None for what is none.

    Args:
        upright: turned as its EXIF orientation says, or as it is stored.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(NPY_MAGIC)) == NPY_MAGIC:
                return of_array(np.load(path, allow_pickle=False))
        return _opened(path, upright=upright)
    except UNREADABLE:
        return None


def _opened(path: Path, *, upright: bool) -> Image.Image:
    with Image.open(path) as opened:
        opened.draft("RGB", (SIDE, SIDE))
        picture = ImageOps.exif_transpose(opened) if upright else opened
        return limited(picture.convert("RGB"))


def original_size(path: Path) -> tuple[int, int] | None:
    """Return width and height of a picture as it is stored; None for what is none."""
    try:
        with Image.open(path) as opened:
            return opened.size
    except UNREADABLE:
        return None


def of_bytes(content: bytes) -> Image.Image:
    """Return a picture in RGB.

    Raises:
        ValueError: it is none.
    """
    try:
        with Image.open(io.BytesIO(content)) as opened:
            return opened.convert("RGB")
    except UNREADABLE as error:
        raise ValueError(f"no picture: {error}") from error


def limited(picture: Image.Image, side: int = SIDE) -> Image.Image:
    """Return a picture no larger than a page has room for."""
    small = picture.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return small


def of_array(array: NDArray[Any]) -> Image.Image | None:
    """Return an array of numbers as a picture, the first of several; None for what is none."""
    while array.ndim > 3:
        array = array[0]
    if array.ndim not in (2, 3) or array.size == 0 or array.dtype.kind not in "buif":
        return None
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[-1] not in (1, 3):
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 3:
        array = array[..., :3] if array.shape[-1] >= 3 else array[..., 0]
    return limited(Image.fromarray(_stretched(array)).convert("RGB"))


def _stretched(array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    values = np.nan_to_num(array.astype(np.float32))
    low, high = np.percentile(values, (CUT, 100 - CUT))
    shares = (values - low) / max(float(high - low), 1e-9)
    return np.ascontiguousarray((shares.clip(0, 1) * 255).astype(np.uint8))

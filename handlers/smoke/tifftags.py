"""The values of a GeoTIFF's tags: what it says of itself."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from handlers.runtime.errors import BadRequest
from handlers.runtime.tifftags import byte_order, entries, is_big

MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

WIDTH, HEIGHT, BITS, COMPRESSION = 256, 257, 258, 259
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS = 273, 277, 278, 279
PLANAR, PREDICTOR, SAMPLE_FORMAT = 284, 317, 339
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS = 322, 323, 324, 325
TAGS = {
    *(WIDTH, HEIGHT, BITS, COMPRESSION, STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS),
    *(PLANAR, PREDICTOR, SAMPLE_FORMAT, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS),
}
# Types of tag values that are whole numbers: bytes each takes.
INTEGERS = {1: 1, 3: 2, 4: 4, 16: 8}

# GDAL's own: the number that stands for "no data", as text.
NO_DATA = 42113
TEXT = 2
NUMBER = re.compile(
    rb"\s*([+-]?(?:nan|inf(?:inity)?|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?))", re.IGNORECASE
)
MAX_ENTRIES = 4096
# Each costs some time; 4096 lines of 7 separate bands are 28,672.
MAX_CHUNKS = 1 << 16

Tags = Mapping[int, tuple[int, ...]]


def is_tiff(data: bytes) -> bool:
    """Tell by the first four bytes."""
    return data.startswith(MAGICS)


def read_tags(data: bytes) -> Tags:
    """Read the first directory's whole-number tags; of a tag that comes twice the first counts.

    Raises:
        BadRequest, struct.error: the file ends too early.
    """
    tags: dict[int, tuple[int, ...]] = {}
    for tag, kind, count, field in entries(data, MAX_ENTRIES):
        if tag in tags or tag not in TAGS or kind not in INTEGERS or not 0 < count <= MAX_CHUNKS:
            continue
        size = INTEGERS[kind] * count
        value = _value(data, field, size)
        if len(value) < size:
            raise BadRequest(f"the TIFF file is truncated: tag {tag} lies outside of it")
        numbers = np.frombuffer(value[:size], f"{byte_order(data)}u{INTEGERS[kind]}")
        tags[tag] = tuple(numbers.tolist())
    return tags


def one(tags: Tags, tag: int, default: int) -> int:
    """Return a tag's first number."""
    return tags.get(tag, (default,))[0]


def no_data(data: bytes, dtype: np.dtype[np.generic]) -> Any:
    """Return what GDAL reads where the file has nothing: its GDAL_NODATA as ``dtype``, else 0.

    A number that the type does not have becomes the nearest that it has, as there.
    """
    for tag, kind, count, field in entries(data, MAX_ENTRIES):
        if tag == NO_DATA and kind == TEXT:
            found = NUMBER.match(_value(data, field, min(count, 100)))
            return _fitted(found[1].decode(), dtype) if found else 0
    return 0


def _fitted(text: str, dtype: np.dtype[np.generic]) -> Any:
    value = float(text)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return dtype.type(value)
    if math.isnan(value):
        return 0
    limits = np.iinfo(dtype.name)
    # Exactly where it can be: 64 bits are more than a float holds.
    whole = int(text) if re.fullmatch(r"[+-]?\d+", text) else _rounded(value)
    return min(max(whole, limits.min), limits.max)


def _rounded(value: float) -> int:
    """Round halves away from zero; what is too large for any type, to what is as well."""
    bounded = min(max(value, -1e30), 1e30)
    return int(math.copysign(math.floor(abs(bounded) + 0.5), bounded))


def _value(data: bytes, field: bytes, size: int) -> bytes:
    """Return an entry's value of ``size`` bytes, which lies elsewhere if it is too long."""
    if size <= len(field):
        return field[:size]
    (at,) = struct.unpack(byte_order(data) + ("Q" if is_big(data) else "I"), field)
    return data[at : at + size]

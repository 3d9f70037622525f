"""Write a scene as the original's tiles are stored: a GeoTIFF of seven bands, the last a mask."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SHORT, LONG, DOUBLE = 3, 4, 12
FORMATS = {SHORT: "H", LONG: "I", DOUBLE: "d"}
WEST, NORTH, TILE_DEGREES = -120.9375, 42.1875, 2.8125  # a tile of zoom 7
# GeoTIFF keys: version; a geographic system, pixels are areas, EPSG:4326.
GEO_KEYS = (1, 1, 0, 3, 1024, 0, 1, 2, 1025, 0, 1, 1, 2048, 0, 1, 4326)


def write_geotiff(path: Path, bands: NDArray[np.uint8]) -> None:
    """Write uint8 (H, W, 6) and a mask of 255, deflate with predictor 2, in one strip."""
    height, width, count = bands.shape
    masked = np.dstack([bands, np.full((height, width, 1), 255, np.uint8)])
    differences = np.diff(masked, axis=1, prepend=np.zeros((height, 1, count + 1), np.uint8))
    strip = zlib.compress(differences.tobytes(), 9)
    degrees = TILE_DEGREES / width
    path.write_bytes(
        _file(
            {
                256: (LONG, [width]),
                257: (LONG, [height]),
                258: (SHORT, [8] * (count + 1)),
                259: (SHORT, [8]),  # deflate
                262: (SHORT, [1]),
                277: (SHORT, [count + 1]),
                278: (LONG, [height]),
                284: (SHORT, [1]),  # bands together
                317: (SHORT, [2]),  # horizontal differences
                338: (SHORT, [0] * (count - 1) + [2]),  # the last extra band is a mask
                339: (SHORT, [1] * (count + 1)),
                33550: (DOUBLE, [degrees, degrees, 0]),
                33922: (DOUBLE, [0, 0, 0, WEST, NORTH, 0]),
                34735: (SHORT, [*GEO_KEYS]),
            },
            strip,
        )
    )


def _file(tags: dict[int, tuple[int, list[int] | list[float]]], strip: bytes) -> bytes:
    """Return header, strip, the tags' values that do not fit in their entries, and entries."""
    tags = tags | {273: (LONG, [8]), 279: (LONG, [len(strip)])}
    body = b"II*\0" + bytes(4) + strip + bytes(-len(strip) % 2)
    entries = b""
    for tag, (kind, values) in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}{FORMATS[kind]}", *values)
        if len(packed) > 4:
            packed, body = struct.pack("<I", len(body)), body + packed
        entries += struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return body[:4] + struct.pack("<I", len(body)) + body[8:] + directory

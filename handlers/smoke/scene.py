"""From what was sent to scenes of six bands, checked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from handlers.runtime.arrays import NPY_MAGIC, Array, check_numeric
from handlers.runtime.errors import BadRequest, TooLarge
from handlers.runtime.payload import Payload
from handlers.smoke.geotiff import read_geotiff
from handlers.smoke.model import BANDS, TILE
from handlers.smoke.tifftags import is_tiff

TIFF = "image/tiff"
# Bands are 0 to 255, a little outside when normalised or without data (-9999); anything far
# from that would overflow in the network.
LARGEST = 1e6
# What the numbers of some formats reach, where that is less.
LARGEST_OF = {"fp16": 65504.0}


def read_scenes(payloads: Sequence[Payload], max_pixels: int) -> Array:
    """Return the scenes of one request.

    Returns:
        (N, H, W, 6), H and W at least 256; uint8 where that was sent, else float32.

    Raises:
        BadRequest: what was sent is no such scene, or the scenes differ in size.
        TooLarge: together more than ``max_pixels``.
    """
    parts = [_read(payload) for payload in payloads]
    sizes = sorted({part.shape[1:3] for part in parts})
    if len(sizes) > 1:
        raise BadRequest(f"the scenes of one request must be of one size, found {sizes}")
    pixels = sum(part.size for part in parts) // BANDS
    if pixels > max_pixels:
        raise TooLarge(
            f"the request holds {pixels} pixels, at most {max_pixels} are taken; send less at a "
            "time (or raise marquee.max_pixels in model-config.yaml)"
        )
    scenes = np.concatenate(parts) if len(parts) > 1 else parts[0]
    if scenes.dtype == np.uint8:
        return np.ascontiguousarray(scenes)
    if _beyond(scenes, LARGEST):
        raise BadRequest(f"{_range(scenes)}; expected bands as 0 to 255")
    return np.ascontiguousarray(scenes, dtype=np.float32)


def check_range(scenes: Array, precision: str) -> None:
    """Refuse numbers that the format the network runs in cannot hold.

    Raises:
        BadRequest: names the precision, and what to do.
    """
    largest = LARGEST_OF.get(precision, LARGEST)
    if scenes.dtype != np.uint8 and _beyond(scenes, largest):
        raise BadRequest(
            f"{_range(scenes)}, and this server runs the model in {precision}, which holds "
            f"numbers up to {largest:g}; expected bands as 0 to 255 (or serve it with "
            "marquee.precision bf16 or fp32)"
        )


def _beyond(scenes: Array, largest: float) -> bool:
    return bool(scenes.max() > largest or scenes.min() < -largest)


def _range(scenes: Array) -> str:
    return f"the numbers go from {scenes.min():g} to {scenes.max():g}"


def _read(payload: Payload) -> Array:
    """Return (N, H, W, 6) of any number type."""
    data = payload.data
    if payload.is_array:
        return _shaped(payload.array())
    if isinstance(data, bytes) and is_tiff(data):
        # The original's GeoTIFFs have a mask as their seventh and last band.
        with payload.watch.stage("decode"):
            scene = read_geotiff(data, max_pixels=payload.max_pixels, bands=(BANDS, BANDS + 1))
            return _shaped(check_numeric(scene[..., :BANDS]))
    raise BadRequest(
        f"the {len(data)} bytes are neither a GeoTIFF nor an array; send a TIFF of six bands, an "
        f".npy file (it begins with {NPY_MAGIC!r}) or nested JSON lists"
    )


def _shaped(array: Array) -> Array:
    """Return (N, H, W, 6); a single scene becomes N = 1."""
    if array.ndim not in (3, 4) or array.shape[-1] != BANDS or min(array.shape[-3:-1]) < TILE:
        raise BadRequest(
            f"the array's shape is {array.shape}; expected (H, W, 6) or (N, H, W, 6), channels "
            f"last, H and W at least {TILE}{_advice(array)}"
        )
    return array if array.ndim == 4 else array[np.newaxis]


def _advice(array: Array) -> str:
    if array.ndim not in (3, 4):
        return ""
    if array.shape[-3] == BANDS:
        return "; move the bands' axis to the end (numpy.moveaxis(array, -3, -1))"
    if array.shape[-1] == BANDS + 1:
        return "; leave out the last band, the mask (array[..., :6])"
    return ""

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


def read_scenes(payloads: Sequence[Payload], max_pixels: int) -> Array:
    """Return the scenes of one request.

    Returns:
        (N, H, W, 6), H and W at least 256; float32, or uint8 where that was sent and a scene is
        larger than a tile.

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
    if scenes.dtype == np.uint8 and sizes[0] != (TILE, TILE):
        return np.ascontiguousarray(scenes)
    if scenes.dtype != np.uint8 and (scenes.max() > LARGEST or scenes.min() < -LARGEST):
        raise BadRequest(
            f"the numbers go from {scenes.min():g} to {scenes.max():g}; expected bands as 0 to 255"
        )
    return np.ascontiguousarray(scenes, dtype=np.float32)


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

"""Image bytes to RGB pictures, whatever format and mode they come in, within bounds."""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

from handlers.runtime.errors import BadRequest, TooLarge, Unprocessable

# Formats whose decoders run in-process and are widely fuzzed. Not among them: EPS and
# PDF-like ones, which start an external interpreter.
Image.init()  # registers all decoders; open() alone would know the most common only
FORMATS = tuple(
    name
    for name in ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
    if name in Image.OPEN  # AVIF and WebP depend on how Pillow was built
)

EXIF_ORIENTATION = 0x0112
# EXIF 2.32, tag 274: what has to be done to the stored pixels to see them upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# A reduced JPEG decode stays at least this much larger than what is needed, so that
# the resize that follows still averages over whole pixels.
REDUCED_MARGIN = 2


def open_image(
    data: bytes,
    *,
    max_pixels: int,
    upright: bool = True,
    reduced_to: tuple[int, int] | None = None,
) -> Image.Image:
    """Decode an image file to an RGB picture; of animations and documents the first frame.

    Args:
        data: the file's bytes.
        max_pixels: width times height that is still decoded.
        upright: apply the EXIF orientation.
        reduced_to: (width, height) the caller will resize to; lets a JPEG be decoded at
            1/2, 1/4 or 1/8 scale (never below twice that size). Changes pixels slightly:
            for models that tolerate it only.

    Returns:
        A picture in mode RGB; transparency is dropped, 16-bit gray scaled to 8 bits.

    Raises:
        BadRequest: not an image, or damaged.
        TooLarge: more than ``max_pixels``.
        Unprocessable: a pixel format without a defined way to RGB.
    """
    if not data:
        raise BadRequest("the body is empty; send the bytes of an image file")
    image = _identify(data, max_pixels)
    _check_pixels(image, max_pixels)
    if reduced_to is not None:
        wanted = max(reduced_to) * REDUCED_MARGIN
        image.draft(image.mode, (wanted, wanted))
    rgb = to_rgb(_decode(image))
    # Only now: reading a PNG's EXIF data decodes it as well, and would hide that it is damaged.
    orientation = _orientation(image) if upright else 1
    return rgb.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else rgb


def _identify(data: bytes, max_pixels: int) -> Image.Image:
    with warnings.catch_warnings():
        # max_pixels is checked below, by our own number and with our own words.
        warnings.simplefilter("ignore")
        try:
            return Image.open(io.BytesIO(data), formats=FORMATS)
        except Image.DecompressionBombError as error:
            raise TooLarge(f"the image has far more than {max_pixels} pixels") from error
        except UnidentifiedImageError as error:
            raise BadRequest(
                f"the {len(data)} bytes are no image that can be read; expected JPEG, PNG, WebP, "
                "GIF, BMP, TIFF or PPM (with curl: -T file, or --data-binary @file)"
            ) from error
        except Exception as error:
            raise _damaged(error) from error


def _check_pixels(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise BadRequest(f"the image is {width} x {height} pixels; it must have at least one")
    if width * height > max_pixels:
        raise TooLarge(
            f"the image is {width} x {height} = {width * height} pixels, at most {max_pixels} "
            "are decoded; send a smaller one (or raise marquee.max_pixels in model-config.yaml)"
        )


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation; unreadable EXIF data says nothing about it."""
    try:
        return int(image.getexif().get(EXIF_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - damaged EXIF raises almost anything; the pixels may still be fine
        return 1


def _decode(image: Image.Image) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image.load()
        except MemoryError:
            raise
        except Exception as error:  # decoders raise almost anything on damaged data
            raise _damaged(error) from error
    return image


def _damaged(error: Exception) -> BadRequest:
    return BadRequest(f"the image is truncated or damaged ({type(error).__name__}: {error})")


def to_rgb(image: Image.Image) -> Image.Image:
    """Return ``image`` in mode RGB.

    Raises:
        Unprocessable: floating-point pixels, whose range is not known.
    """
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):
        return _from_integers(image).convert("RGB")
    if image.mode == "F":
        raise Unprocessable(
            "the image has floating-point pixels, whose range is unknown; "
            "convert it to 8 or 16 bits, or send the numbers as application/x-npy"
        )
    if image.mode == "LAB":
        raise Unprocessable("the image is in the LAB colour space; convert it to RGB")
    return image.convert("RGB")


def _from_integers(image: Image.Image) -> Image.Image:
    """Scale 16-bit gray (modes I;16*, or I as some files open) to 8 bits: x // 256."""
    values = np.asarray(image).astype(np.int64).clip(0, 0xFFFF)
    return Image.fromarray((values >> 8).astype(np.uint8))

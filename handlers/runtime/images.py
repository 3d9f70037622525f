"""Image bytes to RGB pictures, whatever format and mode they come in, within bounds."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image, UnidentifiedImageError

from handlers.runtime import jpegfile, pngfile
from handlers.runtime.errors import BadRequest, RequestError, TooLarge, Unprocessable
from handlers.runtime.looks import is_image, looks_like
from handlers.runtime.quiet import quiet
from handlers.runtime.tifffile import check_tiff

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
# What undoes each: the others undo themselves.
UNDONE = {6: 8, 8: 6}
# A reduced JPEG decode stays at least this much larger than what is needed, so that the resize
# that follows averages over as many pixels as to make up for those that the decoder averaged. With
# twice, cifar's probabilities moved six times as far (`python -m bench.reduced_decoding`).
REDUCED_MARGIN = 6
ROWS_COMPARED = 256
# PBM, PGM and PPM as text, half a second a megabyte.
LETTERS, MAX_LETTERS = re.compile(rb"P[123]\s"), 1 << 22


class Damaged(BadRequest):
    """An image file whose pixels cannot all be read."""

    def __init__(self, reason: Exception | str) -> None:
        text = reason if isinstance(reason, str) else f"{type(reason).__name__}: {reason}"
        super().__init__(f"the image is truncated or damaged ({text})")


def open_image(
    data: bytes,
    *,
    max_pixels: int,
    upright: bool = True,
    reduced_to: tuple[int, int] | None = None,
    spend: Callable[[int], None] = lambda _: None,
) -> Image.Image:
    """Decode an image file to an RGB picture; of animations and documents the first frame.

    Args:
        data: the file's bytes.
        max_pixels: width times height that is still decoded.
        upright: apply the EXIF orientation.
        reduced_to: (width, height) the caller will resize to; lets a JPEG be decoded at
            1/2, 1/4 or 1/8 scale (never below six times that size). Changes pixels slightly:
            for models that tolerate it only.
        spend: is told the pixels before they are decoded, and may refuse them.

    Returns:
        A picture in mode RGB; transparency is dropped, 16-bit gray scaled to 8 bits.

    Raises:
        BadRequest: not an image, or damaged.
        TooLarge: more than ``max_pixels``.
        Unprocessable: a pixel format without a defined way to RGB.
    """
    if not data:
        raise BadRequest("the body is empty; send the bytes of an image file")
    check_tiff(data, max_pixels)
    jpegfile.check_scans(data)
    pngfile.check_chunks(data)
    _check_letters(data)
    read = partial(
        _read, max_pixels=max_pixels, upright=upright, reduced_to=reduced_to, spend=spend
    )
    with quiet():  # what Pillow warns of is refused or passed over, by our own bounds
        try:
            return read(data)
        except Damaged:
            mended = _read_leniently(data, read)
            if mended is None:
                raise
            return mended


def pixels_by_header(data: bytes) -> int:
    """Return how many pixels the beginning of a JPEG or PNG file promises; 0 of anything else."""
    try:
        with quiet(), Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            pixels: int = image.width * image.height
            return pixels
    except Exception:  # noqa: BLE001 - what is damaged is told where it is decoded
        return 0


def _read(
    data: bytes,
    *,
    max_pixels: int,
    upright: bool,
    reduced_to: tuple[int, int] | None,
    spend: Callable[[int], None],
) -> Image.Image:
    image = _identify(data, max_pixels)
    _check_pixels(image, max_pixels)
    spend(image.width * image.height)
    if reduced_to is not None:
        wanted = max(reduced_to) * REDUCED_MARGIN
        image.draft(image.mode, (wanted, wanted))
    # Pillow turns a TIFF while it decodes it, and forgets its orientation.
    turned = _orientation(image) if image.format == "TIFF" else 1
    rgb = _decoded(image)
    if image.format == "TIFF":
        return rgb if upright else _transposed(rgb, UNDONE.get(turned, turned))
    # Only now: reading a PNG's EXIF data decodes it as well, and would hide that it is damaged.
    return _transposed(rgb, _orientation(image)) if upright else rgb


def _read_leniently(data: bytes, read: Callable[[bytes], Image.Image]) -> Image.Image | None:
    """Read a file whose pixels are all there, though it is damaged; None if they are not."""
    if data.startswith(jpegfile.SIGNATURE):
        if not jpegfile.has_all_scans(data):
            return None
        picture, other = (read(each) for each in jpegfile.ended(data))
        return picture if _equal(picture, other) else None
    bare = pngfile.without_metadata(data)
    return None if bare is None else read(bare)


def _equal(one: Image.Image, other: Image.Image) -> bool:
    """Compare two pictures, a few rows at a time to bound the memory."""
    if one.size != other.size:
        return False
    boxes = [
        (0, top, one.width, top + ROWS_COMPARED) for top in range(0, one.height, ROWS_COMPARED)
    ]
    return all(one.crop(box).tobytes() == other.crop(box).tobytes() for box in boxes)


def _transposed(picture: Image.Image, orientation: int) -> Image.Image:
    return picture.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else picture


def _identify(data: bytes, max_pixels: int) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except MemoryError:
        raise
    except Image.DecompressionBombError as error:
        raise TooLarge(f"the image has far more than {max_pixels} pixels") from error
    except UnidentifiedImageError as error:
        raise _unidentified(data) from error
    except Exception as error:
        raise Damaged(error) from error


def _unidentified(data: bytes) -> BadRequest:
    if is_image(data):
        return Damaged("its first bytes are an image's, what follows is not")
    what = looks_like(data)
    return BadRequest(
        f"the {len(data)} bytes are no image that can be read"
        f"{f'; they look like {what}' if what else ''}. Expected JPEG, PNG, WebP, "
        "GIF, BMP, TIFF, PPM or AVIF (with curl: -T file, or --data-binary @file)"
    )


def _check_letters(data: bytes) -> None:
    """Refuse a long file whose pixels are written in letters: Pillow reads them one by one."""
    if LETTERS.match(data) and len(data) > MAX_LETTERS:
        raise TooLarge(
            f"the picture's numbers are written as text, {len(data)} bytes of it, at most "
            f"{MAX_LETTERS} are read; save it in a binary form, such as PNG"
        )


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


def _decoded(image: Image.Image) -> Image.Image:
    """Return an opened picture's pixels, in mode RGB."""
    try:
        image.load()
        return to_rgb(image)
    except (MemoryError, RequestError):
        raise
    except Exception as error:  # decoders raise almost anything on damaged data
        raise Damaged(error) from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Return ``image`` in mode RGB.

    Raises:
        Unprocessable: floating-point pixels, whose range is not known.
        BadRequest: the numbers of a palette that is not there.
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
    if image.mode == "P" and image.palette is None:
        raise Damaged("its colours are numbers of a palette, which it lacks")
    if image.mode == "LAB":
        raise Unprocessable("the image is in the LAB colour space; convert it to RGB")
    return image.convert("RGB")


def _from_integers(image: Image.Image) -> Image.Image:
    """Scale 16-bit gray (modes I;16*, or I as some files open) to 8 bits: x // 256."""
    values = np.asarray(image)
    if values.dtype != np.uint16:
        values = values.clip(0, 0xFFFF)
    return Image.fromarray((values >> 8).astype(np.uint8))

"""One input of a request, as it was sent: bytes of a file, or nested lists of numbers."""

from __future__ import annotations

import base64
import binascii
import re
import string
from dataclasses import dataclass
from typing import Any

from PIL import Image

from handlers.runtime.arrays import NPY_MAGIC, Array, check_numeric, from_lists, read_npy
from handlers.runtime.errors import BadRequest, TooLarge, UnsupportedMediaType
from handlers.runtime.images import open_image
from handlers.runtime.looks import is_image
from handlers.runtime.media import NPY, media_type
from handlers.runtime.stopwatch import Stopwatch

DATA_URL = re.compile(r"^\s*data:(?P<type>[\w.+/*-]*)(;[^,]*)?;[ ]*base64[ ]*,", re.IGNORECASE)
# What of base64 a URL may have escaped.
ESCAPES = (("%2B", "+"), ("%2F", "/"), ("%3D", "="), ("%0D", ""), ("%0A", ""), ("%20", ""))
BASE64_LETTERS = (string.ascii_letters + string.digits + "+/-_=\r\n\t ").encode()
# Bytes that tell nearly always that a body is no text, before all of it is looked at.
PROBED = 256
URL_SAFE = str.maketrans("-_", "+/")


@dataclass
class Purse:
    """The pixels that one request may still have decoded, over all of its pictures."""

    left: int

    def spend(self, pixels: int) -> None:
        """Take pixels out.

        Raises:
            TooLarge: there are not so many left.
        """
        if pixels > self.left:
            raise TooLarge(
                f"the pictures of this request have too many pixels together (the next {pixels}, "
                f"and {self.left} are left); send fewer at a time"
            )
        self.left -= pixels


@dataclass(frozen=True)
class Payload:
    """One input; ``data`` is decoded only when a handler asks for it.

    Attributes:
        data: bytes of a file, or nested lists of numbers from JSON.
        content_type: media type of ``data``; empty when unknown.
        max_pixels: the limit that ``image`` applies.
        watch: gets the decoding time.
        purse: pays for the pixels of all inputs of the request.
    """

    data: bytes | list[Any]
    content_type: str
    max_pixels: int
    watch: Stopwatch
    purse: Purse

    @property
    def is_array(self) -> bool:
        """Whether this holds numbers rather than an image file."""
        if isinstance(self.data, list):
            return True
        return self.content_type == NPY or self.data.startswith(NPY_MAGIC)

    def array(self) -> Array:
        """Return the numbers, finite, at least one, of any integer or float dtype and shape.

        Raises:
            BadRequest: not an array, damaged, ragged, empty, NaN or infinite.
        """
        with self.watch.stage("decode"):
            if isinstance(self.data, list):
                return from_lists(self.data)
            return check_numeric(read_npy(self.data))

    def image(
        self, *, upright: bool = True, reduced_to: tuple[int, int] | None = None
    ) -> Image.Image:
        """Return the picture in mode RGB; see :func:`handlers.runtime.images.open_image`.

        Raises:
            UnsupportedMediaType: numbers were sent where a picture is needed.
        """
        if not isinstance(self.data, bytes) or self.is_array:
            raise UnsupportedMediaType("this model reads image files, not arrays of numbers")
        with self.watch.stage("decode"):
            return open_image(
                self.data,
                max_pixels=self.max_pixels,
                upright=upright,
                reduced_to=reduced_to,
                spend=self.purse.spend,
            )


def from_text(data: bytes) -> tuple[bytes, str] | None:
    """Return what base64 text or a data: URL that came as bytes holds, and its media type.

    Returns:
        None for anything else, and where base64 letters by chance spell no image and no array.
    """
    start = data[:64].lstrip()[:5].lower()
    if start != b"data:" and data[:PROBED].translate(None, BASE64_LETTERS):
        return None
    if start != b"data:" and data.translate(None, BASE64_LETTERS):
        return None
    try:
        decoded, media = from_base64(data.decode("ascii"), "body")
    except (BadRequest, UnicodeDecodeError):
        return None
    return (decoded, media) if is_image(decoded) or decoded.startswith(NPY_MAGIC) else None


def from_base64(text: str, name: str) -> tuple[bytes, str]:
    """Decode base64 text (line breaks, URL-safe letters, a data: prefix tolerated).

    Returns:
        The bytes, and the media type that a data: prefix named (else empty).

    Raises:
        BadRequest: ``name`` is the field that is no base64.
    """
    prefix = DATA_URL.match(text)
    media = media_type(prefix["type"]) if prefix else ""
    letters = text[prefix.end() if prefix else 0 :]
    try:
        # As most send it, there is nothing to mend: of 100 MB, every pass counts.
        return base64.b64decode(letters, validate=True), media
    except ValueError:
        letters = "".join(letters.split()).translate(URL_SAFE)
    for escape, letter in ESCAPES if prefix else ():
        letters = letters.replace(escape, letter).replace(escape.lower(), letter)
    bare = letters.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True), media
    except (binascii.Error, ValueError) as error:
        raise BadRequest(
            f"'{name}' is no base64 text ({error}); expected the file's bytes in base64"
        ) from error

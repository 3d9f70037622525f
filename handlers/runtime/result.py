"""What a model answers, and its bytes in the type the client asked for."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from handlers.runtime import jsontext
from handlers.runtime.arrays import Array, write_npy
from handlers.runtime.errors import NotAcceptable
from handlers.runtime.media import JPEG, JSON, NPY, PNG

# libjpeg's JPEG_MAX_DIMENSION; the format itself has room for 65,535.
LARGEST_JPEG_SIDE = 65_500


@dataclass(frozen=True)
class Result:
    """A model's answer to one request, in as many forms as the model declares to produce.

    Attributes:
        json: any JSON value, arrays in it are printed as nested lists; when absent, ``array``
            or ``image``.
        image: uint8 (H, W, 3) RGB or (H, W) gray.
        array: any numeric array; when absent, ``image``.
        jpeg_quality: 1 to 95.
    """

    json: Any = None
    image: Array | None = None
    array: Array | None = None
    jpeg_quality: int = 90

    def encode(self, media: str) -> bytes:
        """Return the answer's bytes in ``media``.

        Raises:
            LookupError: the model declared ``media`` but gave no such form.
            NotAcceptable: the picture is longer than a JPEG can be.
        """
        encoders = {JSON: self._json, NPY: self._npy, PNG: self._png, JPEG: self._jpeg}
        if media not in encoders:
            raise LookupError(f"there is no encoder for {media}")
        return encoders[media]()

    @property
    def numbers(self) -> Array:
        """What ``application/x-npy`` has.

        Raises:
            LookupError: the model gave neither an array nor an image.
        """
        numbers = self.image if self.array is None else self.array
        if numbers is None:
            raise LookupError("the result has neither an array nor an image")
        return numbers

    @property
    def value(self) -> Any:
        """What ``application/json`` has."""
        return self.numbers if self.json is None else self.json

    def _json(self) -> bytes:
        # NaN is no JSON: better our own error than an answer the client cannot parse.
        return jsontext.dumps(self.value)

    def _npy(self) -> bytes:
        return write_npy(self.numbers)

    def _picture(self) -> Image.Image:
        if self.image is None:
            raise LookupError("the result has no image")
        return Image.fromarray(np.ascontiguousarray(self.image))

    def _png(self) -> bytes:
        stream = io.BytesIO()
        # Level 1: a third of the default's time for some percent more bytes.
        self._picture().save(stream, "PNG", compress_level=1)
        return stream.getvalue()

    def _jpeg(self) -> bytes:
        picture = self._picture()
        check_jpeg_size(*picture.size)
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=self.jpeg_quality)
        return stream.getvalue()


def check_jpeg_size(width: int, height: int) -> None:
    """Refuse a picture that no JPEG can hold.

    Raises:
        NotAcceptable: says what to ask for instead.
    """
    if max(width, height) > LARGEST_JPEG_SIDE:
        raise NotAcceptable(
            f"the picture would be {width} x {height} pixels, a JPEG has at most "
            f"{LARGEST_JPEG_SIDE} a side; ask for {PNG} (Accept), or send a smaller picture"
        )

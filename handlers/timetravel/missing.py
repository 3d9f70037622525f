"""What is answered where a picture has no such face."""

from __future__ import annotations

from PIL import Image

from handlers.runtime.errors import Unprocessable

INSTEAD = "send a square picture of the face alone with align=false"


def check_face(image: Image.Image, index: int, found: int) -> None:
    """Refuse a picture that has no face ``index``, counted from 0, among those found.

    Raises:
        Unprocessable: there is no face, or fewer.
    """
    if not found:
        raise Unprocessable(
            f"no face was found in the picture of {image.width} x {image.height} pixels; a "
            f"face must look at the camera and be upright, or {INSTEAD}"
        )
    if index >= found:
        raise Unprocessable(
            f"face is {index}, but {found} were found; expected 0 to {found - 1}, "
            "the most certain first"
        )

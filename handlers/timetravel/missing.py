"""What is answered where a picture has no such face."""

from __future__ import annotations

from PIL import Image

from handlers.runtime.errors import Unprocessable

INSTEAD = "send a square picture of the face alone with align=false"


def no_face(image: Image.Image) -> Unprocessable:
    """Return the refusal of a picture without any face."""
    return Unprocessable(
        f"no face was found in the picture of {image.width} x {image.height} pixels; a "
        f"face must look at the camera and be upright, or {INSTEAD}"
    )


def no_such_face(index: int, found: int) -> Unprocessable:
    """Return the refusal of face ``index`` where there are fewer."""
    return Unprocessable(
        f"face is {index}, but {found} were found; expected 0 to {found - 1}, "
        "the most certain first"
    )

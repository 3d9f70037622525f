"""What is sent: a small PNG, and a photo at any size as JPEG."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache

from PIL import Image

from tests.support import ROOT

SMALL = ROOT / "tests" / "golden" / "cifar" / "4_deer.png"  # whose answer is no class for sure
PHOTO = ROOT / "handlers" / "inkwash" / "example.jpg"
# How far a probability may be from the network's own: float32 sums in another order, or a JPEG
# that was decoded at a smaller scale.
EXACT, REDUCED = 1e-3, 0.05
# The photo at 256 px, whose probabilities a reduced scale moves by up to 0.16.
SMALL_REDUCED = 0.2


@dataclass(frozen=True)
class Picture:
    """A file that is sent.

    Attributes:
        title: for tables.
        body: its bytes.
        tolerance: of the probabilities that must come back.
    """

    title: str
    body: bytes
    tolerance: float


@cache
def photo(width: int, height: int) -> bytes:
    """Return the photo at a size, as JPEG of quality 90."""
    buffer = io.BytesIO()
    with Image.open(PHOTO) as picture:
        picture.convert("RGB").resize((width, height)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@cache
def pictures() -> dict[str, Picture]:
    """Return those of the table, by name."""
    return {
        "png": Picture("32 px PNG", SMALL.read_bytes(), EXACT),
        "1080p": Picture("1080p JPEG", photo(1920, 1080), REDUCED),
        "12mp": Picture("12 MP JPEG", photo(4000, 3000), REDUCED),
    }

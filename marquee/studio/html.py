"""HTML that is made here: templates, whose values are escaped, and pictures inside them."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from marquee.media import suffix_of

PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=StrictUndefined,
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
UNITS = ("bytes", "kB", "MB", "GB")


def render(name: str, **values: Any) -> str:
    """Return a template of ours, filled in."""
    return PAGES.get_template(f"{name}.html.j2").render(values)


def uri(picture: Image.Image) -> str:
    """Return a picture as an address that holds all of it; lossless where it is see-through."""
    stream = io.BytesIO()
    if picture.mode in ("RGBA", "L"):
        picture.save(stream, "PNG")
        return data_uri(stream.getvalue(), "image/png")
    picture.save(stream, "JPEG", quality=90)
    return data_uri(stream.getvalue(), "image/jpeg")


def data_uri(content: bytes, media: str) -> str:
    """Return a file as an address that holds all of it."""
    return f"data:{media};base64,{base64.b64encode(content).decode()}"


def size(count: int) -> str:
    """Return a number of bytes as people read it."""
    number, units = float(count), iter(UNITS)
    unit = next(units)
    while number >= 1000 and unit != UNITS[-1]:
        number, unit = number / 1000, next(units)
    return f"{number:.0f} {unit}" if unit == "bytes" or number >= 100 else f"{number:.1f} {unit}"


def duration(seconds: float) -> str:
    """Return a time as people read it."""
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def suffix(media: str) -> str:
    """Return how the name of a file of this type ends."""
    return suffix_of(media)


PAGES.filters |= {"size": size, "duration": duration}

"""Media types by file name, and file names by media type."""

from __future__ import annotations

import mimetypes
from pathlib import PurePath

JSON = "application/json"
OCTETS = "application/octet-stream"
# Stated here, as what a system's own table knows differs from machine to machine.
BY_SUFFIX = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".npy": "application/x-npy",
    ".json": JSON,
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".ppm": "image/x-portable-pixmap",
    ".csv": "text/csv",
    ".txt": "text/plain",
}
# What handlers answer in, so that `-o x.png` need not be said twice.
ANSWERS = (".png", ".jpg", ".jpeg", ".npy", ".json")


def type_of(file: PurePath) -> str:
    """Return the media type that a file's name says; bytes of no known type for others.

    Handlers look into such bytes themselves, so that an image without a suffix works.
    """
    suffix = file.suffix.lower()
    return BY_SUFFIX.get(suffix) or mimetypes.guess_type(file.name)[0] or OCTETS


def suffix_of(content_type: str) -> str:
    """Return the suffix, such as ``.png``, for a file with a body of this type."""
    media = content_type.partition(";")[0].strip().lower()
    known = next((suffix for suffix, one in BY_SUFFIX.items() if one == media), None)
    return known or mimetypes.guess_extension(media) or ".bin"


def accepted(word: str) -> str:
    """Return the media type for a short name such as ``png``; anything with a slash as it is."""
    return word if "/" in word else BY_SUFFIX.get(f".{word.lower()}", word)

"""Media types by file name and by bytes, and file names by media type."""

from __future__ import annotations

import mimetypes
from pathlib import Path, PurePath

from marquee.signatures import HEAD, JSON, is_text, type_of_bytes

OCTETS = "application/octet-stream"
# Stated here, as what a system's own table knows differs from machine to machine.
BY_SUFFIX = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".npy": "application/x-npy",
    ".npz": "application/x-npz",
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
# Types whose files begin as their kind demands: what begins otherwise is none of them.
_TOLD_BY_BYTES = frozenset(BY_SUFFIX.values()) - {"text/csv", "text/plain", JSON}
# Much else is kept in these, and other text may begin as those: a name can tell more.
_PACKED = frozenset({"application/zip", "application/gzip"})
_VAGUE = _PACKED | {"image/x-portable-pixmap", JSON}
_TEXT = ("text/", JSON, "application/xml", "application/x-ndjson", "application/yaml")
_PYTHONS_TYPES = mimetypes.MimeTypes()


def type_of(name: PurePath) -> str:
    """Return the media type that a file's name says; bytes of no known type for others."""
    return _by_name(name) or OCTETS


def type_of_file(file: Path) -> str:
    """Return the media type of a file.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as opened:
        return type_by(file, opened.read(HEAD))


def type_by(name: PurePath, head: bytes) -> str:
    """Return the media type of a file by its name and its first bytes.

    Bytes that are of one kind only overrule the name: ``photo.jpg.bak``, ``photo`` and a PNG called
    ``photo.jpg`` are what they hold. Handlers look themselves into bytes of no known type.
    """
    said, seen = _by_name(name), type_of_bytes(head)
    if seen is None or (said is not None and seen in _VAGUE and _may_begin_so(said, seen)):
        return said or OCTETS
    return seen


def _may_begin_so(said: str, seen: str) -> bool:
    return said not in _TOLD_BY_BYTES and not (seen in _PACKED and is_shown(said))


def answer_type(content_type: str, head: bytes) -> str:
    """Return an answer's media type: by its bytes where the server does not say one.

    TorchServe sends no type with the answers of handlers that set none.
    """
    media = media_type(content_type)
    if media not in ("", OCTETS):
        return content_type
    return type_of_bytes(head) or ("text/plain" if is_text(head, cut=True) else OCTETS)


def is_shown(content_type: str) -> bool:
    """Whether an answer of this type is text, for a terminal."""
    media = media_type(content_type)
    return media.startswith(_TEXT) or media.endswith("+json")


def suffix_of(content_type: str) -> str:
    """Return the suffix, such as ``.png``, for a file with a body of this type."""
    media = media_type(content_type)
    known = next((suffix for suffix, one in BY_SUFFIX.items() if one == media), None)
    return known or _PYTHONS_TYPES.guess_extension(media) or ".bin"


def accepted(word: str) -> str:
    """Return the media type for a short name such as ``png``; anything with a slash as it is."""
    return word if "/" in word else BY_SUFFIX.get(f".{word.lower()}", word)


def media_type(content_type: str) -> str:
    """Return a Content-Type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def _by_name(name: PurePath) -> str | None:
    """Return what the last known of a name's suffixes says: that of ``rows.csv.bak`` is csv."""
    for suffix in reversed(name.suffixes):
        known = BY_SUFFIX.get(suffix.lower()) or _PYTHONS_TYPES.guess_type(f"x{suffix}")[0]
        if known not in (None, OCTETS):
            return known
    return None

"""Media types by file name and by first bytes, and file names by media type."""

from __future__ import annotations

import mimetypes
import re
from pathlib import Path, PurePath

OCTETS = "application/octet-stream"
JSON = "application/json"
# As many first bytes as the functions here want to see.
HEAD = 1024
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
_STARTS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
    b"II+\0": "image/tiff",  # of over 4 GB
    b"MM\0+": "image/tiff",
    b"\x93NUMPY": "application/x-npy",
    b"%PDF-": "application/pdf",
    b"\x1f\x8b": "application/gzip",
}
_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"mif1": "image/heif",
}
_PPM = re.compile(rb"P[1-6]\s+(#|\d)")
_JSON = re.compile(rb'(\xef\xbb\xbf)?\s*(\{\s*["}]|\[\s*["\[\]{tfn\d-]|[\[{]\s*\Z)')
# A terminal's own (tab, line ends, backspace, escape) are found in text, the others are not.
_NO_TEXT = re.compile(rb"[\x00-\x07\x0e-\x1a\x1c-\x1f\x7f]")


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


def type_of_bytes(head: bytes) -> str | None:
    """Return the media type that the first :data:`HEAD` bytes tell, or None."""
    known = (kind for start, kind in _STARTS.items() if head.startswith(start))
    return next(known, None) or _container(head) or _text(head)


def _container(head: bytes) -> str | None:
    if head.startswith(b"PK\x03\x04"):  # the first member's name follows at 30
        return "application/x-npz" if b".npy" in head[30:130] else "application/zip"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        # The first brand, then a version, then all brands: an AVIF may name another one first.
        return "image/avif" if b"avif" in head[8:64] else _BRANDS.get(head[8:12])
    # The letters alone begin text, too; four bytes are reserved.
    return "image/bmp" if head.startswith(b"BM") and head[6:10] == bytes(4) else None


def _text(head: bytes) -> str | None:
    if _PPM.match(head):
        return "image/x-portable-pixmap"
    return JSON if _JSON.match(head) and is_text(head, cut=True) else None


def is_text(data: bytes, *, cut: bool = False) -> bool:
    """Tell whether bytes are text in UTF-8; with ``cut``, the last letter may be incomplete."""
    if _NO_TEXT.search(data):
        return False
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return cut and error.reason == "unexpected end of data"
    return True

"""What bytes are by their beginning, for files and answers whose name or type does not say."""

from __future__ import annotations

import re

JSON = "application/json"
# As many bytes as the functions here want to see.
HEAD = 1024
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

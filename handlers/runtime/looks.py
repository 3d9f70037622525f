"""What bytes look like, by how they begin: said in the refusal of what is no image."""

from __future__ import annotations

import re

# Of a body; enough for every sign below, whatever the body's size.
HEAD_BYTES = 1024

# The first bytes, and what begins so.
_SIGNS = (
    (b"\x93NUMPY", "an .npy array"),
    (b"PK\x03\x04", "a zip archive, such as an .npz file or an Office document"),
    (b"\x1f\x8b", "gzip-compressed data; send the file uncompressed"),
    (b"%PDF-", "a PDF document; send its page as an image"),
    (b"%!PS", "a PostScript document; send it as an image"),
    (b"8BPS", "a Photoshop document; export it as JPEG or PNG"),
    (b"BZh", "bzip2-compressed data; send the file uncompressed"),
    (b"\xfd7zXZ\x00", "xz-compressed data; send the file uncompressed"),
    (b"(\xb5/\xfd", "zstd-compressed data; send the file uncompressed"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"SIMPLE  =", "a FITS file"),
    (b"DICM", "a DICOM file"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image; convert it to JPEG or PNG"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image; convert it to JPEG or PNG"),
    (b"\xff\x0a", "a JPEG XL image; convert it to JPEG or PNG"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL image; convert it to JPEG or PNG"),
    (b"\x00\x00\x01\x00", "a Windows icon; convert it to PNG"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video; send a frame of it as an image"),
    (b"OggS", "an Ogg sound or video"),
    (b"ID3", "an MP3 sound"),
    (b"fLaC", "a FLAC sound"),
    (b"{\\rtf", "an RTF document"),
    (b"\x80\x02", "a Python pickle, which is never loaded"),
    (b"\x80\x04\x95", "a Python pickle, which is never loaded"),
    (b"\x80\x05\x95", "a Python pickle, which is never loaded"),
    (b"\xff\xfe", "text in UTF-16; send UTF-8"),
    (b"\xfe\xff", "text in UTF-16; send UTF-8"),
)
# Kinds of the ISO base media format (ISO/IEC 14496-12), which states its own at byte 8.
_BRANDS = {b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"}
# Images by their first bytes; each has a decoder in Pillow.
_IMAGES = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"II*\x00",
    b"MM\x00*",
    b"II+\x00",
    b"MM\x00+",
)
_NETPBM = re.compile(rb"P[1-7]\s")
# The same for text, in lower case, behind a byte order mark and space.
_TEXT_SIGNS = (
    (b"data:", "a data: URL that holds no base64 of an image"),
    (b"<svg", "an SVG drawing; render it to PNG"),
    (b"<?xml", "an XML document"),
    *(
        (sign, "an HTML page, perhaps the error page of where the image was fetched")
        for sign in (b"<!doctype html", b"<html", b"<head", b"<body")
    ),
    (b"version https://git-lfs", "a git-lfs pointer; fetch the file itself with: git lfs pull"),
    (b"--", "a multipart form; declare it, with its boundary, in Content-Type"),
    *(
        (sign, "JSON text that is not valid; send it as application/json to see where")
        for sign in (b"{", b"[", b'"')
    ),
    *(
        (sign, "an address; the server fetches nothing, send the file's bytes")
        for sign in (b"http://", b"https://", b"s3://", b"file://")
    ),
)
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{16,}={0,2}")
_FORM = re.compile(rb"[\w.%+-]+=[^\s<>]*")


def is_image(data: bytes) -> bool:
    """Tell whether bytes begin as an image file does; whether they can be decoded is not said."""
    if data.startswith(_IMAGES):
        return True
    if data[:4] == b"RIFF":
        return data[8:12] == b"WEBP"
    if data[:2] == b"BM":
        return data[6:10] == b"\0\0\0\0"  # reserved; two letters alone say little
    if _NETPBM.match(data[:3]):
        return True
    return data[4:8] == b"ftyp" and data[8:12] in (b"avif", b"avis")


def looks_like(data: bytes) -> str | None:
    """Return what bytes that are no image look like, with a hint where there is one.

    Args:
        data: of any size; no more than the first ``HEAD_BYTES`` are looked at.

    Returns:
        Words such as ``JSON text``, or None for bytes that nothing is known of.
    """
    head = data[:HEAD_BYTES]
    for sign, what in _SIGNS:
        if head.startswith(sign):
            return what
    return _container(head) or _text(head)


def _container(head: bytes) -> str | None:
    if head[4:8] == b"ftyp":
        if head[8:12] in _BRANDS:
            return "a HEIC photo, which phones save; convert it to JPEG (or set the camera to it)"
        return "an MP4 or QuickTime video; send a frame of it as an image"
    if head[:4] == b"RIFF":
        return {b"AVI ": "an AVI video", b"WAVE": "a WAV sound"}.get(head[8:12], "a RIFF file")
    if head[128:132] == b"DICM":
        return "a DICOM file"
    return "a tar archive" if head[257:262] == b"ustar" else None


def _text(head: bytes) -> str | None:
    """Return what text looks like; None for what is no text."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith(b"<?xml") and b"<svg" in start:
        start = b"<svg"
    if start.startswith(b"--") and b"content-disposition" not in start:
        return _plain_text(head, start)
    for sign, what in _TEXT_SIGNS:
        if start.startswith(sign):
            return what
    return _plain_text(head, start)


def _plain_text(head: bytes, start: bytes) -> str | None:
    if not head or any(byte < 9 or 13 < byte < 27 for byte in head):
        return None
    first = head.split(maxsplit=1)[0] if head.split() else b""
    if _BASE64.fullmatch(first):
        return "base64 text, of something that is no image"
    if _FORM.match(start):
        return "a web form; send the file's bytes, or multipart/form-data with a part 'image'"
    return "text"

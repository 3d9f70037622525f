"""PNG files whose metadata is damaged, or more than a decoder takes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from itertools import islice

from handlers.runtime.errors import TooLarge

# Each costs a decoder some microseconds, however small it is; usual ones have 8 kB or more.
MAX_CHUNKS = 1 << 16
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# PNG, third edition, 11.2 and 11.3: the chunks that pixels depend on, the animation's (of which
# only the first frame is read) left out, and eXIf, which says what is up.
PNG_KEPT = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf"}


def check_chunks(data: bytes) -> None:
    """Refuse a file of more than ``MAX_CHUNKS`` chunks; other files are left alone.

    Raises:
        TooLarge: there are more.
    """
    chunks = _png_chunks(data) if data.startswith(PNG_SIGNATURE) else iter(())
    if sum(1 for _ in islice(chunks, MAX_CHUNKS + 1)) > MAX_CHUNKS:
        raise TooLarge(f"the PNG has more than {MAX_CHUNKS} chunks; save it again")


def without_metadata(data: bytes) -> bytes | None:
    """Return a PNG file without texts, profiles and times; None if there are none, or it is no PNG.

    Decoders bound what such chunks may unpack to, and refuse the file where one holds more, though
    its pixels need none of them. Takes the memory of the file once more.
    """
    if not data.startswith(PNG_SIGNATURE):
        return None
    chunks = [(kind, part) for kind, part in _png_chunks(data) if kind in PNG_KEPT]
    kept = b"".join([PNG_SIGNATURE, *(part for kind, part in chunks if _sound(kind, part))])
    return kept if len(kept) < len(data) else None


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield kind and bytes of each chunk: length, kind, content, checksum."""
    view, at = memoryview(data), len(PNG_SIGNATURE)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, view[at : at + length + 12]
        at += length + 12


def _sound(kind: bytes, part: memoryview) -> bool:
    """Tell whether a chunk is worth keeping: of eXIf only one whose checksum is right."""
    return kind != b"eXIf" or zlib.crc32(part[4:-4]) == int.from_bytes(part[-4:], "big")

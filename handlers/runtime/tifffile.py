"""What a TIFF file claims of its tiles and strips, checked before anything is decoded."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from handlers.runtime.errors import BadRequest, TooLarge

# TIFF 6.0 and BigTIFF: the byte order, and 42 or 43; Pillow reads two with the bytes of 42 turned.
ORDERS = {
    b"II*\0": ("<", False),
    b"MM\0*": (">", False),
    b"II\0*": ("<", False),
    b"MM*\0": (">", False),
    b"II+\0": ("<", True),
    b"MM\0+": (">", True),
}
# Types whose single values are read here: byte, short, long, and BigTIFF's eight bytes.
TYPES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}

WIDTH, HEIGHT, SAMPLES, ROWS, PLANAR = 256, 257, 277, 278, 284
STRIPS, TILE_WIDTH, TILE_HEIGHT, TILES = 273, 322, 323, 324
ASKED = (WIDTH, HEIGHT, SAMPLES, ROWS, PLANAR, STRIPS, TILE_WIDTH, TILE_HEIGHT, TILES)
# A tile may be larger than a small picture; decoders keep one in memory.
MAX_TILE = 1 << 22
# For each tile or strip some hundred bytes are kept; fifty rows make a strip of usual files.
MAX_PIECES = 1 << 17
# Some writers list a few more than there are.
SPARE_PIECES = 8


@dataclass(frozen=True)
class Tag:
    """The count of a tag's values, and its value where it has one."""

    count: int
    value: int


def check_tiff(data: bytes, max_pixels: int) -> None:
    """Refuse a file whose tiles or strips cost more than its picture; others are left alone.

    Raises:
        TooLarge: one tile, all tiles together, or their number is too large.
        BadRequest: a tag comes twice, so that two readers could take different ones.
    """
    if data[:4] in ORDERS:
        tags = _tags(data)
        width, height = _value(tags, WIDTH), _value(tags, HEIGHT)
        pieces = _check_pieces(tags, width, height)
        if TILE_WIDTH in tags or TILE_HEIGHT in tags:
            tile = _value(tags, TILE_WIDTH), _value(tags, TILE_HEIGHT)
            _check_tiles(tile, (width, height), max_pixels)
        elif pieces:
            _check_strips(_value(tags, ROWS, height), (width, height))


def _check_pieces(tags: dict[int, Tag], width: int, height: int) -> int:
    pieces = max((tags[tag].count for tag in (STRIPS, TILES) if tag in tags), default=0)
    if pieces > MAX_PIECES:
        raise TooLarge(
            f"the TIFF has {pieces} strips or tiles, at most {MAX_PIECES} are read; save it with "
            "larger ones"
        )
    across, down = max(1, _value(tags, TILE_WIDTH, width)), _value(tags, ROWS, height)
    down = max(1, _value(tags, TILE_HEIGHT, down))
    planes = _value(tags, SAMPLES, 1) if _value(tags, PLANAR, 1) == 2 else 1
    expected = -(-width // across) * -(-height // down) * planes
    if pieces > expected + SPARE_PIECES:
        raise TooLarge(
            f"the TIFF has {pieces} strips or tiles, its {width} x {height} pixels need "
            f"{expected}; save it again"
        )
    return pieces


def _check_tiles(tile: tuple[int, int], size: tuple[int, int], max_pixels: int) -> None:
    pixels, (width, height) = size[0] * size[1], tile
    if width * height > max(MAX_TILE, pixels):
        raise TooLarge(
            f"the TIFF has tiles of {width} x {height} pixels for a picture of {size[0]} x "
            f"{size[1]}; at most {MAX_TILE} pixels are decoded beyond it: save it with tiles of "
            "256 x 256, or in strips"
        )
    padded = -(-size[0] // max(1, width)) * width * -(-size[1] // max(1, height)) * height
    if padded > max(2 * pixels, max_pixels):
        raise TooLarge(
            f"the tiles of the TIFF have {padded} pixels for a picture of {pixels}; save it with "
            "smaller tiles, or in strips"
        )


def _check_strips(rows: int, size: tuple[int, int]) -> None:
    # All ones stand for a single strip; usual writers also name a few rows too many.
    if rows != 0xFFFFFFFF and rows > size[1] and rows * size[0] > max(MAX_TILE, size[0] * size[1]):
        raise TooLarge(
            f"the TIFF has strips of {rows} rows for a picture of {size[0]} x {size[1]}; save it "
            "with fewer rows a strip"
        )


def _value(tags: dict[int, Tag], tag: int, default: int = 0) -> int:
    return tags[tag].value if tag in tags else default


def _tags(data: bytes) -> dict[int, Tag]:
    """Read the tags of the first directory that are asked for, as far as the file goes."""
    order, is_big = ORDERS[data[:4]]
    found: dict[int, Tag] = {}
    try:
        at = struct.unpack_from(order + ("Q" if is_big else "I"), data, 8 if is_big else 4)[0]
        (count,) = struct.unpack_from(order + ("Q" if is_big else "H"), data, at)
        entry = struct.Struct(order + ("HHQ8s" if is_big else "HHI4s"))
        first = at + (8 if is_big else 2)
        for place in range(first, min(first + count * entry.size, len(data)), entry.size):
            tag, kind, values, raw = entry.unpack_from(data, place)
            if tag in ASKED:
                if tag in found:
                    raise BadRequest(f"the TIFF has tag {tag} twice; save it again")
                found[tag] = Tag(values, _single(order, kind, raw))
    except (struct.error, OverflowError):
        return found
    return found


def _single(order: str, kind: int, raw: bytes) -> int:
    form = order + TYPES.get(kind, "B")
    return int(struct.unpack_from(form, raw)[0]) if struct.calcsize(form) <= len(raw) else 0

"""What a TIFF file claims of its tiles and strips, checked before anything is decoded."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from handlers.runtime.errors import BadRequest, TooLarge
from handlers.runtime.tifftags import Entry, byte_order, entries

# TIFF 6.0 and BigTIFF; Pillow reads two with the bytes of 42 turned.
MAGICS = (b"II*\0", b"MM\0*", b"II\0*", b"MM*\0", b"II+\0", b"MM\0+")
# The types of whole numbers, signed ones too, which readers take as well: TIFF 6.0, BigTIFF.
TYPES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
# A directory's count has 16 bits; BigTIFF's has more, which nobody needs.
MAX_ENTRIES = 1 << 16

WIDTH, HEIGHT, SAMPLES, ROWS, PLANAR = 256, 257, 277, 278, 284
COMPRESSION, STRIPS, TILE_WIDTH, TILE_HEIGHT, TILES = 259, 273, 322, 323, 324
SINGLE = (WIDTH, HEIGHT, COMPRESSION, SAMPLES, ROWS, PLANAR, TILE_WIDTH, TILE_HEIGHT)
ASKED = (*SINGLE, STRIPS, TILES)
# A tile may be larger than a small picture; decoders keep one in memory.
MAX_TILE = 1 << 22
# For each tile or strip some hundred bytes are kept; fifty rows make a strip of usual files.
MAX_PIECES = 1 << 17
# Of each damaged row of a fax, libtiff writes a line into the worker's log, and goes on. So many
# are a sheet of 1.4 m at 600 dpi.
FAX, MAX_FAX_ROWS = (2, 3, 4, 32771), 1 << 15
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
        TooLarge: one tile, all tiles together, or their number is too large, or a fax is too long.
        BadRequest: a tag comes twice, or is no whole number, so that two readers could take
            different ones.
    """
    if data.startswith(MAGICS):
        tags = _tags(data)
        width, height = _value(tags, WIDTH), _value(tags, HEIGHT)
        if _value(tags, COMPRESSION) in FAX and height > MAX_FAX_ROWS:
            raise TooLarge(
                f"the TIFF has {height} rows packed as a fax, at most {MAX_FAX_ROWS} are decoded; "
                "save it with another compression, such as LZW"
            )
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
    tags: dict[int, Tag] = {}
    try:
        for entry in entries(data, MAX_ENTRIES):
            if entry.tag in ASKED:
                if entry.tag in tags:
                    raise BadRequest(f"the TIFF has tag {entry.tag} twice; save it again")
                tags[entry.tag] = Tag(entry.number, _single(data, entry))
    except (struct.error, OverflowError):
        return tags
    return tags


def _single(data: bytes, entry: Entry) -> int:
    """Return the value of a tag that has one; of others only the count is asked."""
    if entry.tag not in SINGLE:
        return 0
    kind = TYPES.get(entry.kind)
    value = struct.unpack_from(byte_order(data) + kind, entry.field)[0] if kind else -1
    if entry.number != 1 or value < 0:
        raise BadRequest(
            f"the TIFF's tag {entry.tag} is no whole number (type {entry.kind}, {entry.number} "
            "values); save it again"
        )
    return int(value)

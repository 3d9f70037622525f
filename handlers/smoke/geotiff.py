"""GeoTIFFs with any number of bands, as remote sensing writes them and Pillow does not read them.

The structure is read here (TIFF 6.0, and BigTIFF with 64-bit offsets); each compressed strip
or tile is handed to Pillow's decoder as a gray picture of its bytes. Where on Earth the scene
lies is of no interest to the network and not read.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from PIL import Image

from handlers.runtime.arrays import Array
from handlers.runtime.errors import BadRequest, TooLarge, Unprocessable
from handlers.runtime.tifftags import byte_order
from handlers.smoke.tifftags import (
    BITS,
    COMPRESSION,
    HEIGHT,
    MAX_CHUNKS,
    PLANAR,
    PREDICTOR,
    ROWS_PER_STRIP,
    SAMPLE_FORMAT,
    SAMPLES,
    STRIP_COUNTS,
    STRIP_OFFSETS,
    TILE_COUNTS,
    TILE_HEIGHT,
    TILE_OFFSETS,
    TILE_WIDTH,
    WIDTH,
    Tags,
    is_tiff,
    no_data,
    one,
    read_tags,
)

NONE = 1
COMPRESSIONS = {5: "LZW", 8: "deflate", 32946: "deflate", 32773: "PackBits"}
KINDS = {1: "u", 2: "i", 3: "f", 4: "u"}
# Pillow warns of larger pictures.
MAX_CHUNK_BYTES = 1 << 26
# Tiles reach over the edges: unpacked they are more than the picture. So many times the bytes of
# the largest picture that is read are unpacked at most, a few seconds' work.
MAX_OVERHANG = 2
# Tiles that are alike may lie in one place: so many times its length a file may be read.
MAX_SHARED = 2


# So much is unpacked at once, where chunks are small.
BATCH_BYTES = 1 << 22

# Band, row and column of a chunk's first pixel.
Corner = tuple[int, int, int]


@dataclass(frozen=True)
class Layout:
    """How the pixels lie in the file.

    Attributes:
        shape: (H, W, bands).
        chunk: (rows, columns) of a strip or tile.
        separate: each band has strips or tiles of its own.
        strips: the last chunk has only the rows that are left; tiles are always whole.
        dtype: of a number, in the file's byte order.
    """

    shape: tuple[int, int, int]
    chunk: tuple[int, int]
    separate: bool
    strips: bool
    dtype: np.dtype[np.generic]
    compression: int
    predictor: int
    offsets: tuple[int, ...]
    counts: tuple[int, ...]

    @property
    def together(self) -> int:
        """How many bands a chunk has."""
        return 1 if self.separate else self.shape[2]

    @property
    def row_bytes(self) -> int:
        """The bytes of a chunk's row, unpacked."""
        return self.chunk[1] * self.together * self.dtype.itemsize

    def rows_of(self, corner: Corner) -> int:
        """Return how many rows a chunk has in the file."""
        return min(self.chunk[0], self.shape[0] - corner[1]) if self.strips else self.chunk[0]

    def chunks(self) -> Iterator[Corner]:
        """Yield (band, row, column) of each chunk's corner, in the file's order."""
        height, width, bands = self.shape
        for band in range(bands if self.separate else 1):
            for row in range(0, height, self.chunk[0]):
                for column in range(0, width, self.chunk[1]):
                    yield band, row, column


def read_geotiff(data: bytes, *, max_pixels: int, bands: Collection[int]) -> Array:
    """Return the first picture of a TIFF file, (H, W, bands), of the file's number type.

    Uncompressed, LZW, deflate and PackBits; strips and tiles; bands together or apart; integers
    and floating point of 8 to 64 bits; predictors 2 and 3.

    Args:
        data: the file's bytes.
        max_pixels: height times width that is still read.
        bands: how many there may be.

    Raises:
        BadRequest: no TIFF, truncated, damaged, or of another number of bands.
        TooLarge: more than ``max_pixels``.
        Unprocessable: a valid TIFF of a kind that is not read.
    """
    if not is_tiff(data):
        raise BadRequest(f"the {len(data)} bytes are no TIFF file")
    try:
        tags = read_tags(data)
        layout = _layout(tags, byte_order(data))
    except (struct.error, IndexError, KeyError, OverflowError) as error:
        raise BadRequest("the TIFF file is truncated or damaged in its tags") from error
    _check_shape(layout.shape, max_pixels, bands)
    _check_encoding(layout)
    _check_chunks(layout)
    _check_work(layout, max_pixels, len(data))
    native = layout.dtype.newbyteorder("=")
    # What GDAL left out, since there were no data, has the value that it reads there.
    pixels = np.full(layout.shape, no_data(data, native), native)
    rows, columns = layout.chunk
    for corners, packed in _batches(layout, data):
        unpacked = _unpacked(layout, packed, layout.rows_of(corners[0]))
        for (band, row, column), chunk in zip(corners, unpacked, strict=True):
            which = slice(band, band + 1) if layout.separate else slice(None)
            target = pixels[row : row + rows, column : column + columns, which]
            target[...] = chunk[: target.shape[0], : target.shape[1]]
    return pixels


def _batches(layout: Layout, data: bytes) -> Iterator[tuple[list[Corner], list[bytes]]]:
    """Yield the corners and the bytes of chunks of as many rows that follow each other.

    Each call of Pillow's decoder takes half a millisecond, however small a chunk is.
    """
    corners: list[Corner] = []
    packed: list[bytes] = []
    left = 0
    listed = zip(layout.chunks(), layout.offsets, layout.counts, strict=False)
    for corner, offset, count in listed:
        if not count:
            continue
        size = max(count, layout.rows_of(corner) * layout.row_bytes)
        if corners and (size > left or layout.rows_of(corner) != layout.rows_of(corners[0])):
            yield corners, packed
            corners, packed = [], []
        left = (left if corners else BATCH_BYTES) - size
        corners.append(corner)
        packed.append(data[offset : offset + count])
    if corners:
        yield corners, packed


def _layout(tags: Tags, order: str) -> Layout:
    height, width = tags[HEIGHT][0], tags[WIDTH][0]
    tiled = TILE_WIDTH in tags
    rows = tags[TILE_HEIGHT][0] if tiled else min(one(tags, ROWS_PER_STRIP, height), height)
    return Layout(
        shape=(height, width, one(tags, SAMPLES, 1)),
        chunk=(rows, tags[TILE_WIDTH][0] if tiled else width),
        separate=one(tags, PLANAR, 1) == 2,
        strips=not tiled,
        dtype=_dtype(tags, order),
        compression=one(tags, COMPRESSION, NONE),
        predictor=one(tags, PREDICTOR, 1),
        offsets=tags.get(TILE_OFFSETS if tiled else STRIP_OFFSETS, ()),
        counts=tags.get(TILE_COUNTS if tiled else STRIP_COUNTS, ()),
    )


def _dtype(tags: Tags, order: str) -> np.dtype[np.generic]:
    bits, formats = set(tags.get(BITS, (1,))), set(tags.get(SAMPLE_FORMAT, (1,)))
    kind, size = KINDS.get(min(formats), ""), min(bits)
    allowed = (16, 32, 64) if kind == "f" else (8, 16, 32, 64)
    if len(bits) > 1 or len(formats) > 1 or not kind or size not in allowed:
        raise Unprocessable(
            f"the TIFF's numbers have {sorted(bits)} bits in format {sorted(formats)}; expected "
            "one of 8, 16, 32 or 64 bits for all bands, integer or floating point"
        )
    return np.dtype(f"{order}{kind}{size // 8}")


def _check_shape(shape: tuple[int, int, int], max_pixels: int, bands: Collection[int]) -> None:
    height, width, count = shape
    if count not in bands:
        expected = " or ".join(str(number) for number in bands)
        raise BadRequest(f"the TIFF has {count} bands, expected {expected}")
    if not height * width:
        raise BadRequest(f"the TIFF is {width} x {height} pixels; it must have at least one")
    if height * width > max_pixels:
        raise TooLarge(
            f"the scene is {width} x {height} = {width * height} pixels, at most {max_pixels} "
            "are taken; cut it (or raise marquee.max_pixels in model-config.yaml)"
        )


def _check_encoding(layout: Layout) -> None:
    if layout.compression != NONE and layout.compression not in COMPRESSIONS:
        raise Unprocessable(
            f"the TIFF's compression {layout.compression} is not read; expected none, LZW, deflate "
            "or PackBits (gdal_translate -co COMPRESS=DEFLATE in.tif out.tif)"
        )
    if layout.predictor not in (1, 2, 3) or (layout.predictor == 3 and layout.dtype.kind != "f"):
        raise Unprocessable(f"the TIFF's predictor {layout.predictor} is not read; expected 1 to 3")


def _check_chunks(layout: Layout) -> None:
    height, width, bands = layout.shape
    rows, columns = layout.chunk
    together = 1 if layout.separate else bands
    size = rows * columns * layout.dtype.itemsize * together
    needed = -(-height // max(rows, 1)) * -(-width // max(columns, 1)) * (bands // together)
    if not 0 < size <= MAX_CHUNK_BYTES or needed > MAX_CHUNKS:
        raise Unprocessable(
            f"the TIFF has {needed} strips or tiles of {size} bytes; at most {MAX_CHUNKS} of at "
            f"most {MAX_CHUNK_BYTES} are read; write it anew (gdal_translate -co TILED=YES)"
        )
    if min(len(layout.offsets), len(layout.counts)) < needed:
        raise BadRequest(
            f"the TIFF needs {needed} strips or tiles, but lists {len(layout.offsets)}; "
            "it is damaged"
        )


def _check_work(layout: Layout, max_pixels: int, length: int) -> None:
    """Bound what is unpacked in all, and what it is unpacked from: many may share one place."""
    rows, columns = layout.chunk
    bands = layout.shape[2]
    used = [count for _, count in zip(layout.chunks(), layout.counts, strict=False) if count]
    pixel = layout.dtype.itemsize * (1 if layout.separate else bands)
    unpacked = len(used) * rows * columns * pixel
    most = MAX_OVERHANG * max_pixels * bands * layout.dtype.itemsize
    packed, most_packed = sum(used), MAX_SHARED * length + MAX_CHUNK_BYTES
    if unpacked > most or packed > most_packed:
        raise TooLarge(
            f"the TIFF's {len(used)} strips or tiles unpack {packed} bytes to {unpacked}, at most "
            f"{most_packed} to {most} are read; write it anew (gdal_translate -co TILED=YES)"
        )


def _unpacked(layout: Layout, packed: list[bytes], rows: int) -> Array:
    """Return strips or tiles (N, rows, columns, bands) in the machine's byte order."""
    lines = _lines(layout, packed, rows)
    flat = _numbers(layout, lines, (len(lines), layout.chunk[1], layout.together))
    return flat.reshape(len(packed), rows, layout.chunk[1], layout.together)


def _lines(layout: Layout, packed: list[bytes], rows: int) -> Array:
    """Return the bytes of all rows, (N * rows, bytes)."""
    size = rows * layout.row_bytes
    if layout.compression == NONE:
        if any(len(one) < size for one in packed):
            raise BadRequest("the TIFF file is truncated: a strip or tile ends too early")
        plain = b"".join(one[:size] for one in packed)
    else:
        plain = _decompress(packed, layout, rows)
    return np.frombuffer(plain, np.uint8).reshape(-1, layout.row_bytes)


def _numbers(layout: Layout, lines: Array, shape: tuple[int, int, int]) -> Array:
    if layout.predictor == 3:
        return _undo_floating(lines, layout.dtype, shape)
    numbers = lines.view(layout.dtype).reshape(shape)
    numbers = numbers.astype(layout.dtype.newbyteorder("="))
    if layout.predictor == 2:  # differences to the left neighbour, modulo 2**bits
        whole = numbers.view(f"u{layout.dtype.itemsize}")
        return np.cumsum(whole, axis=1, dtype=whole.dtype).view(numbers.dtype)
    return numbers


def _undo_floating(lines: Array, dtype: np.dtype[np.generic], shape: tuple[int, int, int]) -> Array:
    """Undo predictor 3: a row holds all highest bytes first, and bytes are differences."""
    rows, columns, bands = shape
    summed = np.cumsum(lines.reshape(rows, -1, bands), axis=1, dtype=np.uint8)
    planes = summed.reshape(rows, dtype.itemsize, columns * bands)  # most significant first
    big = np.ascontiguousarray(planes.transpose(0, 2, 1)).view(f">f{dtype.itemsize}")
    return big.reshape(shape).astype(dtype.newbyteorder("="))


def _decompress(packed: list[bytes], layout: Layout, rows: int) -> bytes:
    """Let Pillow unpack the bytes, as the strips of a gray picture."""
    count, lengths = len(packed), [len(one) for one in packed]
    # Behind the directory and the two lists, which stand in it where they have one number.
    lists = 8 + 2 + 9 * 12 + 4
    start = lists + (8 * count if count > 1 else 0)
    places = [start, *(start + end for end in accumulate(lengths))][:count]
    beyond = struct.pack(f"<{2 * count}I", *places, *lengths) if count > 1 else b""
    tags = {
        WIDTH: (1, layout.row_bytes),
        HEIGHT: (1, rows * count),
        BITS: (1, 8),
        COMPRESSION: (1, layout.compression),
        262: (1, 1),  # zero is black
        STRIP_OFFSETS: (count, lists if count > 1 else start),
        SAMPLES: (1, 1),
        ROWS_PER_STRIP: (1, rows),
        STRIP_COUNTS: (count, lists + 4 * count if count > 1 else lengths[0]),
    }
    entries = b"".join(struct.pack("<HHII", tag, 4, *value) for tag, value in tags.items())
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    file = io.BytesIO(b"".join((head, beyond, *packed)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return Image.open(file, formats=("TIFF",)).tobytes()
        except MemoryError:
            raise
        except Exception as error:  # the decoder raises almost anything on damaged data
            raise BadRequest(
                f"the TIFF file is truncated or damaged: a {COMPRESSIONS[layout.compression]} "
                "strip or tile cannot be unpacked"
            ) from error

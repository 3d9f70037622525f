"""Picture files as cameras and programs write them, and small ones that would cost much."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from handlers.runtime.errors import BadRequest, TooLarge
from handlers.runtime.images import open_image

LIMIT = 10_000_000
NOISE = np.random.default_rng(3).integers(0, 255, (64, 96, 3), np.uint8)
PICTURE = Image.fromarray(NOISE)
# A scan of one component without a byte of data.
SCAN = b"\xff\xda\0\x08\1\1\0\0\x3f\0"


def encoded(kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    PICTURE.save(stream, kind, **options)
    return stream.getvalue()


def opened(data: bytes, upright: bool = True) -> np.ndarray:
    return np.asarray(open_image(data, max_pixels=LIMIT, upright=upright))


def with_text(key: str, megabytes: int) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text(key, "a" * (megabytes << 20), zip=True)
    return encoded("PNG", pnginfo=info)


def with_bad_checksum() -> bytes:
    data = encoded("PNG")
    chunk = struct.pack(">I", 4) + b"tEXta\0bc" + bytes(4)
    return data[:33] + chunk + data[33:]


@pytest.mark.parametrize(
    "data",
    [
        with_text("parameters", 2),
        with_text("XML:com.adobe.xmp", 2),
        encoded("PNG", icc_profile=bytes(2 << 20)),
        with_bad_checksum(),
    ],
)
def test_metadata_over_limits_does_not_spoil_a_png(data: bytes) -> None:
    assert np.array_equal(opened(data), NOISE)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("cut", [1, 2])
def test_a_jpeg_may_lack_its_end_but_no_pixels(progressive: bool, cut: int) -> None:
    data = encoded("JPEG", progressive=progressive)
    assert np.array_equal(opened(data[:-cut]), opened(data))
    assert np.array_equal(opened(data[:-2] + bytes(100)), opened(data))
    for part in (0.3, 0.6, 0.9, 0.99):
        with pytest.raises(BadRequest, match="truncated"):
            opened(data[: int(len(data) * part)])


def test_a_progressive_jpeg_cut_between_scans_is_not_whole() -> None:
    data = encoded("JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    with pytest.raises(BadRequest, match="truncated"):
        opened(data[:last])


def test_scans_without_end_are_refused() -> None:
    data = encoded("JPEG", progressive=True)
    with pytest.raises(TooLarge, match="scans"):
        opened(data[:-2] + SCAN * 200 + data[-2:])
    with pytest.raises(TooLarge, match="scans"):  # where segments cannot be followed
        opened(data[:-2] + b"\0" + SCAN * 200)


def test_what_follows_a_jpeg_or_lies_in_its_notes_are_no_scans() -> None:
    """Phones put a film behind a photo, in which any two bytes may come."""
    data = encoded("JPEG")
    note = b"\xff\xe1" + struct.pack(">H", 2 + 200 * len(SCAN)) + SCAN * 200
    assert np.array_equal(opened(data[:2] + note + data[2:] + SCAN * 200), opened(data))


@pytest.mark.parametrize("bare", [b"\xff\1", b"\xff\xd0"])
def test_scans_do_not_hide_behind_markers_without_a_length(bare: bytes) -> None:
    data = encoded("JPEG", progressive=True)
    with pytest.raises(TooLarge, match="scans"):
        opened(data[:-2] + bare + SCAN * 200 + data[-2:])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_tiff_is_turned_as_asked(orientation: int, compression: str | None) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    tiff = encoded("TIFF", exif=exif, compression=compression)
    png = encoded("PNG", exif=exif)
    assert np.array_equal(opened(tiff, upright=False), NOISE)
    assert np.array_equal(opened(tiff), opened(png))


def tiff(size: tuple[int, int], tile: tuple[int, int], pieces: int = 1, order: str = "<") -> bytes:
    """Return a gray TIFF of deflated tiles that all point at one stream."""
    packed = zlib.compress(bytes(tile[0] * tile[1]), 9)
    ends = 8 + len(packed)
    table = struct.pack(f"{order}{2 * pieces}I", *[8] * pieces, *[len(packed)] * pieces)
    first = (8, len(packed)) if pieces == 1 else (ends, ends + 4 * pieces)
    tags = [
        (256, 4, 1, size[0]), (257, 4, 1, size[1]), (258, 4, 1, 8), (259, 4, 1, 8),
        (262, 4, 1, 1), (277, 4, 1, 1), (322, 4, 1, tile[0]), (323, 4, 1, tile[1]),
        (324, 4, pieces, first[0]), (325, 4, pieces, first[1]),
    ]  # fmt: skip
    magic = b"II" if order == "<" else b"MM"
    directory = b"".join(struct.pack(f"{order}HHII", *tag) for tag in tags)
    head = magic + struct.pack(f"{order}HI", 42, ends + len(table))
    count = struct.pack(f"{order}H", len(tags))
    return head + packed + table + count + directory + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("size", "tile", "pieces"),
    [
        ((1, 1), (8192, 8192), 1),
        ((1, 1), (2064, 2064), 1),
        ((4096, 1), (16, 65536), 256),
        ((32, 32), (32, 16), 11),
        ((200_000, 1), (1, 1), 140_000),
    ],
)
def test_tiles_are_no_larger_than_the_picture_is_worth(
    size: tuple[int, int], tile: tuple[int, int], pieces: int, order: str
) -> None:
    data = tiff(size, tile, pieces, order)
    turned = data[:2] + data[3:1:-1] + data[4:]  # which is no TIFF, but read
    for each in (data, turned):
        with pytest.raises(TooLarge, match="TIFF"):
            opened(each)


@pytest.mark.parametrize("kind", [6, 8, 9])
def test_signed_sizes_count_as_readers_take_them(kind: int) -> None:
    side = {6: 120, 8: 8192, 9: 8192}[kind]
    whole = tiff((1, 1), (side, side))
    odd = whole
    for tag in (322, 323):
        odd = odd.replace(
            struct.pack("<HHII", tag, 4, 1, side), struct.pack("<HHII", tag, kind, 1, side)
        )
    assert odd != whole
    if kind == 6:
        assert opened(odd).shape == (1, 1, 3)
    else:
        with pytest.raises(TooLarge, match="8192 x 8192"):
            opened(odd)


@pytest.mark.parametrize(
    ("kind", "count"), [(2, 1), (5, 1), (7, 1), (11, 1), (12, 1), (3, 2), (4, 0)]
)
def test_sizes_that_are_no_whole_number_are_refused(kind: int, count: int) -> None:
    data = tiff((32, 32), (32, 32)).replace(
        struct.pack("<HHII", 322, 4, 1, 32), struct.pack("<HHII", 322, kind, count, 32)
    )
    with pytest.raises(BadRequest, match="tag 322 is no whole number"):
        opened(data)


def test_a_tile_may_be_larger_than_a_small_picture() -> None:
    assert opened(tiff((40, 30), (256, 256))).shape == (30, 40, 3)


def test_a_tag_that_comes_twice_could_be_read_in_two_ways() -> None:
    """Pillow takes the last, libtiff the first."""
    data = tiff((32, 32), (32, 32))
    large = struct.pack("<HHII", 322, 4, 1, 8192)
    at = data.index(struct.pack("<HHII", 322, 4, 1, 32))
    twice = data[: at - 6 * 12 - 2] + struct.pack("<H", 11) + data[at - 6 * 12 : at]
    with pytest.raises(BadRequest, match="tag 322 twice"):
        opened(twice + large + data[at:])

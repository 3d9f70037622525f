"""TIFFs as others write them: the original's tile, and Pillow's own in every encoding."""

from __future__ import annotations

import io
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from handlers.runtime.errors import BadRequest, RequestError, TooLarge, Unprocessable
from handlers.smoke.demo.export import write_geotiff
from handlers.smoke.geotiff import read_geotiff
from handlers.smoke.tifftags import read_tags
from tests.support import GOLDEN

TILE = (GOLDEN / "smoke" / "scene.tif").read_bytes()
SCENE: NDArray[np.uint8] = np.load(GOLDEN / "smoke" / "scene.npy")
LIMIT = 1 << 24


def tiff(bands: NDArray[Any], order: str = "<", **changed: Any) -> bytes:
    """Write one uncompressed strip a band, or with ``tile`` tiles of all bands; big or small.

    ``changed`` sets tags by number as ``t259=[5]``, and ``bands`` may be of any number type.
    """
    tile, big = changed.pop("tile", None), changed.pop("big", False)
    height, width, count = bands.shape
    kind = {"u": 1, "i": 2, "f": 3}[bands.dtype.kind]
    stored = bands.astype(order + bands.dtype.str[1:])
    if tile:
        padded = np.pad(stored, [(0, -height % tile), (0, -width % tile), (0, 0)])
        chunks = [
            padded[y : y + tile, x : x + tile].tobytes()
            for y in range(0, height, tile)
            for x in range(0, width, tile)
        ]
        tags = {322: [tile], 323: [tile], 284: [1]}
    else:
        chunks = [stored[..., band].tobytes() for band in range(count)]
        tags = {278: [height], 284: [2]}
    places = np.cumsum([16, *map(len, chunks)]).tolist()
    tags |= {256: [width], 257: [height], 258: [8 * bands.dtype.itemsize] * count, 259: [1]}
    tags |= {277: [count], 339: [kind] * count}
    tags |= {324 if tile else 273: places[:-1], 325 if tile else 279: [*map(len, chunks)]}
    tags |= {int(name[1:]): value for name, value in changed.items()}
    return _file(tags, b"".join(chunks), order, big)


def _file(tags: dict[int, Any], body: bytes, order: str, big: bool) -> bytes:
    word, size, counter = ("Q", 8, "Q") if big else ("I", 4, "H")
    start, data, entries = 16 + len(body), b"", b""
    extra = start + struct.calcsize(counter) + len(tags) * (20 if big else 12) + size
    for tag, values in sorted(tags.items()):
        text = isinstance(values, bytes)
        packed = values if text else struct.pack(f"{order}{len(values)}{word}", *values)
        kind = 2 if text else 16 if big else 4
        if len(packed) > size:
            packed, data = struct.pack(order + word, extra + len(data)), data + packed
        head = struct.pack(f"{order}HH{word}", tag, kind, len(values))
        entries += head + packed.ljust(size, b"\0")
    magic = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}H", 43 if big else 42)
    head = struct.pack(">HH" if order == ">" else "<HH", 8, 0) if big else b""
    head = magic + head + struct.pack(order + word, start)
    count = struct.pack(order + counter, len(tags))
    return head.ljust(16, b"\0") + body + count + entries + bytes(size) + data


def read(data: bytes, bands: int = 7, limit: int = LIMIT) -> NDArray[Any]:
    return read_geotiff(data, max_pixels=limit, bands=(bands,))


def test_the_originals_tile() -> None:
    pixels = read(TILE)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels[..., :6], SCENE)
    assert (pixels[..., 6] == 255).all()


@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "i4", "f4", "f8", "f2"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("form", [{}, {"tile": 16}, {"big": True}, {"big": True, "tile": 32}])
def test_every_number_type_and_arrangement(kind: str, order: str, form: dict[str, Any]) -> None:
    bands = np.arange(50 * 70 * 7).reshape(50, 70, 7) % 241
    bands = (bands - (kind[0] != "u") * 100).astype(kind)
    pixels = read(tiff(bands, order, **form))
    assert pixels.dtype == np.dtype(kind)
    assert np.array_equal(pixels, bands)


@pytest.mark.parametrize("name", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("predictor", [1, 2])
def test_reads_what_pillow_writes(name: str, predictor: int) -> None:
    picture = np.ascontiguousarray(SCENE[:, :200, :3])
    stream = io.BytesIO()
    tags = {317: predictor} if name in {"tiff_lzw", "tiff_adobe_deflate"} else {}
    Image.fromarray(picture).save(stream, "TIFF", compression=name, tiffinfo=tags)
    assert np.array_equal(read(stream.getvalue(), 3), picture)


def test_floating_point_differences() -> None:
    values = np.random.default_rng(0).normal(0, 1e3, (40, 60)).astype(np.float32)
    stream = io.BytesIO()
    Image.fromarray(values).save(
        stream, "TIFF", compression="tiff_adobe_deflate", tiffinfo={317: 3}
    )
    assert np.array_equal(read(stream.getvalue(), 1)[..., 0], values)


def test_a_chunk_left_out_is_zero() -> None:
    bands = np.ones((20, 20, 2), np.uint8)
    pixels = read(tiff(bands, t273=[16, 0], t279=[400, 0]), 2)
    assert pixels[..., 0].all()
    assert not pixels[..., 1].any()


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("f4", b"-9999\0", -9999),
        ("f4", b" -3.5e2\0", -350),
        ("f4", b"nan\0", np.nan),
        ("f8", b"-1.7976931348623157e+308\0", -1.7976931348623157e308),
        ("u1", b"255", 255),
        ("u1", b"-9999\0", 0),
        ("u1", b"7.5\0", 8),
        ("u1", b"nan\0", 0),
        ("i2", b"1e300\0", 32767),
        ("i2", b"-2.5\0", -3),
        ("i8", b"9007199254740993\0", 9007199254740993),
        ("u8", b"1e300\0", 2**64 - 1),
        ("f4", b"none\0", 0),
        ("f4", b"\0", 0),
    ],
)
@pytest.mark.parametrize("big", [False, True])
def test_a_chunk_left_out_has_the_files_value_for_no_data(
    kind: str, text: bytes, value: float, big: bool
) -> None:
    bands = np.ones((20, 20, 2), kind)
    size = bands[..., 0].nbytes
    pixels = read(tiff(bands, t273=[16, 0], t279=[size, 0], t42113=text, big=big), 2)
    assert (pixels[..., 0] == 1).all()
    assert np.array_equal(pixels[..., 1], np.full((20, 20), value, kind), equal_nan=kind[0] == "f")


def many(*, rows: int, columns: int, packed: int, tiled: bool = True) -> bytes:
    """2,000 tiles or strips that all lie in one place, where ``packed`` bytes unpack to zeros."""
    stream = zlib.compress(bytes(rows * columns), 9)
    stream += bytes(packed - len(stream))
    tags = {256: [256], 257: [2000 * rows], 258: [8], 259: [8], 277: [1], 339: [1]}
    places = {324 if tiled else 273: [16] * 2000, 325 if tiled else 279: [packed] * 2000}
    sides = {322: [columns], 323: [rows]} if tiled else {278: [rows]}
    return _file(tags | places | sides, stream, "<", big=False)


@pytest.mark.parametrize(
    "data",
    [
        many(rows=1, columns=1 << 20, packed=10_000),  # 2 GB of pixels for 0.5 million
        many(rows=1, columns=256, packed=100_000),  # 200 MB to read for 0.1
        many(rows=1, columns=256, packed=100_000, tiled=False),
    ],
)
def test_what_all_chunks_unpack_together_is_bounded(data: bytes) -> None:
    start = time.monotonic()
    with pytest.raises(TooLarge, match="2000 strips or tiles unpack"):
        read(data, 1)
    assert time.monotonic() - start < 10


def test_chunks_may_share_a_place_within_reason() -> None:
    assert not read(many(rows=1, columns=256, packed=1000), 1).any()


def test_a_tag_that_comes_again_and_again_is_read_once() -> None:
    tags = [(257, 4, 1, 20)] * 2 + [(273, 1, 1 << 16, 8)] * 4000
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    start = 8 + (1 << 16)
    head = struct.pack("<2sHI", b"II", 42, start)
    data = head + bytes(1 << 16) + struct.pack("<H", len(tags)) + entries + bytes(4)
    before = time.monotonic()
    assert read_tags(data)[257] == (20,)
    assert time.monotonic() - before < 10


def test_the_example_is_written_as_it_is_read(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "tile.tif", SCENE)
    pixels = read((tmp_path / "tile.tif").read_bytes())
    assert np.array_equal(pixels[..., :6], SCENE)
    assert (pixels[..., 6] == 255).all()


SMALL = np.zeros((20, 20, 7), np.uint8)
BAD: dict[str, tuple[bytes, type[RequestError], str]] = {
    "no TIFF": (b"hello", BadRequest, "5 bytes are no TIFF"),
    "empty": (b"", BadRequest, "no TIFF"),
    "header only": (TILE[:8], BadRequest, "truncated or damaged"),
    "half of it": (tiff(SMALL)[:1500], BadRequest, "truncated"),
    "half a strip": (tiff(SMALL, t279=[400] * 6 + [100]), BadRequest, "too early"),
    "broken deflate": (tiff(SMALL, t259=[8]), BadRequest, "deflate"),
    "offset beyond the end": (tiff(SMALL, t273=[1 << 31] * 7), BadRequest, "too early"),
    "too few strips": (tiff(SMALL, t273=[16], t279=[400]), BadRequest, "lists 1"),
    "no strips": (tiff(SMALL, t278=[1]), BadRequest, "needs 140"),
    "no width": (tiff(SMALL, t256=[0]), BadRequest, "0 x 20"),
    "four bands": (tiff(SMALL[..., :4]), BadRequest, "has 4 bands, expected 7"),
    "a gigapixel": (tiff(SMALL, t256=[1 << 20], t257=[1 << 20]), TooLarge, "at most 16777216"),
    "a million strips": (
        tiff(SMALL, t256=[1], t257=[1 << 24], t278=[1]),
        Unprocessable,
        "strips or tiles",
    ),
    "a huge strip": (
        tiff(SMALL, t256=[4096], t257=[4096], t278=[4096], t284=[1]),
        Unprocessable,
        "117440512",
    ),
    "a tile of nothing": (tiff(SMALL, tile=16, t322=[0]), Unprocessable, "0 bytes"),
    "JPEG inside": (tiff(SMALL, t259=[7]), Unprocessable, "compression 7"),
    "predictor 9": (tiff(SMALL, t317=[9]), Unprocessable, "predictor 9"),
    "floating predictor on bytes": (tiff(SMALL, t317=[3]), Unprocessable, "predictor 3"),
    "complex numbers": (tiff(SMALL, t339=[5] * 7), Unprocessable, "format"),
    "one bit": (tiff(SMALL, t258=[1] * 7), Unprocessable, "bits"),
    "mixed types": (tiff(SMALL, t339=[1] * 6 + [2]), Unprocessable, "format"),
}


@pytest.mark.parametrize(("data", "error", "words"), BAD.values(), ids=BAD)
def test_bad_files_are_named(data: bytes, error: type[RequestError], words: str) -> None:
    with pytest.raises(error, match=words):
        read(data)


def test_no_damage_ends_in_anything_but_a_refusal() -> None:
    rng = np.random.default_rng(5)
    # The directory's place is in the header; damage goes where it hurts most.
    (start,) = struct.unpack_from("<I", TILE, 4)
    refused = 0
    for _ in range(150):
        broken = bytearray(TILE)
        for place in rng.integers(start, min(start + 260, len(TILE)), 2):
            broken[place] = rng.integers(256)
        try:
            read(bytes(broken), limit=1 << 17)
        except RequestError:
            refused += 1
    assert refused > 25

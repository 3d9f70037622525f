import io
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from handlers.runtime.errors import BadRequest, TooLarge, Unprocessable
from handlers.runtime.images import UPRIGHT, open_image
from handlers.runtime.pngfile import MAX_CHUNKS

LIMIT = 10_000_000
# Columns 0..7 dark, the rest bright: shows orientation and survives every format.
PIXELS = np.where(np.arange(32)[None, :] < 8, 20, 200).repeat(24, axis=0).astype(np.uint8)
GRAY = Image.fromarray(PIXELS)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def opened(data: bytes) -> np.ndarray:
    image = open_image(data, max_pixels=LIMIT)
    assert image.mode == "RGB"
    return np.asarray(image)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    source = GRAY.convert("L").point(lambda v: 255 * (v > 100)) if mode == "1" else GRAY
    # An adaptive palette holds these two tones; the fixed one would only come near.
    made = source.convert("RGB").convert(mode, palette=Image.Palette.ADAPTIVE)
    rgb = opened(encoded(made, kind))
    assert rgb.shape == (24, 32, 3)
    expected = np.where(PIXELS > 100, 255, 0) if mode == "1" else PIXELS
    assert np.abs(rgb[..., 0].astype(int) - expected).max() <= 4


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_to_eight(kind: str) -> None:
    deep = Image.fromarray(PIXELS.astype(np.uint16) * 256 + 255)
    assert np.array_equal(opened(encoded(deep, kind))[..., 0], PIXELS)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_every_format_is_read(kind: str) -> None:
    rgb = opened(encoded(GRAY.convert("RGB"), kind))
    assert np.abs(rgb[..., 0].astype(int) - PIXELS).max() <= 40
    assert rgb[:, 2].mean() < 60 < rgb[:, 30].mean()


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP"])
def test_of_several_frames_the_first_counts(kind: str) -> None:
    first, second = Image.new("RGB", (16, 16), (250, 0, 0)), Image.new("RGB", (16, 16), (0, 0, 250))
    data = encoded(first, kind, save_all=True, append_images=[second])
    assert opened(data)[8, 8, 0] > 200


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_and_can_be_left(orientation: int) -> None:
    # What a camera held in that way stores: the upright picture, turned back.
    inverse = {6: 8, 8: 6}.get(orientation, orientation)
    stored = GRAY.transpose(UPRIGHT[inverse]) if inverse in UPRIGHT else GRAY
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, "PNG", exif=exif)
    assert np.array_equal(opened(data)[..., 0], PIXELS)
    assert open_image(data, max_pixels=LIMIT, upright=False).size == stored.size


def test_damaged_exif_does_not_spoil_the_picture() -> None:
    data = encoded(GRAY, "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff" + b"\xff" * 30)
    assert opened(data).shape == (24, 32, 3)


def test_a_reduced_jpeg_stays_six_times_as_large_as_needed() -> None:
    data = encoded(Image.new("RGB", (1024, 768)), "JPEG")
    assert open_image(data, max_pixels=LIMIT).size == (1024, 768)
    reduced = open_image(data, max_pixels=LIMIT, reduced_to=(32, 32))
    assert reduced.size == (256, 192)
    wide = encoded(Image.new("RGB", (2048, 64)), "JPEG")
    assert open_image(wide, max_pixels=LIMIT, reduced_to=(32, 32)).size == (2048, 64)


def test_the_pixel_limit_is_checked_before_decoding() -> None:
    bomb = encoded(Image.new("1", (20_000, 20_000)), "PNG")
    assert len(bomb) < 100_000
    with pytest.raises(TooLarge, match="pixels"):
        open_image(bomb, max_pixels=LIMIT)
    with pytest.raises(TooLarge, match="32 x 24 = 768 pixels, at most 767"):
        open_image(encoded(GRAY, "PNG"), max_pixels=767)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_truncated_files_are_refused_in_words(kind: str, part: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    with pytest.raises(BadRequest, match=r"truncated|no image"):
        open_image(data[: int(len(data) * part)], max_pixels=LIMIT)


@pytest.mark.parametrize("upright", [True, False])
def test_a_broken_stream_is_no_half_picture(upright: bool) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    data = encoded(Image.fromarray(noise), "PNG")
    broken = data[:2000] + bytes(400) + data[2400:]
    with pytest.raises(BadRequest, match="damaged"):
        open_image(broken, max_pixels=LIMIT, upright=upright)


def test_damaged_bytes_never_raise_anything_else() -> None:
    random = np.random.default_rng(1)
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        good = bytearray(encoded(GRAY.convert("RGB"), kind))
        for _ in range(60):
            bad = bytearray(good)
            for position in random.integers(0, len(bad), 6):
                bad[position] = random.integers(0, 256)
            try:
                open_image(bytes(bad), max_pixels=LIMIT)
            except (BadRequest, TooLarge, Unprocessable) as error:
                assert error.message


def test_formats_that_run_programs_are_not_tried() -> None:
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n"
    with pytest.raises(BadRequest, match="no image"):
        open_image(eps, max_pixels=LIMIT)


def test_floating_point_pixels_have_no_known_range() -> None:
    with pytest.raises(Unprocessable, match="16 bits"):
        open_image(encoded(Image.new("F", (8, 8)), "TIFF"), max_pixels=LIMIT)


@pytest.mark.parametrize("kind", ["text", "unicode", "profile", "many"])
def test_metadata_beyond_every_limit_is_passed_over(kind: str) -> None:
    """Pillow refuses texts and profiles that unpack to more than a megabyte, 64 in all."""
    info, options = PngInfo(), {}
    if kind == "text":
        info.add_text("parameters", "a" * (2 << 20), zip=True)
    elif kind == "unicode":
        info.add_itxt("XML:com.adobe.xmp", "b" * (3 << 20), zip=True)
    elif kind == "many":
        for index in range(70):
            info.add_text(f"k{index}", "c" * ((1 << 20) - 10), zip=True)
    else:
        options["icc_profile"] = bytes(2 << 20)
    exif = Image.Exif()
    exif[0x0112] = 3
    data = encoded(GRAY, "PNG", pnginfo=info, exif=exif, **options)
    with pytest.raises(ValueError, match="too large|Too much"):
        Image.open(io.BytesIO(data)).load()
    assert np.array_equal(opened(data)[::-1, ::-1, 0], PIXELS)


def test_a_broken_checksum_of_metadata_hurts_no_pixel() -> None:
    info = PngInfo()
    info.add_text("note", "something")
    data = encoded(GRAY, "PNG", pnginfo=info)
    assert np.array_equal(opened(data.replace(b"something", b"somethinG"))[..., 0], PIXELS)


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (70, 50, 3), np.uint8))
JPEGS = {
    "baseline": encoded(NOISE, "JPEG"),
    "progressive": encoded(NOISE, "JPEG", progressive=True),
    "gray": encoded(NOISE.convert("L"), "JPEG"),
    "cmyk": encoded(NOISE.convert("CMYK"), "JPEG"),
    "smooth": encoded(GRAY, "JPEG"),
    "restarts": encoded(NOISE, "JPEG", restart_marker_blocks=2),
}


@pytest.mark.parametrize("name", JPEGS)
@pytest.mark.parametrize("tail", [b"", b"\xff", b"\0" * 40, b"\xff\xff\xff"])
def test_a_jpeg_without_its_end_marker_is_whole(name: str, tail: bytes) -> None:
    data = JPEGS[name]
    assert np.array_equal(opened(data[:-2] + tail), opened(data))


@pytest.mark.parametrize("name", ["baseline", "gray", "cmyk", "restarts"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9, 0.97])
def test_a_jpeg_without_all_its_pixels_is_damaged(name: str, part: float) -> None:
    data = JPEGS[name]
    with pytest.raises(BadRequest, match="truncated"):
        opened(data[: int(len(data) * part)])


def tiff(**options: object) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(GRAY, "TIFF", exif=exif, **options)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate"])
def test_a_tiff_is_turned_only_where_that_is_wanted(compression: str) -> None:
    data = tiff(compression=compression)
    stored = open_image(data, max_pixels=LIMIT, upright=False)
    assert np.array_equal(np.asarray(stored)[..., 0], PIXELS)
    assert np.array_equal(opened(data)[..., 0], np.rot90(PIXELS, -1))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"%PDF-1.7", "look like a PDF document"),
        (b"\x1f\x8b" + bytes(50), "look like gzip"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "truncated or damaged"),
        (b"\x01\x02\x03", "3 bytes are no image that can be read. Expected JPEG"),
    ],
)
def test_what_is_no_image_is_told_by_its_looks(data: bytes, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        opened(data)


def test_a_palette_that_is_missing_is_told() -> None:
    data = encoded(GRAY.convert("P"), "PNG", transparency=1)
    at = data.index(b"PLTE") - 4
    without = data[:at] + data[at + 12 + int.from_bytes(data[at : at + 4], "big") :]
    with pytest.raises(BadRequest, match="a palette, which it lacks"):
        opened(without)


def test_a_png_of_very_many_chunks_is_refused() -> None:
    data = encoded(GRAY, "PNG")
    empty = b"\0\0\0\0teSt" + zlib.crc32(b"teSt").to_bytes(4, "big")
    assert opened(data[:33] + empty * 1000 + data[33:]).shape == (24, 32, 3)
    with pytest.raises(TooLarge, match=f"more than {MAX_CHUNKS} chunks"):
        opened(data[:33] + empty * MAX_CHUNKS + data[33:])


def test_a_long_picture_in_letters_is_refused() -> None:
    side = 1200
    head = f"P3 {side} {side} 255\n".encode()
    with pytest.raises(TooLarge, match="written as text"):
        opened(head + b"9 " * (3 * side * side))
    assert opened(b"P3 2 2 255\n" + b"9 " * 12).shape == (2, 2, 3)

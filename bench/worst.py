"""The worst bodies of 1 MB that each form of a request allows, and what they cost to read.

    .venv/bin/python -m bench.worst

Seconds are the processor's, beside those of something of the same size that is as usual: a picture
of as many pixels, a list of numbers of as many bytes.
"""

from __future__ import annotations

import base64
import ctypes
import gc
import io
import json
import random
import struct
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from PIL import Image

from bench.fuzz import MAX_BESIDE, MAX_PER_BYTE
from bench.fuzz_requests import http, multipart
from bench.peak import Peak
from handlers.runtime.attributes import HEADER as ATTRIBUTES
from handlers.runtime.collector import spare_loaded
from handlers.runtime.errors import RequestError
from handlers.runtime.images import open_image
from handlers.runtime.jpegfile import MAX_SCANS
from handlers.runtime.jsonbody import parse_json
from handlers.runtime.media import NPY
from handlers.runtime.request import PICTURES_PER_REQUEST, Interface, parse_request
from handlers.runtime.stopwatch import Stopwatch
from handlers.runtime.tifffile import MAX_FAX_ROWS
from handlers.script import codec
from handlers.smoke.geotiff import read_geotiff
from marquee.ray import bodies
from marquee.ray.refusal import Refused

BODY = 1_000_000
SIDE = 1024
MAX_PIXELS = SIDE * SIDE
# That a script's .npz may unpack to.
MAX_BYTES = 16 << 20
INTERFACE = Interface(("image/*", NPY), ("application/json",), (), MAX_PIXELS)
BANDS = 7


@dataclass(frozen=True)
class Cost:
    """What it took to read a body.

    Attributes:
        seconds: of the processor.
        grown: bytes that the process had at the most, beyond those before.
    """

    seconds: float
    grown: int


def measured(read: Callable[[bytes], object], body: bytes) -> Cost:
    """Read a body once; that it is refused is as good as any other end."""
    peak = Peak()
    spare_loaded()  # as a worker does
    ctypes.CDLL(None).malloc_trim(0)  # what earlier ones have left would hide what it takes
    peak.reset()
    start = time.thread_time()
    with suppress(RequestError, Refused):
        read(body)
    cost = Cost(time.thread_time() - start, peak.grown())
    gc.unfreeze()
    return cost


def image(data: bytes) -> None:
    """Read a picture."""
    open_image(data, max_pixels=MAX_PIXELS)


def scene(data: bytes) -> None:
    """Read a scene of seven bands."""
    read_geotiff(data, max_pixels=MAX_PIXELS, bands=(BANDS,))


def request(data: bytes) -> None:
    """Read a request and all of its inputs."""
    head, _, body = data.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
    row: Mapping[str, object] = {"body": bytearray(body)}
    if headers["content-type"].startswith("multipart/"):
        parts = bodies.request_of(headers, body, "").parts
        row = {name: bytearray(value) for name, _, value in parts}
    for payload in parse_request(row, headers, INTERFACE, Stopwatch()).payloads:
        if payload.is_array:
            payload.array()
        else:
            payload.image()


def script(media: str) -> Callable[[bytes], None]:
    """Return a reader of what a script's default functions read."""

    def read(data: bytes) -> None:
        codec.decode(data, media, MAX_BYTES)

    return read


def encoded(kind: str, mode: str = "RGB", **options: object) -> bytes:
    """Return a picture of one colour, as large as may be."""
    stream = io.BytesIO()
    Image.new(mode, (SIDE, SIDE)).save(stream, kind, **options)
    return stream.getvalue()


def usual_picture() -> bytes:
    """Return a photograph's JPEG, as large as may be: smooth, with some noise."""
    stream = io.BytesIO()
    gradient = Image.linear_gradient("L").resize((SIDE, SIDE))
    noise = Image.effect_noise((SIDE, SIDE), 20)
    mixed = Image.blend(gradient, noise, 0.1)
    Image.merge("RGB", (mixed, mixed, mixed)).save(stream, "JPEG", quality=80)
    return stream.getvalue()


def usual_numbers() -> bytes:
    """Return a list of numbers in JSON, of as many bytes as a body may have."""
    one = b"1.25,"
    return b"[" + one * (BODY // len(one)) + b"0]"


def _many_scans() -> bytes:
    """Return a progressive JPEG whose last scans come again and again."""
    data = encoded("JPEG", progressive=True)
    at = data.rindex(b"\xff\xda")
    head, scan = data[:at], data[at:].removesuffix(b"\xff\xd9")
    return head + scan * (MAX_SCANS - head.count(b"\xff\xda")) + b"\xff\xd9"


def _png_with(kind: bytes, content: bytes) -> bytes:
    data = encoded("PNG")
    chunk = struct.pack(">I", len(content)) + kind + content
    chunk += struct.pack(">I", zlib.crc32(kind + content))
    return data[:33] + chunk * max(1, (BODY - len(data)) // len(chunk)) + data[33:]


def _interlaced() -> bytes:
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 16, 6, 0, 0, 1)
    lines = sum(-(-SIDE // down) for down in (8, 8, 8, 4, 4, 2, 2))
    packed = zlib.compress(bytes(SIDE * SIDE * 8 + lines), 9)
    chunks = [(b"IHDR", head), (b"IDAT", packed), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks
    )


def _strips(size: tuple[int, int], compression: int, data: bytes, each: int, **more: int) -> bytes:
    """Return a TIFF of (width, rows) with a strip for every ``each`` rows, all in one place.

    Black and white, unless ``more`` sets tags otherwise, by number as ``t258=8``.
    """
    width, rows = size
    tags = {258: 1, 259: compression, 262: 1, 277: 1} | {int(t[1:]): v for t, v in more.items()}
    count = -(-rows // each) * (tags[277] if tags.get(284) == 2 else 1)
    lists: dict[int, tuple[int, ...]] = {tag: (value,) for tag, value in tags.items()}
    lists |= {256: (width,), 257: (rows,), 278: (each,)}
    start = 8 + 2 + 12 * (len(lists) + 2) + 4
    place = start + (8 * count if count > 1 else 0)
    lists |= {273: (place,) * count, 279: (len(data),) * count}
    entries, beyond = b"", b""
    for tag, values in sorted(lists.items()):
        packed = struct.pack(f"<{len(values)}I", *values)
        field = packed if len(values) == 1 else struct.pack("<I", start + len(beyond))
        beyond += packed if len(values) > 1 else b""
        entries += struct.pack("<HHI", tag, 4, len(values)) + field
    head = b"II*\0" + struct.pack("<IH", 8, len(lists))
    return head + entries + bytes(4) + beyond + data


def _scene(each: int) -> bytes:
    """Return a scene of numbers with 64 bits, packed to almost nothing."""
    packed = zlib.compress(bytes(8 * SIDE * each), 9)
    return _strips((SIDE, SIDE), 8, packed, each, t258=64, t277=BANDS, t284=2, t339=3)


def _noise(count: int) -> bytes:
    return random.Random(1).randbytes(count)  # noqa: S311 - no secret


def _list(one: str) -> bytes:
    return f"[{','.join([one] * (BODY // (len(one) + 1)))}]".encode()


def _instances(count: int, file: bytes) -> bytes:
    return json.dumps({"instances": [base64.b64encode(file).decode()] * count}).encode()


def _zeros(count: int) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, np.zeros(count))
    return stream.getvalue()


@dataclass(frozen=True)
class Form:
    """A form, and the worst that it allows.

    Attributes:
        read: as the product does.
        make: makes the body.
        pixels: that are decoded, all pictures together.
        bytes_a_pixel: that a picture may take while it is decoded.
    """

    read: Callable[[bytes], object]
    make: Callable[[], bytes]
    pixels: int = 0
    bytes_a_pixel: int = 24

    def most_bytes(self, body: bytes) -> int:
        """Return what reading may take; one picture is decoded after the other."""
        pixels = min(self.pixels, MAX_PIXELS) * self.bytes_a_pixel
        return MAX_BESIDE + MAX_PER_BYTE * len(body) + pixels


def _picture(make: Callable[[], bytes]) -> Form:
    return Form(image, make, MAX_PIXELS)


def _text(body: Callable[[], bytes]) -> Form:
    return Form(request, lambda: http(b"") + body())


def _script(media: str, make: Callable[[], bytes]) -> Form:
    return Form(script(media), make)


def _inputs() -> bytes:
    tensor = b'"name": "x", "shape": [499950], "datatype": "FP64", "data": '
    return b'{"inputs": [{' + tensor + b"[" + b"0," * 499_949 + b"0]}]}"


FORMS: Mapping[str, Form] = {
    "PNG of one colour": _picture(lambda: encoded("PNG", "RGBA")),
    "PNG, interlaced, 16 bits": _picture(_interlaced),
    "PNG with texts that unpack to much": _picture(
        lambda: _png_with(b"zTXt", b"a\0\0" + zlib.compress(bytes(900_000), 9))
    ),
    "PNG of many small chunks": _picture(lambda: _png_with(b"tEXt", b"a\0bc")),
    "JPEG of one colour": _picture(lambda: encoded("JPEG", "CMYK")),
    "JPEG of as many scans as may be": _picture(_many_scans),
    "GIF of one colour": _picture(lambda: encoded("GIF", "P")),
    "WebP of one colour": _picture(lambda: encoded("WEBP", lossless=True)),
    "TIFF of one colour": _picture(
        lambda: encoded("TIFF", "CMYK", compression="tiff_adobe_deflate")
    ),
    "TIFF of many strips": _picture(lambda: _strips((8, 120_000), 5, b"\x80\0\x40\x40", 1)),
    "TIFF, a damaged fax": _picture(
        lambda: _strips((MAX_PIXELS // MAX_FAX_ROWS, MAX_FAX_ROWS), 3, _noise(BODY), MAX_FAX_ROWS)
    ),
    "PPM in letters": _picture(lambda: b"P3 577 577 255\n" + b"9 " * (577 * 577 * 3 // 2)),
    "GeoTIFF of one colour": Form(
        scene, lambda: _scene(64), MAX_PIXELS, bytes_a_pixel=2 * 8 * BANDS
    ),
    "GeoTIFF of many strips": Form(
        scene, lambda: _scene(1), MAX_PIXELS, bytes_a_pixel=2 * 8 * BANDS
    ),
    "JSON: whole numbers": _text(lambda: _list("0")),
    "JSON: lists of one": _text(lambda: _list("[0]")),
    "JSON: objects": _text(lambda: _list("{}")),
    "JSON: objects as instances": _text(lambda: b'{"instances": ' + _list('{"b64":""}') + b"}"),
    "JSON: parameters": _text(lambda: json.dumps({f"{n}": 0 for n in range(BODY // 12)}).encode()),
    "JSON: deep": _text(lambda: b"[" * BODY),
    "JSON: a number of a million digits": _text(lambda: b"[" + b"9" * BODY + b"]"),
    "JSON: a tensor": _text(_inputs),
    "JSON: pictures in base64": Form(
        request,
        lambda: http(_instances(40, encoded("PNG", "RGBA"))),
        PICTURES_PER_REQUEST * MAX_PIXELS,
    ),
    "base64 with breaks": Form(
        request, lambda: http(b"iVBORw0KGgo" + b"A\n" * (BODY // 2), "application/octet-stream")
    ),
    "multipart of many parts": Form(
        request, lambda: multipart([(f"{n}", b"", "") for n in range(BODY // 60)])
    ),
    "Accept of 64 kB": Form(
        request, lambda: http(encoded("PNG"), "image/png", Accept="a," * 32_000), MAX_PIXELS
    ),
    "custom attributes of 64 kB": Form(
        request,
        lambda: http(encoded("PNG"), "image/png", **{ATTRIBUTES: "a=%41;" * 10_000}),
        MAX_PIXELS,
    ),
    "script: npz that unpacks to much": _script(codec.NPZ, lambda: _zeros(MAX_BYTES // 8 - 100)),
    "script: CSV": _script(codec.CSV, lambda: b"0," * (BODY // 2) + b"0"),
    "script: CSV of short lines": _script(codec.CSV, lambda: b"0\n" * (BODY // 2)),
}


@dataclass(frozen=True)
class Usual:
    """The processor's seconds for what is usual.

    Attributes:
        picture: of a photograph of ``MAX_PIXELS``.
        numbers: of a list of numbers in JSON, of ``BODY`` bytes.
    """

    picture: float
    numbers: float

    def share(self, form: Form, body: bytes, cost: Cost) -> float:
        """Return how many times a usual request of so many pixels and bytes it took."""
        pictures = self.picture * form.pixels / MAX_PIXELS
        return cost.seconds / (pictures + self.numbers * max(1.0, len(body) / BODY))


def usual() -> Usual:
    """Measure what is usual, three times each; the least counts."""
    picture, numbers = usual_picture(), usual_numbers()
    return Usual(
        min(measured(image, picture).seconds for _ in range(3)),
        min(measured(parse_json, numbers).seconds for _ in range(3)),
    )


def main() -> None:
    """Print a line for each form."""
    beside = usual()
    print(  # noqa: T201
        f"a usual picture of {MAX_PIXELS} pixels {1000 * beside.picture:.0f} ms, a list of "
        f"numbers {1000 * beside.numbers:.0f} ms"
    )
    for name, form in FORMS.items():
        body = form.make()
        cost = measured(form.read, body)
        share, grown = beside.share(form, body, cost), cost.grown / (1 << 20)
        print(  # noqa: T201
            f"{name}: {len(body)} bytes, {cost.seconds * 1000:.0f} ms, {share:.1f} times the "
            f"usual, {grown:.1f} MB",
            flush=True,
        )


if __name__ == "__main__":
    main()

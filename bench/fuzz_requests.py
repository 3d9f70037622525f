"""Requests of clients, broken: every form that a body, its parts and its headers may have."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from bench.fuzz_edits import BYTES, JSON, TEXT, in_body, in_head, in_png, in_zip, number
from bench.fuzz_kind import Kind
from handlers.cifar.handler import CifarHandler
from handlers.runtime.arrays import Array, check_numeric, read_npy, write_npy
from handlers.runtime.errors import RequestError
from handlers.runtime.images import open_image
from handlers.runtime.media import NPY
from handlers.runtime.request import Interface, Request, parse_request
from handlers.runtime.stopwatch import Stopwatch
from handlers.script import codec
from handlers.smoke.geotiff import read_geotiff
from marquee.ray import bodies
from marquee.ray.refusal import Refused
from tests.handlers.smoke.test_geotiff import tiff
from tests.support import GOLDEN

# A picture of so many pixels takes 3 MB; what it costs more is the form's own.
MAX_PIXELS = 1 << 20
MAX_BYTES = 4 << 20
INTERFACE = Interface(
    ("image/*", NPY), CifarHandler.produces, CifarHandler.parameters, MAX_PIXELS, max_items=8
)
REFUSALS = (RequestError, Refused)
SMALL = (24, 17)
# Compressions of black and white.
FAX = ("group3", "group4", "tiff_ccitt")


def image(data: bytes) -> None:
    """Read a picture, as it is and reduced."""
    open_image(data, max_pixels=MAX_PIXELS)
    open_image(data, max_pixels=MAX_PIXELS, upright=False, reduced_to=(32, 32))


def geotiff(data: bytes) -> None:
    """Read a scene."""
    read_geotiff(data, max_pixels=MAX_PIXELS, bands=(1, 3, 4, 6, 7))


def npy(data: bytes) -> None:
    """Read an array."""
    check_numeric(read_npy(data))


def request(data: bytes) -> None:
    """Read a whole request, with all of its inputs, as a worker behind TorchServe does."""
    head, _, body = data.partition(b"\r\n\r\n")
    headers = _headers(head)
    row: Mapping[str, Any] = {"body": bytearray(body)}
    inner: dict[str, Any] = {}
    if headers.get("content-type", "").startswith("multipart/"):
        parts = bodies.request_of(headers, body, "").parts
        row = {name: bytearray(value) for name, _, value in parts}
        inner = {name: {"content-type": kind.encode()} for name, kind, _ in parts}
    read = parse_request(row, {**headers, **inner}, INTERFACE, Stopwatch())
    _read_all(read)


def _headers(head: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in head.decode("latin-1").split("\r\n"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _read_all(read: Request) -> None:
    for payload in read.payloads:
        if payload.is_array:
            payload.array()
        else:
            payload.image()


def script(data: bytes) -> None:
    """Read what a SageMaker script's default functions read, as the first line says."""
    kind, _, body = data.partition(b"\n")
    codec.decode(body, kind.decode("latin-1"), MAX_BYTES)


def picture(mode: str = "RGB", size: tuple[int, int] = SMALL) -> Image.Image:
    """Return a picture that no two rows and columns of are alike."""
    gradient = Image.linear_gradient("L").resize(size)
    merged = Image.merge("RGB", (gradient, gradient.rotate(180), gradient.rotate(90)))
    return merged.convert(mode, palette=Image.Palette.ADAPTIVE)


def encoded(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    """Return a small picture's file."""
    stream = io.BytesIO()
    picture(mode).save(stream, kind, **options)
    return stream.getvalue()


def _oriented() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded("JPEG", exif=exif, icc_profile=bytes(200), comment=b"a")


def _jpegs() -> Sequence[bytes]:
    return (
        encoded("JPEG"),
        encoded("JPEG", progressive=True),
        encoded("JPEG", "L", restart_marker_blocks=1),
        encoded("JPEG", "CMYK"),
        encoded("MPO", save_all=True, append_images=[picture()]),
        _oriented(),
        (GOLDEN / "inkwash" / "exif6.jpg").read_bytes(),
    )


def _pngs() -> Sequence[bytes]:
    text = Image.Exif()
    text[0x0112] = 3
    return (
        *(encoded("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
        encoded("PNG", "P", transparency=1, exif=text, icc_profile=bytes(99), dpi=(7, 7)),
        encoded("PNG", save_all=True, append_images=[picture()], duration=9),
        (GOLDEN / "cifar" / "8_ship.png").read_bytes(),
    )


def _others() -> Sequence[bytes]:
    more: dict[str, Any] = {
        "save_all": True,
        "append_images": [picture("L").convert("RGB")],
        "duration": 9,
    }
    return (
        encoded("GIF", "P"),
        encoded("GIF", "P", **more),
        encoded("WEBP"),
        encoded("WEBP", lossless=True, exif=_oriented()[:80]),
        encoded("WEBP", **more),
        *(encoded("BMP", mode) for mode in ("1", "P", "RGB", "RGBA")),
        *(encoded("PPM", mode) for mode in ("1", "L", "RGB", "I")),
        b"P3 4 4 255\n" + b" ".join(str(5 * n).encode() for n in range(48)),
        b"P1 4 4\n" + b"0 1 " * 8,
        encoded("AVIF"),
    )


def _tiffs() -> Sequence[bytes]:
    packed = ("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "jpeg")
    return (
        *(
            encoded("TIFF", "1" if one in FAX else "RGB", compression=one)
            for one in (*packed, *FAX)
        ),
        *(encoded("TIFF", mode) for mode in ("L", "P", "RGBA", "CMYK", "I;16", "F")),
        encoded("TIFF", big_tiff=True),
        encoded("TIFF", save_all=True, append_images=[picture()]),
        encoded("TIFF", tiffinfo={317: 2, 278: 5}, compression="tiff_lzw"),
    )


def _scenes() -> Sequence[bytes]:
    scene = (np.arange(20 * 18 * 6).reshape(20, 18, 6) % 251).astype(np.uint8)
    return (
        tiff(scene),
        tiff(scene, tile=16),
        tiff(scene, ">", big=True, tile=16),
        tiff(scene.astype(np.float32), t42113=b"-9999\0"),
        *(encoded("TIFF", "RGBA", compression=one, tiffinfo={317: 2})
          for one in ("tiff_lzw", "tiff_adobe_deflate", "packbits")),
    )  # fmt: skip


def _npys() -> Sequence[bytes]:
    numbers = np.arange(24).reshape(2, 3, 4)
    kinds = ("u1", "<i2", ">i4", "f4", "<f2", "f8", "c8", "U3", "?", "S2")
    return (
        *(write_npy(numbers.astype(kind)) for kind in kinds),
        write_npy(np.zeros((0, 3))),
        write_npy(np.array(7.5)),
        write_npy(np.asfortranarray(numbers)),
    )


def text64(data: bytes) -> str:
    """Return a file in base64."""
    return base64.b64encode(data).decode()


def http(body: bytes, kind: str = "application/json", **headers: str) -> bytes:
    """Return a request's headers and body; ``_`` in the name of a header becomes ``-``."""
    named = {"content-type": kind} | {name.replace("_", "-"): headers[name] for name in headers}
    return "\r\n".join(f"{k}: {v}" for k, v in named.items()).encode() + b"\r\n\r\n" + body


def _json_bodies() -> Sequence[bytes]:
    file = text64(encoded("PNG"))
    tensor = {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1.0, 2, 3, 4.5]}
    named = {"name": "x", "shape": [1], "datatype": "BYTES", "data": [file]}
    forms: list[Any] = [
        {"image": file, "top_k": 3},
        {"image": {"b64": file}},
        file,
        f"data:image/png;base64,{file}",
        [[1, 2.5], [3, 4]],
        {"instances": [file, {"b64": file}, {"image": file}], "parameters": {"top_k": 2}},
        {"inputs": {"image": [file]}},
        {"inputs": [[1, 2], [3, 4]]},
        {"inputs": [tensor, named], "id": "7", "outputs": [{"name": "array"}]},
        {"inputs": [named], "parameters": {"binary_data_output": False, "top_k": "3"}},
    ]
    return tuple(json.dumps(form).encode() for form in forms)


def _json_requests() -> Sequence[bytes]:
    kserve = [http(body, x_kserve_protocol="v2") for body in _json_bodies()[-2:]]
    return (*map(http, _json_bodies()), *kserve)


def multipart(parts: Sequence[tuple[str, bytes, str]], **headers: str) -> bytes:
    """Return a request with parts of (name, data, more of their heads)."""
    body = b"".join(
        f'--xyz\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode()
        + data
        + b"\r\n"
        for name, data, more in parts
    )
    return http(body + b"--xyz--\r\n", "multipart/form-data; boundary=xyz", **headers)


def _multiparts() -> Sequence[bytes]:
    typed = '; filename="a.png"\r\nContent-Type: image/png'
    fields = ("top_k", b"3", "")
    array = write_npy(np.ones((3, 32, 32), np.uint8))
    return (
        multipart([("image", encoded("PNG"), typed), fields]),
        multipart([fields, ("data", array, "")]),
        multipart([("body", _json_bodies()[0], "\r\nContent-Type: application/json")]),
        multipart([("file", text64(encoded("JPEG")).encode(), '; filename*="x"')]),
    )


def _plain_requests() -> Sequence[bytes]:
    file = encoded("PNG")
    return (
        http(file, "image/png", accept="application/json;q=0.5, application/x-npy, */*;q=0.1"),
        http(file, "application/octet-stream", x_marquee_top_k="3"),
        http(text64(file).encode(), "text/plain"),
        http(file, "", x_amzn_sagemaker_custom_attributes="X-Marquee-Top-K=3;trace=%C3%A9;a"),
        http(file, "image/jpeg; charset=x", content_encoding="identity"),
        http(f"data:image/png;base64,{text64(file)}".encode(), "*/*"),
    )


def _script_bodies() -> Sequence[bytes]:
    numbers = np.arange(6.0).reshape(2, 3)
    npz, packed = io.BytesIO(), io.BytesIO()
    np.savez(npz, numbers)
    np.savez_compressed(packed, **_sparse())  # type: ignore[arg-type]  # by its stubs
    return (
        b"application/json\n[[1, 2.5], [3e2, -4]]",
        b"text/csv\n1,2,3\n4,5.5,-6e2\n",
        b"application/x-npy\n" + write_npy(numbers),
        b"application/x-npz\n" + npz.getvalue(),
        b"application/x-npz; a=b\n" + packed.getvalue(),
    )


def _sparse() -> dict[str, Array]:
    return {
        "format": np.array(b"csr"),
        "shape": np.array([3, 4]),
        "data": np.array([1.0, 2, 3]),
        "indices": np.array([0, 2, 3]),
        "indptr": np.array([0, 1, 2, 3]),
    }


def _npzs() -> Sequence[bytes]:
    made = []
    for save in (np.savez, np.savez_compressed):
        for arrays in ({"a": np.ones((2, 3))}, _sparse()):
            stream = io.BytesIO()
            save(stream, **arrays)
            made.append(stream.getvalue())
    return made


def _npz(data: bytes) -> None:
    codec.decode(data, codec.NPZ, MAX_BYTES)


def _of_request(name: str, seeds: Callable[[], Sequence[bytes]], *edits: Any) -> Kind:
    return Kind(name, seeds, edits, request, REFUSALS)


KINDS = (
    Kind("jpeg", _jpegs, BYTES, image, REFUSALS),
    Kind("png", _pngs, (*BYTES, *map(in_png, (*BYTES, number, number))), image, REFUSALS),
    Kind("tiff", _tiffs, (*BYTES, number, number), image, REFUSALS),
    Kind("image", _others, BYTES, image, REFUSALS),
    Kind("geotiff", _scenes, (*BYTES, number, number), geotiff, REFUSALS),
    Kind("npy", _npys, (*BYTES, *TEXT), npy, REFUSALS),
    Kind("npz", _npzs, (*BYTES, in_zip({".npy": (*BYTES, *TEXT)})), _npz, REFUSALS),
    Kind("script", _script_bodies, (*BYTES, *TEXT), script, REFUSALS),
    _of_request("json", _json_requests, *map(in_body, [JSON] * 4), in_head()),
    _of_request("multipart", _multiparts, in_body(TEXT), in_body(BYTES), in_head()),
    _of_request("headers", _plain_requests, in_head(), in_head(), in_head(), in_body(BYTES)),
)

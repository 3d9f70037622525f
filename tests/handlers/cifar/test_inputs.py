"""Which bodies are the phone app's planes, and which are image files of their size."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from handlers.cifar.handler import PLANE_BYTES, CifarHandler
from handlers.runtime.exchange import Exchange
from tests.handlers.loading import answers, load

ROOM = Path(__file__).parents[3] / "handlers" / "cifar"
UNTOLD = (
    "application/x-npy",
    "application/octet-stream",
    "",
    "binary/octet-stream",
    "application/x-image",
)


@pytest.fixture(scope="module")
def handler() -> CifarHandler:
    return load(CifarHandler(), ROOM / "demo" / "lenet.pth")


def ask(handler: CifarHandler, body: bytes, kind: str) -> tuple[int, Any]:
    (answer,) = answers(handler, Exchange({"body": body}, {"content-type": kind}))
    return answer.status, json.loads(answer.body)


def ship() -> Image.Image:
    with Image.open(ROOM / "example.png") as picture:
        small: Image.Image = picture.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR)
    return small


def planes() -> bytes:
    return bytes(np.asarray(ship()).transpose(2, 0, 1).tobytes())


def padded_png() -> bytes:
    """A PNG of the ship that has exactly the planes' size, by a chunk that says nothing."""
    stream = io.BytesIO()
    # Few colours, so that there is room left.
    ship().quantize(16).save(stream, "PNG", optimize=True)
    data = stream.getvalue()
    filler = bytes(PLANE_BYTES - len(data) - 12)
    body = b"prVt" + filler
    chunk = struct.pack(">I", len(filler)) + body + struct.pack(">I", zlib.crc32(body))
    return data[:-12] + chunk + data[-12:]


@pytest.mark.parametrize("kind", UNTOLD)
def test_planes_are_read_where_nobody_says_what_they_are(handler: CifarHandler, kind: str) -> None:
    status, said = ask(handler, planes(), kind)
    assert (status, said["label"]) == (200, "ship")


@pytest.mark.parametrize("kind", ["image/png", *UNTOLD[1:]])
def test_an_image_file_of_the_planes_size_is_a_picture(handler: CifarHandler, kind: str) -> None:
    body = padded_png()
    assert len(body) == PLANE_BYTES
    stream = io.BytesIO()
    with Image.open(io.BytesIO(body)) as same:
        same.convert("RGB").save(stream, "PNG")
    assert ask(handler, body, kind) == ask(handler, stream.getvalue(), "image/png")


@pytest.mark.parametrize("kind", ["image/png", "image/*"])
def test_planes_are_no_image_file(handler: CifarHandler, kind: str) -> None:
    status, said = ask(handler, planes(), kind)
    assert status == 400
    assert "no image" in said["message"]


@pytest.mark.parametrize("start", [b"{", b"[", b'"', b"BM", b"AAAA", b"data:"])
def test_planes_may_begin_like_anything(handler: CifarHandler, start: bytes) -> None:
    body = start + planes()[len(start) :]
    assert ask(handler, body, "application/octet-stream")[0] == 200

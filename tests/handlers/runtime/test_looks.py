import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from handlers.runtime.images import FORMATS
from handlers.runtime.looks import is_image, looks_like


def npz() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, a=np.zeros(3))
    return stream.getvalue()


def documents() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("word/document.xml", "x")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (npz(), "npz"),
        (documents(), "zip"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "video"),
        (b"<svg xmlns='x'/>", "SVG"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<svg/>", "SVG"),
        (b"<?xml version='1.0'?><Error/>", "XML"),
        (b"\n<!DOCTYPE HTML>", "HTML"),
        (b'{"image": ', "JSON"),
        (b"[1, 2", "JSON"),
        (b"QUJDREVGR0hJSktMTU5PUFFS", "base64"),
        (b"image=abc&size=2", "web form"),
        (b"--xyz\r\nContent-Disposition: form-data", "multipart"),
        (b"version https://git-lfs.github.com/spec/v1", "git-lfs"),
        (b"https://host/cat.jpg", "address"),
        ("{}".encode("utf-16"), "UTF-16"),
        (b"\x80\x04\x95\0", "pickle"),
        (b"hello there", "text"),
    ],
)
def test_usual_things_that_are_no_image(data: bytes, words: str) -> None:
    assert words in (looks_like(data) or "")
    assert not is_image(data)


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"\x00\x01\xfe\x80" * 50])
def test_unknown_bytes_look_like_nothing(data: bytes) -> None:
    assert looks_like(data) is None
    assert not is_image(data)


@pytest.mark.parametrize("kind", sorted(set(FORMATS) - {"MPO"}))
def test_image_files_are_seen(kind: str) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, kind)
    assert is_image(stream.getvalue())

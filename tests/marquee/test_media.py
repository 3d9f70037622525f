"""What a file or an answer is: by its bytes, where its name or its type says nothing true."""

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from marquee.media import (
    accepted,
    answer_type,
    is_shown,
    suffix_of,
    type_by,
    type_of,
    type_of_file,
)

FORMATS = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "tiff": "image/tiff",
    "webp": "image/webp",
    "avif": "image/avif",
    "ppm": "image/x-portable-pixmap",
}
TEXT = b"seven words that are no JSON at all"


def picture(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, kind)
    return stream.getvalue()


def array(save: object = np.save) -> bytes:
    stream = io.BytesIO()
    save(stream, np.zeros(3))  # type: ignore[operator]
    return stream.getvalue()


@pytest.mark.parametrize("name", ["picture", "photo.jpg.bak", "photo.jpg~", "a.dat", "a.npy"])
@pytest.mark.parametrize("kind", FORMATS)
def test_pictures_are_known_under_any_name(kind: str, name: str) -> None:
    assert type_by(Path(name), picture(kind)) == FORMATS[kind]


@pytest.mark.parametrize("name", ["a.jpg", "A.JPEG", "a.npy", "a.json", "a.txt", "a.csv"])
def test_a_suffix_that_the_bytes_contradict_does_not_count(name: str) -> None:
    assert type_by(Path(name), picture("png")) == "image/png"


def test_an_avif_may_name_another_brand_first() -> None:
    boxed = b"\0\0\0 ftyp" + b"mif1" + bytes(4) + b"mif1avif"
    assert type_by(Path("a.jpg"), boxed) == "image/avif"
    assert type_by(Path("a.jpg"), boxed.replace(b"avif", b"heic")) == "image/heif"


def test_arrays_are_known_too() -> None:
    assert type_by(Path("a.png"), array()) == "application/x-npy"
    assert type_by(Path("a"), array(np.savez)) == "application/x-npz"


@pytest.mark.parametrize("body", [b'{"image": "x"}', b" [[1, 2]]", b"{}", b'\xef\xbb\xbf["a"]'])
def test_json_is_known_where_the_name_does_not_say_another_text(body: bytes) -> None:
    kinds = [type_by(Path(name), body) for name in ("body", "a.bak", "a.png", "a.json", "a.txt")]
    assert kinds == ["application/json"] * 4 + ["text/plain"]


def test_what_begins_like_json_and_is_none() -> None:
    assert type_by(Path("planes.raw"), b"[1" + bytes(100)) == "application/octet-stream"
    assert type_by(Path("note"), b"[sic] " + TEXT) == "application/octet-stream"
    assert type_by(Path("cut"), b'{"a": "' + "ä".encode()[:1]) == "application/json"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("rows.csv.bak", "text/csv"),
        ("rows.CSV", "text/csv"),
        ("text.png", "image/png"),
        ("notes.bak", "application/octet-stream"),
        ("v1.2", "application/octet-stream"),
    ],
)
def test_a_name_counts_where_the_bytes_tell_nothing(name: str, kind: str) -> None:
    assert type_by(Path(name), TEXT) == kind


def test_what_is_packed_is_not_what_its_name_says_of_the_inside() -> None:
    assert type_by(Path("a.json.gz"), gzip.compress(b"{}")) == "application/gzip"
    assert type_by(Path("a.jpg.gz"), gzip.compress(b"{}")) == "application/gzip"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        packed.writestr("a.txt", "a")
    assert type_by(Path("a.png"), stream.getvalue()) == "application/zip"


def test_a_file_is_opened_for_its_type(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg.bak"
    path.write_bytes(picture("jpeg"))
    assert type_of_file(path) == "image/jpeg"


@pytest.mark.parametrize("said", ["", "application/octet-stream", "Application/Octet-Stream; a=b"])
def test_an_answer_without_a_type_is_told_by_its_bytes(said: str) -> None:
    assert answer_type(said, b'{"tabby": 0.9}') == "application/json"
    assert answer_type(said, TEXT) == "text/plain"
    assert answer_type(said, b"") == "text/plain"
    assert answer_type(said, picture("png")) == "image/png"
    assert answer_type(said, b"\0\1\2") == "application/octet-stream"


def test_an_answer_is_what_it_says() -> None:
    assert answer_type("text/csv; charset=utf-8", b"{}") == "text/csv; charset=utf-8"


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/problem+json", True),
        ("text/csv", True),
        ("application/x-npy", False),
        ("image/svg+xml", False),
        ("", False),
    ],
)
def test_text_is_for_terminals(kind: str, shown: bool) -> None:
    assert is_shown(kind) is shown


def test_types_by_name_and_back() -> None:
    assert type_of(Path("A.JPG")) == "image/jpeg"
    assert type_of(Path("scene.tif")) == "image/tiff"
    assert type_of(Path("picture")) == "application/octet-stream"
    assert suffix_of("image/jpeg") == ".jpg"
    assert suffix_of("application/x-unheard-of") == ".bin"
    assert [accepted("npy"), accepted("JPG"), accepted("image/webp")] == [
        "application/x-npy",
        "image/jpeg",
        "image/webp",
    ]

"""Each line of the error table, over HTTP: status, shape, and a message that helps."""

import io
import os
from functools import cache
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.server.test_content_types import CIFAR, PHOTO, SHIP, npy
from tests.support import Running

INKWASH = "/predictions/inkwash"


@cache
def picture(size: tuple[int, int], mode: str = "L", kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.new(mode, size).save(stream, kind)
    return stream.getvalue()


def typed(content_type: str) -> dict[str, str]:
    return {"Content-Type": content_type}


def lying_npy() -> bytes:
    """An .npy of ten bytes whose header promises a terabyte."""
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 1000000), }"
    padded = header.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode() + b"x" * 10


def pickled_npy() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([os.system], dtype=object), allow_pickle=True)
    return stream.getvalue()


BAD: dict[str, tuple[int, str, dict[str, Any], str]] = {
    "empty body": (400, CIFAR, {"content": b""}, "no input"),
    "no image": (400, CIFAR, {"content": b"hello"}, "no image that can be read"),
    "truncated image": (400, CIFAR, {"content": PHOTO[:2000]}, "truncated"),
    "broken JSON": (
        400,
        CIFAR,
        {"content": b'{"image', "headers": typed("application/json")},
        "JSON",
    ),
    "empty JSON": (400, CIFAR, {"content": b"", "headers": typed("application/json")}, "empty"),
    "JSON number": (400, CIFAR, {"content": b"7", "headers": typed("application/json")}, "int"),
    "JSON NaN": (400, CIFAR, {"content": b"[NaN]", "headers": typed("application/json")}, "NaN"),
    "deep JSON": (
        400,
        CIFAR,
        {"content": b"[" * 100_000, "headers": typed("application/json")},
        "deep",
    ),
    "JSON in UTF-16": (
        400,
        CIFAR,
        {"content": '{"image": "QQ=="}'.encode("utf-16"), "headers": typed("application/json")},
        "UTF-8",
    ),
    "endless number": (
        400,
        CIFAR,
        {
            "content": b'{"image": "aGk=", "top_k": ' + b"9" * 400 + b"}",
            "headers": typed("application/json"),
        },
        "from 1 to 10",
    ),
    "array of nothing": (400, CIFAR, {"content": npy(np.zeros(4, "V8"))}, "numbers"),
    "two parts of one name": (
        400,
        CIFAR,
        {"files": [("image", ("a.png", SHIP, "image/png"))] * 2},
        "parts with one name",
    ),
    "a PDF": (400, INKWASH, {"content": b"%PDF-1.7"}, "look like a PDF"),
    "unknown field": (400, CIFAR, {"json": {"img": "QQ=="}}, "an input is named image"),
    "no base64": (400, CIFAR, {"json": {"image": "!!!"}}, "base64"),
    "ragged list": (400, CIFAR, {"json": [[1, 2], [3]]}, "ragged"),
    "list of text": (400, CIFAR, {"json": {"data": [["a"]]}}, "numbers"),
    "empty instances": (400, CIFAR, {"json": {"instances": []}}, "instances"),
    "wrong shape": (400, CIFAR, {"content": npy(np.zeros((3, 8, 8)))}, "(3, 8, 8)"),
    "out of range": (400, CIFAR, {"content": npy(np.full((3, 32, 32), 256))}, "256"),
    "NaN array": (400, CIFAR, {"content": npy(np.full((3, 32, 32), np.nan))}, "NaN"),
    "empty array": (400, CIFAR, {"content": npy(np.zeros((0, 3, 32, 32)))}, "empty"),
    "complex array": (400, CIFAR, {"content": npy(np.zeros((3, 32, 32), complex))}, "complex"),
    "pickled npy": (400, CIFAR, {"content": pickled_npy()}, "never loaded"),
    "lying npy": (400, CIFAR, {"content": lying_npy()}, "promises"),
    "unknown parameter": (400, CIFAR, {"json": {"image": "", "topk": 1}}, "topk"),
    "unknown header parameter": (
        400,
        CIFAR,
        {"content": SHIP, "headers": {"X-Marquee-Colour": "red"}},
        "colour",
    ),
    "parameter out of range": (
        400,
        CIFAR,
        {"content": SHIP, "headers": {"X-Marquee-Top-K": "11"}},
        "from 1 to 10",
    ),
    "two inputs for one painting": (
        413,
        INKWASH,
        {"json": {"instances": [[[1]], [[2]]]}},
        "at most 1",
    ),
    "not acceptable": (406, CIFAR, {"content": SHIP, "headers": {"Accept": "text/html"}}, "x-npy"),
    "refused by q": (
        406,
        CIFAR,
        {"content": SHIP, "headers": {"Accept": "*/*;q=0"}},
        "expected one of",
    ),
    "too many pixels": (413, CIFAR, {"content": picture((20_000, 20_000), "1")}, "pixels"),
    "painting too large": (
        413,
        INKWASH,
        {"content": picture((100, 4000)), "headers": {"X-Marquee-Size": "8000"}},
        "smaller size",
    ),
    "unknown type": (415, CIFAR, {"content": b"1,2", "headers": typed("text/csv")}, "text/csv"),
    "web form": (415, CIFAR, {"data": {"image": "x"}}, "--data-binary"),
    "unknown part type": (
        415,
        CIFAR,
        {"files": {"image": ("a.pdf", b"%PDF", "application/pdf")}},
        "application/pdf",
    ),
    "array for a painter": (415, INKWASH, {"content": npy(np.zeros((8, 8, 3), np.uint8))}, "image"),
    "list for a painter": (415, INKWASH, {"json": [[1, 2], [3, 4]]}, "image"),
    "nothing to paint": (
        422,
        INKWASH,
        {"content": picture((2, 900)), "headers": {"X-Marquee-Size": "0"}},
        "at least 5",
    ),
    "floating-point image": (422, INKWASH, {"content": picture((64, 64), "F", "TIFF")}, "16 bits"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_told_what_is_wrong(client: httpx.Client, name: str) -> None:
    status, path, request, words = BAD[name]
    answer = client.post(path, **request)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()
    assert set(error) == {"code", "type", "message"}
    assert error["code"] == status
    assert words in error["message"]
    assert "Traceback" not in answer.text
    assert ".py" not in answer.text


def test_bad_requests_leave_the_workers_alone(server: Running, client: httpx.Client) -> None:
    before = server.worker_pids("cifar", "2.0") + server.worker_pids("inkwash", "1.0")
    for _, path, request, _ in BAD.values():
        client.post(path, **request)
    assert server.worker_pids("cifar", "2.0") + server.worker_pids("inkwash", "1.0") == before
    assert client.post(CIFAR, content=SHIP).json()["label"] == "ship"


def test_an_explanation_that_does_not_exist_is_an_honest_422(client: httpx.Client) -> None:
    answer = client.post("/explanations/faulty", content=SHIP)
    assert answer.status_code == 422
    assert "explanation" in answer.json()["message"]


def test_without_a_token_nothing_is_answered(server: Running) -> None:
    answer = httpx.post(f"{server.inference}{CIFAR}", content=SHIP, trust_env=False)
    assert answer.status_code == 400
    assert answer.json()["type"] == "InvalidKeyException"


def test_unknown_models_and_versions(client: httpx.Client) -> None:
    assert client.post("/predictions/nobody", content=SHIP).status_code == 404
    assert client.post(f"{CIFAR}/7.0", content=SHIP).status_code == 404

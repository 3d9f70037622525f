"""timetravel through the real server: the original's pictures, its clients' array, bad faces."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.handlers.timetravel.support import EXAMPLE, GOLDEN, psnr
from tests.server.test_errors import picture, typed
from tests.support import Running

TIMETRAVEL = "/predictions/timetravel"
CROPPED = {"X-Marquee-Align": "false"}
FACE = (GOLDEN / "input.png").read_bytes()
DEMO_FACE = EXAMPLE.read_bytes()
AGES = (25, 35, 55, 75)


def strip(client: httpx.Client, path: str, body: bytes, **headers: str) -> NDArray[np.uint8]:
    sent = CROPPED | {name.replace("_", "-"): value for name, value in headers.items()}
    answer = client.post(path, content=body, headers=sent)
    assert answer.status_code == 200, answer.text
    found: NDArray[np.uint8] = np.load(io.BytesIO(answer.content))
    assert found.dtype == np.uint8
    return found


def test_pictures_equal_the_originals(detectors_client: httpx.Client) -> None:
    found = strip(detectors_client, f"{TIMETRAVEL}/91.0", FACE)
    side = found.shape[0]
    assert found.shape == (side, side * 5, 3)
    with np.load(GOLDEN / "small.npz") as vectors:
        for place, age in enumerate(AGES, start=1):
            tile = found[:, place * side : (place + 1) * side]
            assert psnr(tile, vectors[f"img{age}"]) > 60


def test_together_as_alone(detectors_client: httpx.Client) -> None:
    alone = strip(detectors_client, TIMETRAVEL, DEMO_FACE, X_Marquee_Ages="30,70")
    with ThreadPoolExecutor(4) as pool:
        together = [
            *pool.map(
                lambda _: strip(detectors_client, TIMETRAVEL, DEMO_FACE, X_Marquee_Ages="30,70"),
                range(4),
            )
        ]
    assert all(np.abs(one.astype(int) - alone).max() <= 1 for one in together)


def test_a_strip_to_look_at(detectors_client: httpx.Client) -> None:
    headers = CROPPED | {"Accept": "image/jpeg"}
    answer = detectors_client.post(TIMETRAVEL, content=DEMO_FACE, headers=headers)
    shown = Image.open(io.BytesIO(answer.content))
    assert shown.width == 5 * shown.height


def headers(**more: str) -> dict[str, str]:
    return CROPPED | {name.replace("_", "-"): value for name, value in more.items()}


BAD: dict[str, tuple[int, dict[str, Any]]] = {
    "empty": (400, {"content": b""}),
    "text": (400, {"content": b"hello", "headers": headers()}),
    "truncated": (400, {"content": FACE[:3000], "headers": headers()}),
    "not base64": (400, {"json": {"image": "*", "align": False}}),
    "broken JSON": (400, {"content": b"{", "headers": typed("application/json")}),
    "JSON without an image": (400, {"json": {"align": False}}),
    "age out of range": (400, {"content": FACE, "headers": headers(X_Marquee_Ages="101")}),
    "negative age": (400, {"content": FACE, "headers": headers(X_Marquee_Ages="-1")}),
    "age is text": (400, {"content": FACE, "headers": headers(X_Marquee_Ages="old")}),
    "half an age": (400, {"content": FACE, "headers": headers(X_Marquee_Ages="20.5")}),
    "no ages": (400, {"content": FACE, "headers": headers(X_Marquee_Ages=",")}),
    "too many ages": (400, {"content": FACE, "headers": headers(X_Marquee_Ages="5," * 16 + "5")}),
    "unknown parameter": (400, {"content": FACE, "headers": headers(X_Marquee_Gender="f")}),
    "align is text": (400, {"content": FACE, "headers": {"X-Marquee-Align": "perhaps"}}),
    "negative face": (400, {"content": FACE, "headers": {"X-Marquee-Face": "-1"}}),
    "array": (415, {"json": {"image": [[1, 2], [3, 4]]}}),
    "npy": (415, {"content": b"\x93NUMPY", "headers": typed("application/x-npy")}),
    "csv": (415, {"content": b"1,2", "headers": typed("text/csv")}),
    "web form": (415, {"data": {"image": "x"}}),
    "20000 x 20000": (413, {"content": picture((20_000, 20_000), "1"), "headers": headers()}),
    "not square": (422, {"content": picture((64, 32)), "headers": headers()}),
    "floating point": (422, {"content": picture((64, 64), "F", "TIFF"), "headers": headers()}),
    "no face": (422, {"content": picture((256, 256))}),
    "cannot answer in text": (406, {"content": FACE, "headers": headers(Accept="text/plain")}),
}


def test_bad_requests_are_told_and_the_worker_stays(
    detectors: Running, detectors_client: httpx.Client
) -> None:
    before = detectors.worker_pids("timetravel", "1.0")
    for name, (status, request) in BAD.items():
        answer = detectors_client.post(TIMETRAVEL, **request)
        assert answer.status_code == status, (name, answer.text)
        assert len(json.loads(answer.content)["message"]) > 10
    assert strip(detectors_client, TIMETRAVEL, DEMO_FACE).ndim == 3
    assert detectors.worker_pids("timetravel", "1.0") == before

"""inkwash through the real server: batches against single photos, and bad photos."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.server.test_content_types import PHOTO, SHIP, npy
from tests.server.test_errors import INKWASH, pickled_npy, picture, typed
from tests.support import Running


def painted(client: httpx.Client, body: bytes) -> NDArray[Any]:
    headers = {"Accept": "application/x-npy", "X-Marquee-Size": "64"}
    answer = client.post(INKWASH, content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    found: NDArray[Any] = np.load(io.BytesIO(answer.content))
    return found


def mirrored(data: bytes) -> bytes:
    stream = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(stream, "PNG")
    return stream.getvalue()


def test_eight_at_once_are_as_eight_alone(client: httpx.Client) -> None:
    photos = [PHOTO, mirrored(PHOTO), SHIP, mirrored(SHIP)] * 2
    alone = [painted(client, photo) for photo in photos]
    with ThreadPoolExecutor(8) as pool:
        together = [*pool.map(lambda photo: painted(client, photo), photos)]
    for one, other in zip(alone, together, strict=True):
        assert one.shape == other.shape
        # Truncated to whole levels: a value on the edge may fall either way.
        assert np.abs(one.astype(int) - other).max() <= 1


def sized(size: str) -> dict[str, Any]:
    return {"content": PHOTO, "headers": {"X-Marquee-Size": size}}


BAD: dict[str, tuple[int, dict[str, Any]]] = {
    "empty": (400, {"content": b""}),
    "text": (400, {"content": b"hello"}),
    "truncated": (400, {"content": PHOTO[:3000]}),
    "damaged": (400, {"content": SHIP[:100] + b"\0" * 400 + SHIP[500:]}),
    "not base64": (400, {"json": {"image": "*"}}),
    "broken JSON": (400, {"content": b"{", "headers": typed("application/json")}),
    "JSON without an image": (400, {"json": {"size": 64}}),
    "image is a number": (400, {"json": {"image": 5}}),
    "a URL": (400, {"json": {"url": "http://127.0.0.1/x.jpg"}}),
    "two photos": (413, {"json": {"instances": [[[1]], [[2]]]}}),
    "list": (415, {"json": [[1, 2], [3, 4]]}),
    "npy": (415, {"content": npy(np.zeros((8, 8, 3), np.uint8))}),
    "pickled npy": (415, {"content": pickled_npy()}),
    "csv": (415, {"content": b"1,2", "headers": typed("text/csv")}),
    "web form": (415, {"data": {"image": "x"}}),
    "gzip": (415, {"content": PHOTO, "headers": {"Content-Encoding": "gzip"}}),
    "20000 x 20000": (413, {"content": picture((20_000, 20_000), "1")}),
    "floating point": (422, {"content": picture((64, 64), "F", "TIFF")}),
    "nothing to paint": (422, {"content": picture((2, 900)), "headers": {"X-Marquee-Size": "0"}}),
    "painting too large": (
        413,
        {"content": picture((9, 900)), "headers": {"X-Marquee-Size": "8000"}},
    ),
    "size is text": (400, sized("large")),
    "size is NaN": (400, sized("nan")),
    "size is negative": (400, sized("-1")),
    "size out of range": (400, sized("8193")),
    "unknown parameter": (400, {"content": PHOTO, "headers": {"X-Marquee-Style": "oil"}}),
    "cannot answer in webp": (406, {"content": PHOTO, "headers": {"Accept": "image/webp"}}),
}


def test_bad_photos_are_told_and_the_worker_stays(server: Running, client: httpx.Client) -> None:
    before = server.worker_pids("inkwash", "1.0")
    for name, (status, request) in BAD.items():
        answer = client.post(INKWASH, **request)
        assert answer.status_code == status, (name, answer.text)
        assert len(json.loads(answer.content)["message"]) > 10
    assert painted(client, PHOTO).shape[0] == 64
    assert server.worker_pids("inkwash", "1.0") == before

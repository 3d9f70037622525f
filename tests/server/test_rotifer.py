"""rotifer through the real server: the C program's detections, every way in, bad pictures."""

import base64
import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.handlers.rotifer.support import GOLDEN, expected
from tests.server.test_errors import picture, typed
from tests.support import ROOT, Running

ROTIFER = "/predictions/rotifer"
NETWORKS = {"tiny5": "91.0", "res5": "92.0"}
FIELDS = {"a": "field_a.png", "b": "field_b.png", "c": "field_c_stb.png"}
FIELD = (GOLDEN / "field_a.png").read_bytes()
B64 = base64.b64encode(FIELD).decode()
EXAMPLE = (ROOT / "handlers" / "rotifer" / "example.png").read_bytes()


def assert_same(answer: Any, wanted: Any) -> None:
    """Same counts, and detection for detection: class, probability, box in pixels."""
    assert answer["stat"] == wanted["stats"]
    left = [*answer["detections"]]
    assert len(left) == len(wanted["detections"])
    for name, probability, box, _ in wanted["detections"]:
        same = [
            d
            for d in left
            if d["class"] == name
            and abs(d["probability"] - probability) < 1e-4
            and np.abs(np.subtract(d["box"], box)).max() < 0.02
        ]
        assert same, (name, probability, box)
        left.remove(same[0])


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("network", NETWORKS)
def test_detections_equal_the_c_programs(
    detectors_client: httpx.Client, network: str, field: str
) -> None:
    body = {"image": base64.b64encode((GOLDEN / FIELDS[field]).read_bytes()).decode()}
    answer = detectors_client.post(f"{ROTIFER}/{NETWORKS[network]}", json=body)
    assert_same(answer.json(), expected(f"{network}_field_{field}"))


def test_eight_in_a_batch_are_as_eight_alone(detectors_client: httpx.Client) -> None:
    bodies = [(GOLDEN / name).read_bytes() for name in FIELDS.values()] * 3
    path = f"{ROTIFER}/91.0"
    alone = [detectors_client.post(path, content=body).json() for body in bodies[:3]] * 3
    with ThreadPoolExecutor(8) as pool:
        together = [
            *pool.map(lambda body: detectors_client.post(path, content=body).json(), bodies[:8])
        ]
    for one, other in zip(alone[:8], together, strict=True):
        assert one["stat"] == other["stat"]
        for a, b in zip(one["detections"], other["detections"], strict=True):
            assert a["class"] == b["class"]
            assert abs(a["probability"] - b["probability"]) < 1e-5


@pytest.mark.parametrize(
    "form",
    [
        {"json": {"image": B64, "filename": "test.jpg"}},
        {"files": {"image": ("a.png", FIELD, "image/png")}, "data": {"filename": "a.png"}},
        {"content": FIELD},
    ],
    ids=["json", "multipart", "raw"],
)
@pytest.mark.parametrize("path", [f"{ROTIFER}/91.0", "/invocations?model_name=rotifer"])
def test_the_originals_ways_in(detectors_client: httpx.Client, path: str, form: Any) -> None:
    answer = detectors_client.post(path, **form)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert list(said)[:2] == ["img", "stat"]
    assert Image.open(io.BytesIO(base64.b64decode(said["img"]))).size == (437, 331)


def test_the_demo_finds_what_was_drawn(detectors_client: httpx.Client) -> None:
    said = detectors_client.post(ROTIFER, content=EXAMPLE).json()
    assert sum(said["stat"].values()) >= 3
    jpeg = detectors_client.post(ROTIFER, content=EXAMPLE, headers={"Accept": "image/*"})
    assert jpeg.headers["content-type"] == "image/jpeg"


BAD: dict[str, tuple[int, dict[str, Any]]] = {
    "empty": (400, {"content": b""}),
    "text": (400, {"content": b"hello"}),
    "truncated": (400, {"content": FIELD[:5000]}),
    "not base64": (400, {"json": {"image": "*"}}),
    "broken JSON": (400, {"content": b"{", "headers": typed("application/json")}),
    "JSON without an image": (400, {"json": {"filename": "a.jpg"}}),
    "image is a number": (400, {"json": {"image": 5}}),
    "image is null": (400, {"json": {"image": None}}),
    "two images": (413, {"json": {"instances": [B64, B64]}}),
    "array": (415, {"json": {"image": [[1, 2], [3, 4]]}}),
    "npy": (415, {"content": b"\x93NUMPY\x01\x00", "headers": typed("application/x-npy")}),
    "csv": (415, {"content": b"1,2", "headers": typed("text/csv")}),
    "web form": (415, {"data": {"image": B64}}),
    "20000 x 20000": (413, {"content": picture((20_000, 20_000), "1")}),
    "floating point": (422, {"content": picture((64, 64), "F", "TIFF")}),
    "unknown parameter": (400, {"json": {"image": B64, "threshold": 0.5}}),
    "thresh too high": (400, {"json": {"image": B64, "thresh": 1.5}}),
    "thresh is text": (400, {"json": {"image": B64, "thresh": "high"}}),
    "nms is NaN": (400, {"content": FIELD, "headers": {"X-Marquee-Nms": "nan"}}),
    "auto_crop is a number": (400, {"json": {"image": B64, "auto_crop": 3}}),
    "nothing to crop to": (
        422,
        {"json": {"image": base64.b64encode(picture((64, 64))).decode(), "auto_crop": True}},
    ),
    "cannot answer in text": (406, {"content": FIELD, "headers": {"Accept": "text/plain"}}),
}


def test_bad_requests_are_told_and_the_worker_stays(
    detectors: Running, detectors_client: httpx.Client
) -> None:
    before = detectors.worker_pids("rotifer", "1.0")
    for name, (status, request) in BAD.items():
        answer = detectors_client.post(ROTIFER, **request)
        assert answer.status_code == status, (name, answer.text)
        assert len(json.loads(answer.content)["message"]) > 10
    assert detectors_client.post(ROTIFER, content=EXAMPLE).status_code == 200
    assert detectors.worker_pids("rotifer", "1.0") == before

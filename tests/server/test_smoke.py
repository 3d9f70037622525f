"""smoke through the real server: the original's predictions, its clients' JSON, large scenes."""

import gzip
import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.server.test_content_types import npy
from tests.server.test_errors import lying_npy, pickled_npy, picture, typed
from tests.support import GOLDEN, ROOT, Running

SMOKE = "/predictions/smoke"
FOLDER = GOLDEN / "smoke"
SCENE: NDArray[np.uint8] = np.load(FOLDER / "scene.npy")
EXPECTED: NDArray[np.float32] = np.load(FOLDER / "predictions.npz")["predictions"]
AS_NPY = {"Accept": "application/x-npy"}


def predicted(client: httpx.Client, body: bytes, path: str = f"{SMOKE}/91.0") -> NDArray[Any]:
    answer = client.post(path, content=body, headers=AS_NPY)
    assert answer.status_code == 200, answer.text
    found: NDArray[Any] = np.load(io.BytesIO(answer.content))
    return found


@pytest.mark.parametrize("form", ["npy", "npy of one scene", "GeoTIFF"])
def test_predictions_equal_the_originals(detectors_client: httpx.Client, form: str) -> None:
    tif = (FOLDER / "scene.tif").read_bytes()
    body = {"npy": npy(SCENE[None]), "npy of one scene": npy(SCENE), "GeoTIFF": tif}[form]
    found = predicted(detectors_client, body)
    assert found.dtype == np.float32
    assert np.abs(found - EXPECTED).max() < 1e-4


def test_the_exchange_of_the_seeds_clients(detectors_client: httpx.Client) -> None:
    body = gzip.decompress((FOLDER / "request.json.gz").read_bytes())
    wanted = json.loads(gzip.decompress((FOLDER / "response.json.gz").read_bytes()))
    answer = detectors_client.post(f"{SMOKE}/91.0", content=body, headers=typed("application/json"))
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == list(wanted)
    assert np.abs(np.subtract(answer.json()["predictions"], wanted["predictions"])).max() < 1e-4


def test_eight_in_a_batch_are_as_eight_alone(detectors_client: httpx.Client) -> None:
    scenes = [npy(np.roll(SCENE, 16 * shift, axis=1)) for shift in range(8)]
    alone = [predicted(detectors_client, scene) for scene in scenes]
    with ThreadPoolExecutor(8) as pool:
        together = [*pool.map(lambda scene: predicted(detectors_client, scene), scenes)]
    for one, other in zip(alone, together, strict=True):
        assert np.abs(one - other).max() < 1e-5


def test_a_large_scene_has_no_seam(detectors_client: httpx.Client) -> None:
    copies = 5  # 1280 x 1280 pixels: four windows, which meet within copies
    found = predicted(detectors_client, npy(np.tile(SCENE, (copies, copies, 1))))[0, ..., 0]
    side = len(SCENE)
    inner = found[side:-side, side:-side]  # what sees nothing of the scene's border
    assert inner.max() > 0.9
    assert np.abs(inner - np.tile(inner[:side, :side], (copies - 2, copies - 2))).max() < 1e-4


def test_the_overlay(detectors_client: httpx.Client) -> None:
    example = (ROOT / "handlers" / "smoke" / "example.tif").read_bytes()
    answer = detectors_client.post(SMOKE, content=example, headers={"Accept": "image/png"})
    assert answer.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(answer.content)).mode == "RGB"


BAD: dict[str, tuple[int, dict[str, Any]]] = {
    "empty": (400, {"content": b""}),
    "text": (400, {"content": b"hello"}),
    "truncated npy": (400, {"content": npy(SCENE)[:1000]}),
    "truncated GeoTIFF": (400, {"content": (FOLDER / "scene.tif").read_bytes()[:1000]}),
    "lying npy": (400, {"content": lying_npy()}),
    "pickled npy": (400, {"content": pickled_npy()}),
    "seven bands": (400, {"content": npy(np.zeros((256, 256, 7), np.uint8))}),
    "channels first": (400, {"content": npy(np.zeros((6, 256, 256), np.uint8))}),
    "too small": (400, {"content": npy(np.zeros((255, 256, 6), np.uint8))}),
    "two dimensions": (400, {"content": npy(np.zeros((256, 256), np.uint8))}),
    "five dimensions": (400, {"content": npy(np.zeros((1, 1, 256, 256, 6), np.uint8))}),
    "0 x 0": (400, {"content": npy(np.zeros((0, 0, 6), np.uint8))}),
    "NaN": (400, {"content": npy(np.full((256, 256, 6), np.nan, np.float32))}),
    "infinite": (400, {"content": npy(np.full((256, 256, 6), np.inf, np.float32))}),
    "far out": (400, {"content": npy(np.full((256, 256, 6), 1e30, np.float32))}),
    "text array": (400, {"content": npy(np.full((256, 256, 6), "a"))}),
    "complex": (400, {"content": npy(np.zeros((256, 256, 6), np.complex64))}),
    "ragged list": (400, {"json": [[[1, 2], [3]]]}),
    "broken JSON": (400, {"content": b"[[", "headers": typed("application/json")}),
    "JSON NaN": (400, {"content": b"[[NaN]]", "headers": typed("application/json")}),
    "too many pixels": (413, {"content": npy(np.zeros((4100, 4100, 6), np.uint8)[:, :4100])}),
    "a photograph": (415, {"content": picture((256, 256)), "headers": typed("image/png")}),
    "csv": (415, {"content": b"1,2", "headers": typed("text/csv")}),
    "unknown parameter": (400, {"content": npy(SCENE), "headers": {"X-Marquee-Tile": "2"}}),
    "threshold out of range": (
        400,
        {"content": npy(SCENE), "headers": {"X-Marquee-Threshold": "2"}},
    ),
    "cannot answer in jpeg": (406, {"content": npy(SCENE), "headers": {"Accept": "image/jpeg"}}),
}


def test_bad_requests_are_told_and_the_worker_stays(
    detectors: Running, detectors_client: httpx.Client
) -> None:
    before = detectors.worker_pids("smoke", "1.0")
    for name, (status, request) in BAD.items():
        answer = detectors_client.post(SMOKE, **request)
        assert answer.status_code == status, (name, answer.text)
        assert len(json.loads(answer.content)["message"]) > 10
    assert detectors_client.post(SMOKE, content=npy(SCENE)).status_code == 200
    assert detectors.worker_pids("smoke", "1.0") == before

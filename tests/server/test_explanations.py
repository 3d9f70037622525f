"""Explanations through the real server: captum is imported in the worker, not here."""

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.server.test_content_types import PHOTO, SHIP
from tests.support import Running

CIFAR = "/explanations/cifar"
INKWASH = "/explanations/inkwash"
SMALL = {"X-Marquee-Size": "48", "X-Marquee-Steps": "8"}


@pytest.mark.parametrize("method", ["integrated_gradients", "grad_cam", "occlusion"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_class_is_explained_in_every_form(
    client: httpx.Client, version: str, method: str
) -> None:
    def explained(accept: str) -> httpx.Response:
        headers = {"Accept": accept, "X-Marquee-Method": method}
        answer = client.post(f"{CIFAR}/{version}", content=SHIP, headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == accept
        return answer

    for accept in ("image/png", "image/jpeg"):
        assert Image.open(io.BytesIO(explained(accept).content)).size == (320, 320)
    values = np.load(io.BytesIO(explained("application/x-npy").content))
    said = explained("application/json").json()
    assert (said["method"], said["target"]) == (method, "ship")
    assert said["shape"] == list(values.shape)
    np.testing.assert_allclose(said["attributions"], values.sum(axis=0), rtol=1e-4, atol=1e-4)


def test_parameters_in_a_json_body(client: httpx.Client) -> None:
    picture = np.asarray(Image.open(io.BytesIO(SHIP))).transpose(2, 0, 1).tolist()
    body = {"data": picture, "target": 1, "steps": 256}
    said = client.post(CIFAR, json=body, headers={"Accept": "application/json"}).json()
    assert said["target"] == "car"
    assert said["completeness_error"] < 0.02 * (abs(said["score"]) + abs(said["baseline_score"]))


def test_a_paintings_darkness_is_explained(client: httpx.Client) -> None:
    answer = client.post(INKWASH, content=PHOTO, headers=SMALL | {"Accept": "application/json"})
    assert answer.json()["target"] == [0, 0, 1, 1]
    answer = client.post(INKWASH, content=PHOTO, headers=SMALL | {"X-Marquee-Method": "grad_cam"})
    assert answer.status_code == 422


def test_explanations_and_predictions_at_the_same_time(
    server: Running, client: httpx.Client
) -> None:
    before = server.worker_pids("cifar", "2.0")
    requests: list[tuple[str, dict[str, Any], int]] = [
        (CIFAR, {"content": SHIP}, 200),
        (CIFAR, {"content": b"no image"}, 400),
        ("/predictions/cifar", {"content": SHIP}, 200),
        (CIFAR, {"content": SHIP, "headers": {"X-Marquee-Steps": "0"}}, 400),
        (CIFAR, {"content": SHIP, "headers": {"Accept": "text/html"}}, 406),
        ("/predictions/cifar", {"content": SHIP, "headers": {"X-Marquee-Steps": "8"}}, 400),
    ] * 3
    with ThreadPoolExecutor(len(requests)) as pool:
        futures = [pool.submit(client.post, path, **options) for path, options, _ in requests]
        statuses = [future.result().status_code for future in futures]
    assert statuses == [status for _, _, status in requests]
    assert server.worker_pids("cifar", "2.0") == before


def test_a_model_without_explanations_says_so_whatever_is_asked(client: httpx.Client) -> None:
    headers = {"X-Marquee-Method": "occlusion", "Accept": "image/png"}
    answer = client.post("/explanations/faulty", content=SHIP, headers=headers)
    assert answer.status_code == 422
    assert "explanation" in answer.json()["message"]

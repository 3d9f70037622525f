"""Every way in and every way out, over HTTP."""

import base64
import io
import json
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.support import GOLDEN, ROOT, Running

CIFAR = "/predictions/cifar"
SHIP = (GOLDEN / "cifar" / "8_ship.png").read_bytes()
PIXELS = np.asarray(Image.open(io.BytesIO(SHIP))).transpose(2, 0, 1)
PHOTO = (ROOT / "handlers" / "inkwash" / "example.jpg").read_bytes()


def npy(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


JSON_TYPE = {"Content-Type": "application/json"}
B64 = base64.b64encode(SHIP).decode()
BODIES: dict[str, Any] = {
    "raw with its type": {"content": SHIP, "headers": {"Content-Type": "image/png"}},
    "raw without a type": {"content": SHIP},
    "raw octets": {"content": SHIP, "headers": {"Content-Type": "application/octet-stream"}},
    "the type image/* as it is written": {"content": SHIP, "headers": {"Content-Type": "image/*"}},
    "npy": {"content": npy(PIXELS), "headers": {"Content-Type": "application/x-npy"}},
    "npy of four dimensions": {"content": npy(PIXELS[None])},
    "npy of int64": {"content": npy(PIXELS.astype(np.int64))},
    "bare bytes as npy": {
        "content": PIXELS.tobytes(),
        "headers": {"Content-Type": "application/x-npy"},
    },
    "raw as what object stores call it": {
        "content": SHIP,
        "headers": {"Content-Type": "binary/octet-stream"},
    },
    "raw as SageMaker's examples call it": {
        "content": SHIP,
        "headers": {"Content-Type": "application/x-image"},
    },
    "raw data url": {"content": f"data:image/png;base64,{B64}".encode()},
    "raw base64": {"content": B64.encode()},
    "json without a type": {"content": json.dumps({"image": B64}).encode()},
    "json of KServe 1": {"json": {"instances": [{"image_bytes": {"b64": B64}}]}},
    "json of KServe 2": {
        "json": {
            "inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": [B64]}],
        }
    },
    "numbers of KServe 2": {
        "json": {
            "inputs": [
                {
                    "name": "x",
                    "shape": [1, 3, 32, 32],
                    "datatype": "UINT8",
                    "data": PIXELS.ravel().tolist(),
                }
            ]
        }
    },
    "json columns": {"json": {"inputs": {"image": [B64]}}},
    "json image": {"json": {"image": B64}},
    "json with a charset": {
        "content": json.dumps({"image": B64}).encode(),
        "headers": {"Content-Type": "application/json; charset=utf-8"},
    },
    "json in capitals": {
        "content": json.dumps({"image": B64}).encode(),
        "headers": {"Content-Type": "Application/JSON"},
    },
    "json data url": {"json": {"image": f"data:image/png;base64,{B64}"}},
    "json of raw bytes": {"json": {"data": base64.b64encode(PIXELS.tobytes()).decode()}},
    "json list of three dimensions": {"json": PIXELS.tolist()},
    "json list of four dimensions": {"json": [PIXELS.tolist()]},
    "json list in a field": {"json": {"data": PIXELS.tolist()}},
    "multipart image": {"files": {"image": ("ship.png", SHIP, "image/png")}},
    "multipart file": {"files": {"file": ("ship.png", SHIP)}},
    "multipart base64": {"files": {"file": (None, B64)}},
    "multipart data url": {"files": {"image": (None, f"data:image/png;base64,{B64}")}},
    "multipart npy": {"files": {"data": ("a.npy", npy(PIXELS), "application/x-npy")}},
    "multipart json": {
        "files": {"body": ("a.json", json.dumps({"image": B64}), "application/json")}
    },
}


@pytest.mark.parametrize("form", BODIES)
def test_every_form_of_the_same_picture_gets_the_same_answer(
    client: httpx.Client, form: str
) -> None:
    expected = client.post(CIFAR, content=SHIP).json()
    answer = client.post(CIFAR, **BODIES[form])
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    said = answer.json()
    (said,) = said.get("predictions", [said])  # what came in a list is answered in one
    assert said["label"] == expected["label"] == "ship"
    assert said["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)


@pytest.mark.parametrize(
    "form",
    [
        {"json": {"image": B64, "top_k": 2}},
        {"json": {"image": B64, "parameters": {"top_k": 2}}},
        {"files": {"image": SHIP}, "data": {"top_k": "2"}},
        {"content": SHIP, "headers": {"X-Marquee-Top-K": "2"}},
        {"content": SHIP, "headers": {"x-marquee-top-k": "2"}},
    ],
    ids=["json", "json parameters", "multipart", "header", "lower-case header"],
)
def test_parameters_come_in_every_way(client: httpx.Client, form: dict[str, Any]) -> None:
    answer = client.post(CIFAR, **form)
    assert next(iter(answer.json()["probabilities"])) == "ship"
    assert len(answer.json()["probabilities"]) == 2


def test_query_parameters_reach_the_model_on_invocations(client: httpx.Client) -> None:
    answer = client.post("/invocations?model_name=cifar&top_k=3", content=SHIP)
    assert len(answer.json()["probabilities"]) == 3, answer.text


def test_several_pictures_in_one_body(client: httpx.Client) -> None:
    files = sorted((GOLDEN / "cifar").glob("?_*.png"))
    single = [client.post(CIFAR, content=file.read_bytes()).json() for file in files]
    instances = [{"image": base64.b64encode(file.read_bytes()).decode()} for file in files]
    listed = client.post(CIFAR, json={"instances": instances}).json()["predictions"]
    stacked = np.load(GOLDEN / "cifar" / "inputs_uint8_nchw.npy")
    as_array = client.post(CIFAR, content=npy(stacked)).json()["predictions"]
    for one, other, third in zip(single, listed, as_array, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)
        assert one["probabilities"] == pytest.approx(third["probabilities"], abs=1e-5)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("image/jpeg", "image/jpeg"),
        ("image/jpg", "image/jpeg"),
        ("image/png", "image/png"),
        ("image/*", "image/jpeg"),
        ("image/webp, image/png;q=0.8, */*;q=0.1", "image/png"),
        ("application/json;q=0, image/png;q=0.5, image/jpeg;q=0.4", "image/png"),
        ("application/x-npy", "application/x-npy"),
    ],
)
def test_accept_decides_the_answer(
    client: httpx.Client, accept: str | None, content_type: str
) -> None:
    request = client.build_request("POST", "/predictions/inkwash", content=PHOTO)
    request.headers.pop("accept")
    if accept is not None:
        request.headers["Accept"] = accept
    answer = client.send(request)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == content_type
    assert shape_of(answer) == (256, *shape_of(answer)[1:2], 3)


def shape_of(answer: httpx.Response) -> tuple[int, ...]:
    media = answer.headers["content-type"]
    if media == "application/json":
        return np.asarray(answer.json()).shape
    if media == "application/x-npy":
        array: NDArray[Any] = np.load(io.BytesIO(answer.content))
        return array.shape
    return np.asarray(Image.open(io.BytesIO(answer.content))).shape


def test_the_forms_of_a_painting_are_the_same_painting(client: httpx.Client) -> None:
    def painting(accept: str) -> httpx.Response:
        return client.post("/predictions/inkwash", content=PHOTO, headers={"Accept": accept})

    png = np.asarray(Image.open(io.BytesIO(painting("image/png").content)))
    assert np.array_equal(np.load(io.BytesIO(painting("application/x-npy").content)), png)
    assert np.array_equal(painting("application/json").json(), png)


def test_every_answer_tells_its_stage_times(client: httpx.Client) -> None:
    timing = client.post(CIFAR, content=SHIP).headers["server-timing"]
    stages = dict(part.split(";dur=") for part in timing.split(", "))
    assert [*stages] == ["decode", "preprocess", "model", "postprocess", "encode"]
    assert float(stages["model"]) > 0


def test_every_answer_names_the_version_that_gave_it(client: httpx.Client) -> None:
    named = client.post("/predictions/cifar/1.0", content=SHIP)
    unnamed = client.post(CIFAR, content=b"no picture")
    assert named.headers["x-marquee-version"] == "cifar/1.0"
    assert unnamed.status_code == 400
    assert unnamed.headers["x-marquee-version"] == "cifar/2.0"


def test_a_model_describes_itself(server: Running, client: httpx.Client) -> None:
    with server.management() as management:
        answer = management.get("/models/inkwash", params={"customized": "true"})
    described = answer.json()[0]["customizedMetadata"]
    described = json.loads(described) if isinstance(described, str) else described
    assert described["produces"][0] == "application/json"
    assert described["parameters"]["properties"]["size"]["maximum"] == 8192

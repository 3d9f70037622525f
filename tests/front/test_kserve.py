"""KServe's requests at the front door: the same numbers as by /predictions, in KServe's forms."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from marquee.front import maps
from marquee.front.process import Haproxy
from marquee.front.settings import FrontSettings
from tests.front.behind import behind
from tests.front.conftest import Start
from tests.front.support import wait_for
from tests.server.test_content_types import PIXELS, SHIP
from tests.support import Running

B64 = base64.b64encode(SHIP).decode()
CIFAR = "/predictions/cifar"
V1, V2 = "/v1/models/cifar", "/v2/models/cifar"
FILE = {"name": "any", "shape": [1], "datatype": "BYTES", "data": [B64]}
NPY = {"Accept": "application/x-npy"}


def tensors(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return {one["name"]: one for one in answer.json()["outputs"]}


def error(answer: httpx.Response) -> tuple[int, str]:
    found = answer.json()
    assert set(found) == {"error"}
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, found["error"]


# ---- with models behind it


@pytest.mark.parametrize(
    "instance", [{"b64": B64}, {"image": B64}, {"image_bytes": {"b64": B64}}, B64, PIXELS.tolist()]
)
def test_version_1_has_the_same_numbers(front: httpx.Client, instance: Any) -> None:
    answer = front.post(f"{V1}:predict", json={"instances": [instance]})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"predictions": [front.post(CIFAR, content=SHIP).json()]}
    assert answer.headers["x-marquee-version"] == "cifar/2.0"


def test_several_instances_have_an_answer_each(front: httpx.Client) -> None:
    body = {"instances": [B64, {"b64": B64}, PIXELS.tolist()]}
    answer = front.post(f"{V1}:predict", json=body).json()
    assert len(answer["predictions"]) == 3
    assert answer == front.post(CIFAR, json=body).json()


@pytest.mark.parametrize(
    "tensor",
    [FILE, {"name": "p", "shape": [1, 3, 32, 32], "datatype": "UINT8", "data": PIXELS.tolist()}],
)
def test_version_2_has_the_same_numbers(front: httpx.Client, tensor: dict[str, Any]) -> None:
    for path in (f"{V2}/infer", f"{V2}/versions/2.0/infer"):
        answer = front.post(path, json={"id": "42", "inputs": [tensor]})
        found = tensors(answer)
        texts = [json.loads(text) for text in found["predictions"]["data"]]
        assert texts == [front.post(CIFAR, content=SHIP).json()]
        logits = np.load(io.BytesIO(front.post(CIFAR, content=SHIP, headers=NPY).content))
        assert (found["array"]["datatype"], found["array"]["shape"]) == ("FP32", [1, 10])
        assert np.array_equal(np.float32(found["array"]["data"]), logits.ravel())
        told = {key: answer.json()[key] for key in ("model_name", "model_version", "id")}
        assert told == {"model_name": "cifar", "model_version": "2.0", "id": "42"}


def test_one_output_can_be_asked_for_and_parameters_hold(front: httpx.Client) -> None:
    body = {"inputs": [FILE], "outputs": [{"name": "array"}], "parameters": {"top_k": 2}}
    assert [*tensors(front.post(f"{V2}/infer", json=body))] == ["array"]
    answer = front.post(f"{V1}:predict?top_k=3", json={"instances": [B64]})
    assert len(answer.json()["predictions"][0]["probabilities"]) == 3


def test_an_explanation_in_version_1(front: httpx.Client) -> None:
    body = {"instances": [B64], "parameters": {"method": "grad_cam"}}
    json_type = {"Accept": "application/json"}
    own = front.post("/explanations/cifar", json=body, headers=json_type).json()
    assert front.post(f"{V1}:explain", json=body, headers=json_type).json() == {
        "explanations": [own]
    }
    (picture,) = front.post(f"{V1}:explain", json=body).json()["explanations"]
    assert base64.b64decode(picture["b64"]).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        (f"{V1}:predict", {"instances": []}, 400, "at least one input"),
        (f"{V1}:predict", {"instances": [{"b64": "%"}]}, 400, "no base64"),
        (f"{V1}:predict", {}, 400, "no input"),
        (f"{V1}:predict", {"instances": [B64], "parameters": {"ü": 1}}, 400, "'\u00fc'"),
        ("/v1/models/nobody:predict", {"instances": [B64]}, 404, "nobody"),
        (f"{V2}/versions/9/infer", {"inputs": [FILE]}, 404, "9"),
        (f"{V2}/infer", {"inputs": [FILE | {"shape": [2]}]}, 400, "shape"),
        (f"{V2}/infer", {"inputs": [FILE], "outputs": [{"name": "x"}]}, 400, "no output 'x'"),
        (f"{V2}/infer", {"inputs": [FILE], "outputs": ["array"]}, 400, "'outputs'"),
        (f"{V2}/infer", {"inputs": [FILE], "id": 7}, 400, "'id' is int"),
    ],
)
def test_errors_are_kserves(
    front: httpx.Client, path: str, body: dict[str, Any], status: int, words: str
) -> None:
    found = error(front.post(path, json=body))
    assert found[0] == status
    assert words in found[1]


def test_tensors_in_binary_are_refused_with_a_way_out(front: httpx.Client) -> None:
    headers = {"Inference-Header-Content-Length": "20"}
    answer = front.post(f"{V2}/infer", content=b"{}", headers=headers)
    assert error(answer)[0] == 415
    assert "base64" in answer.json()["error"]


def test_a_key_is_asked_for_where_a_model_is(stranger: httpx.Client) -> None:
    assert error(stranger.post(f"{V1}:predict", json={"instances": [B64]}))[0] == 400
    assert error(stranger.get(V2))[0] == 400
    assert stranger.get("/v1/models").json() == {"models": ["cifar", "faulty"]}
    assert stranger.get("/v2/health/live").json() == {"live": True}
    assert stranger.get("/v2/health/ready").json() == {"ready": True}
    for path in (V1, f"{V2}/ready"):
        assert stranger.get(path).json() == {"name": "cifar", "ready": True}


def test_metadata_come_from_the_model(front: httpx.Client) -> None:
    found = front.get(V2).json()
    assert (found["name"], found["versions"]) == ("cifar", ["2.0"])
    assert [one["datatype"] for one in found["inputs"]] == ["BYTES"]
    assert found["outputs"] == [
        {"name": "predictions", "datatype": "BYTES", "shape": [-1]},
        {"name": "array", "datatype": "FP32", "shape": [-1, -1]},
    ]
    # A version that is not the default: it is asked itself.
    ready = front.get("/v2/models/faulty/versions/2.0/ready")
    assert ready.json() == {"name": "faulty", "ready": True}
    assert error(front.get("/v2/models/faulty/versions/3.0/ready"))[0] == 404


def test_a_request_has_one_line_and_one_id(door: Running, front: httpx.Client) -> None:
    front.post(f"{V1}:predict", json={"instances": [B64]}, headers={"X-Request-Id": "once"})
    log = door.project.logs / "front.log"

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in log.read_text().splitlines() if '"once"' in line]

    wait_for(lambda: bool(lines()), "the request's line")
    (line,) = lines()
    assert (line["model"], line["arm"], line["path"]) == ("cifar", "default", CIFAR)


# ---- with nothing behind it but what says what reached it


@pytest.mark.parametrize(
    ("method", "path", "arrives", "protocol"),
    [
        ("POST", "/v1/models/m:predict", "/predictions/m", "v1"),
        ("POST", "/v1/models/m:explain", "/explanations/m", "v1"),
        ("POST", "/v2/models/m/infer", "/predictions/m", "v2"),
        ("POST", "/v2/models/m/versions/1.0/infer", "/predictions/m/1.0", "v2"),
        ("GET", "/v2/models/m", "/predictions/m", "v2-metadata"),
        ("GET", "/v2/models/m/versions/1.0", "/predictions/m/1.0", "v2-metadata"),
        ("GET", "/v2/models/m/versions/1.0/ready", "/predictions/m/1.0", "v2-ready"),
    ],
)
def test_where_a_request_arrives(
    lone_door: FrontSettings, method: str, path: str, arrives: str, protocol: str
) -> None:
    forged = {"X-KServe-Protocol": "v9"}
    with behind(lone_door.inference_socket):
        url = lone_door.inference_address + path
        found = httpx.request(method, url, headers=forged, trust_env=False).json()
    assert (found["path"], found["headers"]["x-kserve-protocol"]) == (arrives, protocol)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/models/m:predict", 405),
        ("POST", "/v1/models", 405),
        ("PUT", "/v2/models/m/infer", 405),
        ("POST", "/v1/models/m:classify", 404),
        ("POST", "/v1/models/m/versions/1:predict", 404),
        ("GET", "/v1/models/nobody", 404),
        ("GET", "/v2/repository", 404),
        ("GET", "/v20", 404),
        ("POST", "/v2/models/a%00b/infer", 404),
    ],
)
def test_what_is_no_request_of_kserves(
    lone_door: FrontSettings, method: str, path: str, status: int
) -> None:
    answer = httpx.request(method, lone_door.inference_address + path, trust_env=False)
    assert error(answer)[0] == status


def test_readiness_is_that_of_ping(lone_door: FrontSettings) -> None:
    def get(path: str) -> tuple[int, dict[str, Any]]:
        answer = httpx.get(lone_door.inference_address + path, trust_env=False)
        return answer.status_code, answer.json()

    haproxy = Haproxy(lone_door.folder)
    haproxy.map(maps.NAMES).set(maps.names("m", {"m": "", "n": "loads"}))
    assert get("/v2/health/ready")[0] == 503
    haproxy.map(maps.STATE).set(maps.readiness({}, ready=True))
    assert get("/v2/health/ready") == (200, {"ready": True})
    assert get("/v1/models/m") == (200, {"name": "m", "ready": True})
    status, found = get("/v2/models/n/ready")
    assert (status, found["ready"]) == (503, False)
    assert get("/v2")[1]["name"] == "marquee"
    haproxy.map(maps.STATE).set(maps.readiness({}, ready=True) | {"until": "1"})
    assert get("/v2/health/ready")[0] == get("/v1/models/m")[0] == 503


def test_models_that_come_and_go(start: Start, tmp_path: Path) -> None:
    settings = start(models_socket=tmp_path / "models.sock")
    haproxy = Haproxy(settings.folder)
    haproxy.map(maps.LOADED).set({"a": "1"})
    haproxy.map(maps.STATE).set(maps.readiness({}, ready=True))
    found = [
        httpx.get(settings.inference_address + path, trust_env=False)
        for path in ("/v1/models/a", "/v1/models/b", "/v1/models")
    ]
    assert [answer.status_code for answer in found] == [200, 404, 404]
    assert found[0].json() == {"name": "a", "ready": True}
    assert "GET /models lists them" in found[2].json()["error"]

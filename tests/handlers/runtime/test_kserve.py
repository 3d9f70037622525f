"""Answers in KServe's forms, of results that hold numbers, pictures, texts, or several of them."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from handlers.runtime import JPEG, JSON, NPY, PNG, BadRequest, Result
from handlers.runtime.errors import UnsupportedMediaType
from handlers.runtime.kserve import OWN_FORM, Wanted, Who, encode, protocol_of, wanted
from tests.handlers.loading import answers, explanation, load, prediction
from tests.handlers.runtime.test_handler_explanations import RED, ExplainedReddish, Reddish

WHO = Who("m", "1.0")
SCENE = np.arange(8, dtype=np.float32).reshape(2, 2, 2, 1) / 3
PICTURE = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)


def version_1(result: Result, media: str) -> Any:
    return json.loads(encode(Wanted("v1"), result, media, WHO))["predictions"]


def version_2(result: Result, media: str) -> dict[str, Any]:
    answer = json.loads(encode(Wanted("v2", "a"), result, media, WHO))
    assert {key: answer[key] for key in ("model_name", "model_version", "id")} == {
        "model_name": "m",
        "model_version": "1.0",
        "id": "a",
    }
    return {one["name"]: one for one in answer["outputs"]}


@pytest.mark.parametrize(
    ("value", "predictions"),
    [
        ({"label": "x"}, [{"label": "x"}]),
        ({"predictions": [1, 2]}, [1, 2]),
        ({"predictions": 1, "more": 2}, [{"predictions": 1, "more": 2}]),
        ([1, 2], [[1, 2]]),
    ],
)
def test_a_value_of_json(value: Any, predictions: list[Any]) -> None:
    result = Result(json=value)
    assert version_1(result, JSON) == predictions
    found = version_2(result, JSON)["predictions"]
    assert (found["datatype"], found["shape"]) == ("BYTES", [len(predictions)])
    assert [json.loads(text) for text in found["data"]] == predictions


def test_numbers_are_a_tensor_and_listed_once() -> None:
    result = Result(json={"predictions": SCENE}, array=SCENE)
    assert np.array_equal(np.float32(version_1(result, JSON)), SCENE)
    assert np.array_equal(np.float32(version_1(result, NPY)), SCENE)
    for media, name in ((JSON, "predictions"), (NPY, "array")):
        ((found, tensor),) = version_2(result, media).items()
        assert (found, tensor["datatype"], tensor["shape"]) == (name, "FP32", [2, 2, 2, 1])
        assert np.array_equal(np.float32(tensor["data"]), SCENE.ravel())


def test_a_picture_as_numbers_and_as_a_file() -> None:
    result = Result(image=PICTURE)
    assert version_1(result, JSON) == [PICTURE.tolist()]
    assert version_2(result, JSON)["predictions"]["shape"] == [1, 2, 2, 3]
    (answer,) = version_1(result, PNG)
    tensor = version_2(result, PNG)["image"]
    assert tensor["parameters"] == {"content_type": PNG}
    for text in (answer["b64"], *tensor["data"]):
        stored = np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))
        assert np.array_equal(stored, PICTURE)
    assert base64.b64decode(version_1(result, JPEG)[0]["b64"]).startswith(b"\xff\xd8")


@pytest.mark.parametrize(
    ("dtype", "name"),
    [("bool", "BOOL"), ("int64", "INT64"), ("float16", "FP16"), (">f4", "FP64")],
)
def test_every_kind_of_number_has_a_name(dtype: str, name: str) -> None:
    tensor = version_2(Result(array=np.ones((1, 2), dtype)), NPY)["array"]
    assert (tensor["datatype"], tensor["data"]) == (name, [1, 1])


def test_without_an_id_the_answer_has_the_requests(tmp_path: Path) -> None:
    handler = load(Reddish(), tmp_path / "none.pth")
    asked = prediction(RED, **{"X-KServe-Protocol": "v2"})
    asked.request_id = "by-torchserve"
    (answer,) = answers(handler, asked)
    assert json.loads(answer.body)["id"] == "by-torchserve"
    assert answer.content_type == JSON


def test_an_answer_of_its_own_type_goes_into_json(tmp_path: Path) -> None:
    handler = load(ExplainedReddish(), tmp_path / "none.pth")
    asked = explanation(RED, x_kserve_protocol="v1", accept="image/png")
    (answer,) = answers(handler, asked)
    assert (answer.status, answer.content_type) == (200, JSON)
    (found,) = json.loads(answer.body)["explanations"]
    assert base64.b64decode(found["b64"]).startswith(b"\x89PNG")


def test_a_model_is_asked_about_without_a_prediction(tmp_path: Path) -> None:
    handler = load(Reddish(), tmp_path / "none.pth")
    ready, about = answers(
        handler,
        prediction(b"", x_kserve_protocol="v2-ready"),
        prediction(b"", x_kserve_protocol="v2-metadata"),
    )
    assert json.loads(ready.body)["ready"] is True
    assert json.loads(about.body)["outputs"] == []
    answers(handler, prediction(RED))
    (about,) = answers(handler, prediction(b"", x_kserve_protocol="v2-metadata"))
    assert json.loads(about.body)["outputs"] == [
        {"name": "predictions", "datatype": "BYTES", "shape": [-1]}
    ]


@pytest.mark.parametrize("protocol", ["", "v3", "V1"])
def test_another_protocol_is_none(protocol: str) -> None:
    assert wanted(protocol_of({"x-kserve-protocol": protocol}), {"id": 7}) == OWN_FORM


@pytest.mark.parametrize("outputs", [7, "array", [{}], [{"name": 7}], ["array"], {"name": "a"}])
def test_outputs_that_are_no_names(outputs: Any) -> None:
    with pytest.raises(BadRequest, match="'outputs' must be a list"):
        wanted("v2", {"outputs": outputs})


def test_binary_tensors_are_not_read() -> None:
    headers = {"x-kserve-protocol": "v2", "inference-header-content-length": "7"}
    with pytest.raises(UnsupportedMediaType, match="send their data in JSON"):
        protocol_of(headers)


def test_what_other_servers_are_told_is_no_parameter_of_ours(tmp_path: Path) -> None:
    handler = load(Reddish(), tmp_path / "none.pth")
    tensor = {
        "name": "x",
        "shape": [1],
        "datatype": "BYTES",
        "data": [base64.b64encode(RED).decode()],
    }
    body = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    sent = prediction(
        json.dumps(body).encode(), content_type="application/json", x_kserve_protocol="v2"
    )
    assert [answer.status for answer in answers(handler, sent)] == [200]

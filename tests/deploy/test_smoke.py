"""POST /uploads and POST /infer, as both of the original's clients call them."""

import base64
import io
import json
from typing import Any

import numpy as np
import pytest

from tests.deploy.endpoints import Asked, Said
from tests.deploy.stage import Stage
from tests.support import GOLDEN

SCENE = (GOLDEN / "smoke" / "scene.npy").read_bytes()
EXPECTED = np.load(GOLDEN / "smoke" / "predictions.npz")["predictions"]
KEY = "me/inference_images/scene.npy"


def npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def equal(numbers: Any, expected: Any) -> bool:
    return np.shape(numbers) == expected.shape and bool(np.abs(numbers - expected).max() < 1e-9)


def answer_with(stage: Stage, array: Any) -> None:
    said = Said(npy(array), "application/x-npy")
    stage.endpoints.containers["stage-smoke"] = lambda asked: said


@pytest.fixture
def answering(stage: Stage) -> Stage:
    answer_with(stage, EXPECTED)
    stage.put("SmokeBucket", KEY, SCENE)
    return stage


def test_predictions_of_a_scene(answering: Stage) -> None:
    bucket = answering.bucket("SmokeBucket")
    status, told = answering.ask("SmokeInfer", {"bucket": bucket, "file_name": KEY})
    assert (status, list(told)) == (200, ["predictions"])
    assert equal(told["predictions"], EXPECTED)
    kind = "application/x-npy"
    assert answering.endpoints.asked == [Asked("stage-smoke", SCENE, kind, kind)]


def test_the_newer_client_finds_its_envelope(answering: Stage) -> None:
    status, told = answering.ask("SmokeInfer", {"file_name": KEY})
    assert status == 200
    opened = json.loads(told["body"])["predictions"]
    assert equal(opened, EXPECTED)
    assert told["predictions"] == opened


def test_the_bare_event_is_answered_as_the_original_answers_it(answering: Stage) -> None:
    told = answering.run("SmokeInfer", {"file_name": KEY})
    assert told["statusCode"] == 200
    assert told["headers"]["Content-Type"] == "application/json"
    assert list(json.loads(told["body"])) == ["predictions"]


def test_predictions_too_large_for_the_gateway_come_as_a_link(stage: Stage) -> None:
    scene = np.random.default_rng(1).random((10, 256, 256, 1), np.float32)
    answer_with(stage, scene)
    stage.put("SmokeBucket", KEY, SCENE)
    status, told = stage.ask("SmokeInfer", {"file_name": KEY})
    assert status == 200
    assert told["location"] == json.loads(told["body"])["location"]
    stored = json.loads(stage.get("ResultsBucket", told["location"]["key"]))
    assert equal(stored["predictions"], scene)


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({}, 400, "no file"),
        ({"file_name": "me/none.npy"}, 404, "me/none.npy is not there"),
        ({"file_name": KEY, "bucket": "other"}, 403, "bucket 'other' is not served"),
        ({"file_name": "me/text.npy"}, 422, "not a NumPy file"),
        ({"file_name": "me/large.npy"}, 413, "more than 6291456"),
    ],
)
def test_a_bad_request(answering: Stage, asked: dict[str, str], status: int, words: str) -> None:
    answering.put("SmokeBucket", "me/text.npy", b"text")
    answering.put("SmokeBucket", "me/large.npy", bytes(6_300_000))
    told = answering.ask("SmokeInfer", asked)
    assert told[0] == status
    assert words in told[1]["message"]
    assert not answering.endpoints.asked


def test_an_answer_that_is_no_array(answering: Stage) -> None:
    answering.endpoints.containers["stage-smoke"] = lambda asked: Said(b"{}")
    assert answering.ask("SmokeInfer", {"file_name": KEY})[0] == 502


def test_a_form_for_one_file_of_limited_size(stage: Stage) -> None:
    status, told = stage.ask("SmokeUpload", {"username": "me", "file_name": "scene.npy"})
    assert (status, told["file_name"]) == (201, KEY)
    assert told["upload"]["fields"]["key"] == KEY
    conditions = policy_of(told["upload"])
    assert ["content-length-range", 1, 6291456] in conditions
    assert {"Content-Type": "application/octet-stream"} in conditions


def policy_of(form: dict[str, Any]) -> list[Any]:
    conditions: list[Any] = json.loads(base64.b64decode(form["fields"]["policy"]))["conditions"]
    return conditions


@pytest.mark.parametrize(
    "asked",
    [
        {"file_name": "scene.tif"},
        {"file_name": "../x.npy"},
        {"file_name": "a/b.npy"},
        {"username": "", "file_name": "a.npy"},
        {},
    ],
)
def test_a_name_that_is_not_fit_for_a_key(stage: Stage, asked: dict[str, str]) -> None:
    assert stage.ask("SmokeUpload", asked)[0] == 400

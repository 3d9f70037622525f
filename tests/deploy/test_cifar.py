"""POST /classify, and what a client is told when the endpoint cannot answer."""

import base64
import json
import time

import pytest

import shared
from tests.deploy.endpoints import Asked, Said
from tests.deploy.stage import Stage
from tests.support import GOLDEN

SHIP = {"label": "ship", "probabilities": {"ship": 0.9, "truck": 0.1}}
EVENT = json.loads((GOLDEN / "cifar" / "lambda_event.json").read_text())
NAME = "stage-cifar-vgg11"


@pytest.fixture
def answering(stage: Stage) -> Stage:
    stage.endpoints.containers[NAME] = lambda asked: Said(json.dumps(SHIP).encode())
    return stage


def test_the_originals_bytes_reach_the_endpoint_as_the_original_sends_them(
    answering: Stage,
) -> None:
    answering.ask("Cifar", EVENT)
    (asked,) = answering.endpoints.asked
    sent = (GOLDEN / "cifar" / "invocation_body.json").read_text()
    assert json.loads(asked.body) == json.loads(sent)
    assert asked.content_type == "application/json"


def test_the_originals_app_finds_its_envelope(answering: Stage) -> None:
    assert answering.ask("Cifar", EVENT) == (200, SHIP | {"statusCode": 200, "body": SHIP})


def test_the_bare_event_is_answered_as_the_original_answers_it(answering: Stage) -> None:
    assert answering.run("Cifar", EVENT) == {"statusCode": 200, "body": SHIP}


def test_an_image_file_goes_on_as_it_is(answering: Stage) -> None:
    picture = (GOLDEN / "cifar" / "8_ship.png").read_bytes()
    assert answering.ask("Cifar", {"image": base64.b64encode(picture).decode()}) == (200, SHIP)
    assert answering.endpoints.asked == [Asked(NAME, picture, "image/*", "application/json")]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{", "not JSON"),
        ("[]", "send a JSON object"),
        ({}, "no picture"),
        ({"image": 3}, "no picture"),
        ({"data": "a?b="}, "not base64"),
    ],
)
def test_a_bad_request_is_told_what_is_expected(answering: Stage, body: object, words: str) -> None:
    status, told = answering.ask("Cifar", body)
    assert (status, told["type"]) == (400, "BadRequestException")
    assert words in told["message"]
    assert not answering.endpoints.asked


def test_another_version_answers_by_a_setting(
    answering: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering.endpoints.containers["stage-cifar-lenet"] = lambda asked: Said(b'"plane"')
    answering.variables["ENDPOINT_NAME"] = "stage-cifar-lenet"
    assert answering.ask("Cifar", {"image": EVENT["data"]}) == (200, "plane")


def test_an_endpoint_that_is_not_there(stage: Stage) -> None:
    status, told = stage.ask("Cifar", EVENT)
    assert status == 503
    assert told["message"].startswith(f"endpoint '{NAME}' is not in service")


@pytest.mark.usefixtures("fresh_clients")
def test_an_endpoint_that_cannot_be_reached(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "http://127.0.0.1:9")
    shared.client.cache_clear()
    status, told = stage.ask("Cifar", EVENT)
    assert status == 503
    assert "cannot be reached" in told["message"]


@pytest.mark.usefixtures("fresh_clients")
def test_an_endpoint_that_takes_too_long(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(asked: Asked) -> Said:
        time.sleep(1.3)
        return Said(b"{}")

    stage.variables["ENDPOINT_SECONDS"] = "1"
    shared.client.cache_clear()
    stage.endpoints.containers[NAME] = slow
    status, told = stage.ask("Cifar", EVENT)
    assert status == 504
    assert "did not answer in time" in told["message"]
    assert len(stage.endpoints.asked) == 1, "a slow model must not be run twice"


def test_a_busy_endpoint_is_worth_another_try(stage: Stage) -> None:
    stage.endpoints.refusals.append(("ThrottlingException", 400))
    answer = stage.run("Cifar", {"body": json.dumps(EVENT)})
    assert answer["statusCode"] == 503
    assert answer["headers"]["Retry-After"] == "5"


@pytest.mark.parametrize(("theirs", "ours"), [(400, 400), (422, 422), (500, 502), (507, 502)])
def test_a_models_refusal_is_told(stage: Stage, theirs: int, ours: int) -> None:
    said = json.dumps({"code": theirs, "type": "X", "message": "no face found"}).encode()
    stage.endpoints.containers[NAME] = lambda asked: Said(said, status=theirs)
    status, told = stage.ask("Cifar", EVENT)
    assert (status, told["code"]) == (ours, ours)
    assert "no face found" in told["message"]


def test_what_nobody_expected_is_a_500_without_details(
    answering: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*words: object) -> None:
        raise RuntimeError("the key is 12345")

    monkeypatch.setattr(shared, "invoke", broken)
    status, told = answering.ask("Cifar", EVENT)
    assert status == 500
    assert "12345" not in json.dumps(told)


def test_pages_of_other_origins_may_read_answers_and_errors(answering: Stage) -> None:
    for body in (json.dumps(EVENT), "{"):
        answer = answering.run("Cifar", {"body": body})
        assert answer["headers"]["Access-Control-Allow-Origin"] == "*"


def test_a_request_without_a_body_in_the_gateways_other_format(answering: Stage) -> None:
    answer = answering.run("Cifar", {"version": "2.0", "requestContext": {}, "headers": {}})
    assert answer["statusCode"] == 400

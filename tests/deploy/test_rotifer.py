"""POST /detect."""

import base64
import json
from typing import Any

import httpx
import pytest

from tests.deploy.endpoints import Asked, Said
from tests.deploy.stage import Stage
from tests.support import GOLDEN

EXPECTED = json.loads((GOLDEN / "rotifer" / "expected_tiny5_field_a.json").read_text())
FOUND = {"img": "", "stat": EXPECTED["stats"], "detections": EXPECTED["detections"]}
PICTURE = (GOLDEN / "rotifer" / "field_a.png").read_bytes()


@pytest.fixture
def answering(stage: Stage) -> Stage:
    stage.endpoints.containers["stage-rotifer"] = lambda asked: Said(json.dumps(FOUND).encode())
    return stage


def form() -> tuple[bytes, str]:
    """Return body and type of the original client's form."""
    request = httpx.Request(
        "POST", "http://x", files={"file": ("test.jpg", PICTURE)}, data={"auto_crop": "1"}
    )
    return request.read(), request.headers["content-type"]


def test_json_goes_on_as_it_came(answering: Stage) -> None:
    body = {"image": base64.b64encode(PICTURE).decode(), "thresh": 0.4}
    assert answering.ask("Rotifer", body) == (200, FOUND)
    (asked,) = answering.endpoints.asked
    assert json.loads(asked.body) == body


def test_a_form_goes_on_byte_by_byte_with_its_boundary(answering: Stage) -> None:
    body, kind = form()
    sent: dict[str, Any] = {"isBase64Encoded": True, "headers": {"CONTENT-TYPE": kind}}
    assert answering.ask("Rotifer", base64.b64encode(body).decode(), **sent) == (200, FOUND)
    name = "stage-rotifer"
    assert answering.endpoints.asked == [Asked(name, body, kind, "application/json")]


def test_an_answer_too_large_for_the_gateway_comes_as_a_link(answering: Stage) -> None:
    large = FOUND | {"img": "A" * 7_000_000}
    name = "stage-rotifer"
    answering.endpoints.containers[name] = lambda asked: Said(json.dumps(large).encode())
    status, told = answering.ask("Rotifer", {"image": "QUJD"})
    place = told["location"]
    assert status == 200
    assert place["url"].startswith("https://stage-results-")
    assert place["bytes"] > 7_000_000
    assert json.loads(answering.get("ResultsBucket", place["key"])) == large


def test_a_request_over_the_endpoints_limit_is_not_sent(answering: Stage) -> None:
    status, told = answering.ask("Rotifer", {"image": "A" * 6_300_000})
    assert status == 413
    assert "send at most 6291456" in told["message"]
    assert not answering.endpoints.asked


@pytest.mark.parametrize(
    ("kind", "body", "status"), [("text/plain", "x", 415), ("application/json", "", 400)]
)
def test_a_bad_request(answering: Stage, kind: str, body: str, status: int) -> None:
    assert answering.ask("Rotifer", body, headers={"content-type": kind})[0] == status

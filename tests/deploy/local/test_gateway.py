"""The REST API: routes, limits, keys, and what becomes of a function's answer."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from deploy.local.functions import InvocationResult
from deploy.local.gateway import BODY_BYTES, Gateway, TokenBucket
from deploy.local.routes import INTEGRATION, Api, refusals, routes

LAMBDA = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:f/invocations"
CORS = {"method.response.header.Access-Control-Allow-Origin": "'*'"}
BODY = {
    "paths": {
        "/jobs/{id}": {
            "get": {
                "x-amazon-apigateway-integration": {"uri": LAMBDA},
                "security": [{"api_key": []}],
            },
            "options": {
                "x-amazon-apigateway-integration": {
                    "type": "mock",
                    "responses": {"default": {"responseParameters": CORS}},
                }
            },
        },
        "/jobs": {"post": {"x-amazon-apigateway-integration": {"uri": LAMBDA}}},
    },
    "x-amazon-apigateway-gateway-responses": {
        "DEFAULT_4XX": {
            "responseParameters": {"gatewayresponse.header.Access-Control-Allow-Origin": "'*'"}
        }
    },
}
KEY = {"x-api-key": "k"}


class Functions:
    """Stands for Lambda: keeps the event and answers what it was told."""

    def __init__(self, answer: Any = None, *, error: bool = False, seconds: float = 0) -> None:
        self.answer = {"statusCode": 200, "body": "{}"} if answer is None else answer
        self.error = error
        self.seconds = seconds
        self.event: dict[str, Any] = {}

    def __call__(self, _arn: str, event: dict[str, Any]) -> InvocationResult:
        self.event = event
        time.sleep(self.seconds)
        return InvocationResult(json.dumps(self.answer), self.error)


def gateway(functions: Functions, **more: Any) -> Client:
    """Return a client of a gateway with two routes."""
    given = {"binary": ("multipart/form-data",), "refusals": refusals(BODY)} | more
    api = Api("id", "prod", routes(BODY), **given)
    return Client(Gateway(api, ["k"], functions, seconds=0.3))


def message(answer: TestResponse) -> tuple[int, str]:
    """Return an answer's status and message."""
    return answer.status_code, json.loads(answer.data)["message"]


def test_a_function_gets_the_request() -> None:
    functions = Functions()
    gateway(functions).get("/prod/jobs/a%20b?n=1&n=2", headers=KEY)
    event = functions.event
    assert (event["httpMethod"], event["resource"]) == ("GET", "/jobs/{id}")
    assert event["pathParameters"] == {"id": "a b"}
    assert event["queryStringParameters"] == {"n": "2"}
    assert event["multiValueQueryStringParameters"] == {"n": ["1", "2"]}
    assert (event["body"], event["isBase64Encoded"]) == (None, False)
    assert event["requestContext"]["stage"] == "prod"


def test_a_binary_body_reaches_the_function_as_base64() -> None:
    functions = Functions()
    gateway(functions).post("/prod/jobs", data=b"\xff", content_type="multipart/form-data")
    assert functions.event["isBase64Encoded"]
    assert base64.b64decode(functions.event["body"]) == b"\xff"


def test_a_functions_status_headers_and_bytes_are_handed_on() -> None:
    answer = {
        "statusCode": 201,
        "headers": {"Content-Type": "image/png", "X-One": 1},
        "body": base64.b64encode(b"\x89").decode(),
        "isBase64Encoded": True,
    }
    found = gateway(Functions(answer)).post("/prod/jobs")
    assert (found.status_code, found.data) == (201, b"\x89")
    assert (found.content_type, found.headers["X-One"]) == ("image/png", "1")


@pytest.mark.parametrize(
    "answer", ["text", {"body": "{}"}, {"statusCode": 200, "body": {"an": "object"}}]
)
def test_an_answer_in_another_shape_is_a_502(answer: Any) -> None:
    found = gateway(Functions(answer)).post("/prod/jobs")
    assert message(found) == (502, "Internal server error")


def test_a_function_that_fails_is_a_502_without_its_words() -> None:
    found = gateway(Functions({"errorMessage": "secret"}, error=True)).post("/prod/jobs")
    assert message(found) == (502, "Internal server error")


def test_a_function_that_takes_too_long_is_a_504() -> None:
    found = gateway(Functions(seconds=1)).post("/prod/jobs")
    assert message(found) == (504, "Endpoint request timed out")


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "wrong"}])
def test_without_its_key_a_route_is_a_403(headers: dict[str, str]) -> None:
    found = gateway(Functions()).get("/prod/jobs/a", headers=headers)
    assert message(found) == (403, "Forbidden")
    assert found.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("path", ["/prod/nothing", "/jobs", "/prod/jobs/a/b"])
def test_a_path_that_is_not_there_is_a_403_in_the_gateways_words(path: str) -> None:
    assert message(gateway(Functions()).post(path)) == (403, "Missing Authentication Token")


def test_preflight_is_answered_without_a_key() -> None:
    found = gateway(Functions()).options("/prod/jobs/a")
    assert (found.status_code, found.headers["Access-Control-Allow-Origin"]) == (200, "*")


def test_a_body_over_ten_megabytes_is_a_413() -> None:
    found = gateway(Functions()).post("/prod/jobs", data=bytes(BODY_BYTES + 1))
    assert found.status_code == 413


def test_an_event_over_six_megabytes_is_a_413() -> None:
    found = gateway(Functions()).post("/prod/jobs", data=b"x" * 6_291_456)
    assert message(found) == (413, "Request Too Long")


def test_more_requests_than_are_allowed_are_a_429() -> None:
    client = gateway(Functions(), rate=0.001, burst=2)
    statuses = [client.post("/prod/jobs").status_code for _ in range(3)]
    assert statuses == [200, 200, 429]


def test_a_bucket_fills_again() -> None:
    bucket = TokenBucket(rate=50, burst=1)
    assert [bucket.take(), bucket.take()] == [True, False]
    time.sleep(0.05)
    assert bucket.take()


def paths(*described: tuple[str, str]) -> dict[str, Any]:
    """Return an OpenAPI text whose functions are named after their method and path."""
    body: dict[str, Any] = {}
    for method, path in described:
        uri = LAMBDA.replace("arn:f", f"arn:{method}")
        body.setdefault(path, {})[method] = {INTEGRATION: {"uri": uri}}
    return {"paths": body}


API = Api(
    "id",
    "prod",
    routes(
        paths(
            ("x-amazon-apigateway-any-method", "/files/{proxy+}"),
            ("x-amazon-apigateway-any-method", "/files/{id}"),
            ("get", "/files/{id}"),
            ("get", "/files/latest"),
            ("post", "/"),
        )
    ),
)


@pytest.mark.parametrize(
    ("method", "path", "resource", "chosen", "parameters"),
    [
        ("GET", "/files/latest", "/files/latest", "GET", {}),
        ("GET", "/files/latest/", "/files/latest", "GET", {}),
        ("GET", "/files/7", "/files/{id}", "GET", {"id": "7"}),
        ("PUT", "/files/7", "/files/{id}", "ANY", {"id": "7"}),
        ("HEAD", "/files/latest", "/files/{id}", "ANY", {"id": "latest"}),
        ("GET", "/files/a/b c", "/files/{proxy+}", "ANY", {"proxy": "a/b c"}),
        ("GET", "/files/a//b", "/files/{proxy+}", "ANY", {"proxy": "a//b"}),
        ("POST", "", "/", "POST", {}),
    ],
)
def test_the_most_exact_path_and_method_win(
    method: str, path: str, resource: str, chosen: str, parameters: dict[str, str]
) -> None:
    matched = API.find(method, f"/prod{path}")
    assert matched is not None
    assert (matched[0].resource, matched[0].method, matched[1]) == (resource, chosen, parameters)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/prod/files"), ("HEAD", "/prod"), ("GET", "/files/7"), ("GET", "/prodfiles/7")],
)
def test_what_no_route_takes(method: str, path: str) -> None:
    assert API.find(method, path) is None


def test_a_greedy_path_reaches_its_function_whole() -> None:
    functions = Functions()
    Client(Gateway(API, [], functions)).get("/prod/files/a/b%20c")
    assert functions.event["path"] == "/files/a/b c"
    assert functions.event["resource"] == "/files/{proxy+}"
    assert functions.event["pathParameters"] == {"proxy": "a/b c"}

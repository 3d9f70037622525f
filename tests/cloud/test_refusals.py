"""What the runtime says when there is no TorchServe, no time, or a request that waited too long."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.datastructures import Headers
from werkzeug.serving import make_server
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request, Response

from marquee.cloud.asynchronous import Asynchronous, Work, split, work_of
from marquee.cloud.clock import Clock
from marquee.cloud.endpoints import Endpoint, Endpoints, Refused
from marquee.cloud.runtime import PREFIX, Runtime
from marquee.cloud.torchserve import Target, TorchServe
from marquee.project import Project
from tests.support import free_ports, make_project

ENDPOINT = Endpoint("e", "us-east-1", {}, {"main": 1.0}, {})


@pytest.fixture
def slow() -> Iterator[str]:
    """The address of a server that answers after half a second."""

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        time.sleep(0.5)
        return Response("late")(environ, start_response)

    server = make_server("127.0.0.1", 0, answer, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def runtime(folder: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """Return a runtime that forwards to ``address``."""
    monkeypatch.setenv("TS_INFERENCE_ADDRESS", address)
    monkeypatch.setenv("TS_DISABLE_TOKEN_AUTHORIZATION", "true")
    project = Project(make_project(folder / "project").root)
    endpoints = Endpoints(lambda _: None, lambda _: None, [], {"e": Target("m")})
    return Runtime(endpoints, TorchServe(project), Clock())


def test_without_torchserve_the_service_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = runtime(tmp_path, f"http://127.0.0.1:{free_ports(1)[0]}", monkeypatch)
    with pytest.raises(Refused, match="is not there") as caught:
        made.forward(ENDPOINT, "main", b"", Headers(), 1)
    assert (caught.value.status, caught.value.kind) == (503, "ServiceUnavailable")


def test_an_answer_that_takes_too_long_is_a_model_error_without_a_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    made = runtime(tmp_path, slow, monkeypatch)
    with pytest.raises(Refused, match="timed out") as caught:
        made.forward(ENDPOINT, "main", b"", Headers(), 0.1)
    assert (caught.value.kind, caught.value.more["OriginalStatusCode"]) == ("ModelError", 0)


class Bucket:
    """Stands for S3: keeps what is put."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_object(self, Key: str, Body: bytes, **_: Any) -> None:  # noqa: N803 - the SDK's names
        self.objects[Key] = Body


class Topic:
    """Stands for SNS: keeps what is published."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def publish(self, Message: str, **_: Any) -> None:  # noqa: N803 - the SDK's names
        self.messages.append(json.loads(Message))


def test_a_request_that_waited_too_long_fails_with_that_reason() -> None:
    bucket, topic = Bucket(), Topic()
    unused: Any = None
    later = Asynchronous(unused, unused, bucket, topic)
    config = {"OutputConfig": {"NotificationConfig": {"ErrorTopic": "arn:t"}}}
    work = Work(
        endpoint=Endpoint("e", "us-east-1", config, {"main": 1.0}, {}),
        variant="main",
        inference_id="id",
        source="s3://b/in",
        output="s3://b/out",
        failure="s3://b/failed",
        headers=Headers(),
        seconds=1,
        ttl=60,
        received=time.time() - 61,
    )
    later._run(work)
    assert [*bucket.objects] == ["failed"]
    assert topic.messages[0]["invocationStatus"] == "Failed"
    assert "more than 60 s" in topic.messages[0]["failureReason"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("RequestTTLSeconds", "59"), ("InvocationTimeoutSeconds", "3601"), ("RequestTTLSeconds", "x")],
)
def test_a_number_out_of_its_range_is_refused(name: str, value: str) -> None:
    headers = {f"{PREFIX}InputLocation": "s3://b/in", f"{PREFIX}{name}": value}
    request = Request(EnvironBuilder(headers=Headers(headers)).get_environ())
    with pytest.raises(Refused, match=f"{name} is '{value}'"):
        work_of(request, ENDPOINT)


@pytest.mark.parametrize(
    ("location", "found"),
    [
        ("s3://b/a/c.png", ("b", "a/c.png")),
        ("s3://b/a#1?x=2.png", ("b", "a#1?x=2.png")),
        ("s3://b", ("b", "")),
    ],
)
def test_a_location_is_bucket_and_key(location: str, found: tuple[str, str]) -> None:
    assert split(location) == found

"""What the runtime says when there is no TorchServe, no time, or a request that waited too long."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from werkzeug.datastructures import Headers
from werkzeug.serving import make_server
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request, Response

from deploy.local.asynchronous import INLINE_BYTES, AsyncRuntime, Work, split, work_of
from deploy.local.clock import Clock
from deploy.local.cloud import Cloud, CloudOptions
from deploy.local.endpoints import ApiError, Endpoint, Endpoints, Target
from deploy.local.runtime import PAYLOAD_BYTES, PAYLOAD_PARAMETER, PREFIX, Runtime
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.torchserve.inference import Inference
from tests.deploy.local.support import eventually
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


def runtime(folder: Path, address: str, monkeypatch: pytest.MonkeyPatch, **more: Any) -> Runtime:
    """Return a runtime that forwards to ``address``."""
    monkeypatch.setenv("TS_INFERENCE_ADDRESS", address)
    monkeypatch.setenv("TS_DISABLE_TOKEN_AUTHORIZATION", "true")
    project = Project(make_project(folder / "project").root)
    plane = SimpleNamespace(endpoints={})
    endpoints = Endpoints(lambda _: plane, lambda _: None, [], {"e": Target("m")})
    return Runtime(endpoints, Inference.of(project), Clock(), **more)


def test_without_torchserve_the_service_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = runtime(tmp_path, f"http://127.0.0.1:{free_ports(1)[0]}", monkeypatch)
    with pytest.raises(ApiError, match="is not there") as caught:
        made.forward(ENDPOINT, "main", b"", Headers(), 1)
    assert (caught.value.status, caught.value.kind) == (503, "ServiceUnavailable")


def test_an_answer_that_takes_too_long_is_a_model_error_without_a_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    made = runtime(tmp_path, slow, monkeypatch)
    with pytest.raises(ApiError, match="timed out") as caught:
        made.forward(ENDPOINT, "main", b"", Headers(), 0.1)
    assert (caught.value.kind, caught.value.more["OriginalStatusCode"]) == ("ModelError", 0)


def asked(body: bytes = b"", **headers: str) -> Request:
    """Return a request of the runtime."""
    named = Headers({PREFIX + name: value for name, value in headers.items()})
    return Request(EnvironBuilder(method="POST", headers=named, data=body).get_environ())


def test_the_limit_of_a_body_is_the_one_of_the_apis_own_description() -> None:
    described = botocore.session.get_session().get_service_model("sagemaker-runtime")
    for call, limit in (("InvokeEndpoint", PAYLOAD_BYTES), ("InvokeEndpointAsync", INLINE_BYTES)):
        shape = described.operation_model(call).input_shape
        assert shape.members["Body"].metadata["max"] == limit


def test_the_limit_of_a_body_can_be_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    made = runtime(tmp_path, slow, monkeypatch, payload=5)
    assert made.invoke(asked(b"12345"), "e").get_data() == b"late"
    refused = made.invoke(asked(b"123456"), "e")
    assert refused.status_code == 413
    assert b"the body has 6 bytes, over 5 (PayloadBytes)" in refused.get_data()
    small = runtime(tmp_path / "other", slow, monkeypatch, payload=3)
    assert b"the answer has 4 bytes, over 3 (PayloadBytes)" in small.invoke(asked(), "e").get_data()


@pytest.mark.parametrize("value", ["6 MB", "0", "-1", ""])
def test_a_limit_that_is_none_is_refused_at_the_start(tmp_path: Path, value: str) -> None:
    project = make_project(tmp_path / "project")
    (project.root / "deploy" / "aws").mkdir(parents=True)
    (project.root / "deploy" / "aws" / "template.yaml").write_text("Resources: {}")
    cloud = Cloud(project, CloudOptions(parameters={PAYLOAD_PARAMETER: value}))
    with pytest.raises(MarqueeError, match=f"PayloadBytes={value}: a number of bytes is expected"):
        cloud.start()


class Bucket:
    """Stands for S3: keeps what is put."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.buckets: list[str] = []

    def create_bucket(self, Bucket: str) -> None:  # noqa: N803 - the SDK's names
        self.buckets.append(Bucket)

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
    later = AsyncRuntime(unused, bucket, topic)
    config = {"OutputConfig": {"NotificationConfig": {"ErrorTopic": "arn:t"}}}
    work = Work(
        endpoint=Endpoint("e", "us-east-1", config, {"main": 1.0}, {}),
        variant="main",
        inference_id="id",
        source="s3://b/in",
        body=None,
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
    with pytest.raises(ApiError, match=f"{name} is '{value}'"):
        work_of(asked(b"", InputLocation="s3://b/in", **{name: value}), ENDPOINT)


def test_an_endpoint_that_is_only_named_answers_both_kinds_of_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    now, bucket, topic = runtime(tmp_path, slow, monkeypatch), Bucket(), Topic()
    later = AsyncRuntime(now, bucket, topic)
    assert now.invoke(asked(b"x"), "e").status_code == 200
    taken = later.invoke(asked(b"x"), "e")
    assert taken.status_code == 202
    place = taken.headers[f"{PREFIX}OutputLocation"]
    assert bucket.buckets == ["sagemaker-us-east-1-123456789012"] == [split(place)[0]]
    assert eventually(lambda: bucket.objects) == {split(place)[1]: b"late"}


@pytest.mark.parametrize(
    ("body", "source", "told"),
    [
        (bytes(INLINE_BYTES + 1), "", "Body has 128001 bytes, over 128000; store it in S3"),
        (b"x", "s3://b/in", "Body and InputLocation are both given"),
        (b"", "", "InputLocation is ''"),
        (b"", "https://b/in", "InputLocation is 'https://b/in'"),
    ],
)
def test_a_request_has_one_input(body: bytes, source: str, told: str) -> None:
    request = asked(body, InputLocation=source) if source else asked(body)
    with pytest.raises(ApiError, match=told):
        work_of(request, ENDPOINT)


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_an_input_in_s3_comes_without_a_body_of_meaning(body: bytes) -> None:
    work = work_of(asked(body, InputLocation="s3://b/in"), ENDPOINT)
    assert (work.source, work.body) == ("s3://b/in", None)


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

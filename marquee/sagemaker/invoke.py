"""A request to an endpoint: at once, or by way of S3 and a queue."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from marquee.errors import MarqueeError
from marquee.sagemaker.cloud import RUNTIME, Cloud
from marquee.sagemaker.deploy import stored_size
from marquee.sagemaker.hosting import given, split_s3, unknown_name
from marquee.sagemaker.waiting import SAGEMAKER, Tell, describe

POLL_SECONDS = 2.0
# SageMaker's own limit for custom attributes.
MOST_CHARACTERS = 1024
INPUTS = "marquee-input"
# What a rehearsal takes for the place of an endpoint's answers.
UNKNOWN = "s3://bucket-of-its-outputs"
MODEL_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Question:
    """One request.

    Attributes:
        body: the file that is sent.
        content_type: its media type.
        accept: the media type to answer in; the model's default when None.
        parameters: the model's parameters, such as ``{"top_k": "3"}``.
        model: which, where the container holds several.
        inference_id: a name for the request in logs and captured data.
    """

    body: Path
    content_type: str
    accept: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None
    inference_id: str | None = None

    def __post_init__(self) -> None:
        """Refuse a body that is not there."""
        if not self.body.is_file():
            raise MarqueeError(f"there is no file {self.body} to send")

    def request(self, endpoint: str) -> dict[str, Any]:
        """Return the parameters that both ways of asking have."""
        return {"EndpointName": endpoint, "ContentType": self.content_type} | given(
            Accept=self.accept,
            CustomAttributes=custom_attributes(self.parameters, self.model) or None,
            InferenceId=self.inference_id,
        )


@dataclass(frozen=True)
class Reply:
    """The model's answer.

    Attributes:
        body: its bytes.
        content_type: their media type.
        place: the ``s3://`` address of an asynchronous answer.
    """

    body: bytes
    content_type: str
    place: str | None = None


def custom_attributes(parameters: Mapping[str, str], model: str | None = None) -> str:
    """Return parameters as the custom attributes that our handlers and front door read.

    SageMaker passes no headers of a caller's own on, but these.

    Raises:
        MarqueeError: they are longer than SageMaker takes.
    """
    if model is not None and not MODEL_NAME.fullmatch(model):
        raise MarqueeError(f"--model is {model!r}; expected letters, digits, '.', '_' and '-'")
    named = [] if model is None else [f"model={model}"]
    named += [f"{_header(name)}={quote(value, safe='')}" for name, value in parameters.items()]
    text = ";".join(named)
    if len(text) > MOST_CHARACTERS:
        raise MarqueeError(
            f"the parameters take {len(text)} characters and SageMaker passes {MOST_CHARACTERS} "
            "on; send them in a JSON body instead"
        )
    return text


def _header(name: str) -> str:
    words = name.lower().replace("_", "-").split("-")
    return "-".join(["X-Marquee", *(word.capitalize() for word in words)])


def invoke(cloud: Cloud, endpoint: str, question: Question) -> Reply:
    """Ask a real-time endpoint.

    Raises:
        MarqueeError: the model's own error, or AWS's.
    """
    # A rehearsal shows the file's name, which is a body as well.
    body = str(question.body).encode() if cloud.rehearsed else question.body.read_bytes()
    answer = cloud.call(RUNTIME, "InvokeEndpoint", {}, **question.request(endpoint), Body=body)
    if cloud.rehearsed:
        return Reply(b"", "")
    return Reply(answer["Body"].read(), answer.get("ContentType", "application/octet-stream"))


def invoke_async(
    cloud: Cloud,
    endpoint: str,
    question: Question,
    *,
    inputs: str | None = None,
    tell: Tell = lambda _text: None,
    timeout: float = 900,
    request_seconds: int | None = None,
) -> Reply:
    """Ask an asynchronous endpoint, and wait for the answer's object or the failure's.

    Args:
        inputs: ``s3://`` prefix for the input; by default beside the endpoint's outputs.
        timeout: seconds to wait.
        request_seconds: the model's time for the request (1 to 3600; SageMaker's default 900).

    Raises:
        MarqueeError: what the failure's object says, AWS's own error, or no answer in time.
    """
    named = question.inference_id or str(uuid.uuid4())
    prefix = (inputs or _inputs(cloud, endpoint)).rstrip("/")
    address = f"{prefix}/{named}/{question.body.name}"
    bucket, key = split_s3(address, "--input")
    cloud.upload(question.body, bucket, key, question.content_type)
    accepted = cloud.call(
        RUNTIME,
        "InvokeEndpointAsync",
        {"OutputLocation": f"{UNKNOWN}/answer.out"},
        **question.request(endpoint) | {"InferenceId": named, "InputLocation": address},
        **given(InvocationTimeoutSeconds=request_seconds),
    )
    tell(f"Waiting for {accepted['OutputLocation']}")
    return _await(cloud, endpoint, accepted, timeout)


def _inputs(cloud: Cloud, endpoint: str) -> str:
    """Return a prefix in the bucket that the endpoint writes to."""
    output = {"OutputConfig": {"S3OutputPath": f"{UNKNOWN}/"}}
    found = describe(cloud, endpoint, EndpointConfigName=unknown_name(endpoint))
    name, assumed = found["EndpointConfigName"], {"AsyncInferenceConfig": output}
    config = cloud.call(SAGEMAKER, "DescribeEndpointConfig", assumed, EndpointConfigName=name)
    queue = config.get("AsyncInferenceConfig")
    if queue is None:
        raise MarqueeError(f"{endpoint} is a real-time endpoint; invoke it without --async")
    bucket, _ = split_s3(queue["OutputConfig"]["S3OutputPath"], "the endpoint's S3OutputPath")
    return f"s3://{bucket}/{INPUTS}/{endpoint}"


def _await(cloud: Cloud, endpoint: str, accepted: dict[str, Any], timeout: float) -> Reply:
    deadline = time.monotonic() + timeout
    output, failure = accepted["OutputLocation"], accepted.get("FailureLocation")
    while time.monotonic() < deadline:
        if _there(cloud, output):
            return _fetch(cloud, output)
        if failure and _there(cloud, failure):
            said = _fetch(cloud, failure).body.decode(errors="replace")
            raise MarqueeError(
                f"the model failed: {' '.join(said.split())[:2000]} (whole in {failure})"
            )
        time.sleep(POLL_SECONDS)
    where = "" if failure else " (the endpoint has no --failure path, so a failure leaves no trace)"
    raise MarqueeError(
        f"{endpoint} gave no answer within {timeout:.0f} s{where}; it may still come, to {output}"
    )


def _there(cloud: Cloud, address: str) -> bool:
    bucket, key = split_s3(address, "the answer's address")
    return stored_size(cloud, bucket, key, assumed=0) is not None


def _fetch(cloud: Cloud, address: str) -> Reply:
    bucket, key = split_s3(address, "the answer's address")
    found = cloud.call("s3", "GetObject", {}, Bucket=bucket, Key=key)
    if cloud.rehearsed:
        return Reply(b"", "", address)
    return Reply(found["Body"].read(), found.get("ContentType", ""), address)

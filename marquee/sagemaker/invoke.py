"""A request to an endpoint: at once, or by way of S3 and a queue."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from marquee.errors import MarqueeError
from marquee.interrupts import until
from marquee.sagemaker import objects
from marquee.sagemaker.account import RUNTIME, Account, Call, unread
from marquee.sagemaker.endpoints import CONFIG, ENDPOINT, described
from marquee.sagemaker.values import given, split_s3

POLL_SECONDS = 2.0
# SageMaker's own limit for custom attributes.
MOST_CHARACTERS = 1024
INPUTS = "marquee-input"
# What a dry run cannot know: where an endpoint's answers go.
UNKNOWN_BUCKET = "bucket-of-its-outputs"
MODEL_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class EndpointRequest:
    """One request.

    Attributes:
        body: the file that is sent.
        content_type: its media type.
        accept: the media type to answer in; the model's default when None.
        parameters: the model's parameters, such as ``{"top_k": "3"}``.
        model: which, where the container holds several.
        inference_id: a name for the request in logs and captured data.
        inputs: of an asynchronous one the ``s3://`` prefix for the input; by default beside the
            endpoint's outputs.
        request_seconds: of an asynchronous one the model's time for it (1 to 3600; SageMaker's
            default 900).
        target_model: of a multi-model endpoint the model.tar.gz, below its ``--model-data``.
        variant: which of several production variants; by their weights when None.
    """

    body: Path
    content_type: str
    accept: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None
    inference_id: str | None = None
    inputs: str | None = None
    request_seconds: int | None = None
    target_model: str | None = None
    variant: str | None = None

    def __post_init__(self) -> None:
        """Refuse a body that is not there."""
        if not self.body.is_file():
            raise MarqueeError(f"there is no file {self.body} to send")

    def parameters_for(self, endpoint: str) -> dict[str, Any]:
        """Return the parameters that both ways of asking have."""
        return {"EndpointName": endpoint, "ContentType": self.content_type} | given(
            Accept=self.accept,
            CustomAttributes=custom_attributes(self.parameters, self.model) or None,
            InferenceId=self.inference_id,
        )


@dataclass(frozen=True)
class EndpointAnswer:
    """The model's answer, its media type, and where an asynchronous one lies in S3."""

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


def dry_run(endpoint: str, request: EndpointRequest) -> list[Call]:
    """Return the call of :func:`invoke`."""
    parameters = request.parameters_for(endpoint) | {"Body": request.body}
    parameters |= given(TargetModel=request.target_model, TargetVariant=request.variant)
    return [Call(RUNTIME, "InvokeEndpoint", parameters)]


def invoke(account: Account, endpoint: str, request: EndpointRequest) -> EndpointAnswer:
    """Ask a real-time endpoint, or raise the model's own error, or AWS's."""
    answer = account.make_all(dry_run(endpoint, request))
    content_type = answer.get("ContentType", "application/octet-stream")
    return EndpointAnswer(answer["Body"].read(), content_type)


def dry_run_async(endpoint: str, request: EndpointRequest) -> list[Call]:
    """Return the calls of :func:`invoke_async` for a request that is answered."""
    reads = [(ENDPOINT, endpoint), (CONFIG, unread("EndpointConfigName", "DescribeEndpoint"))]
    prefix = request.inputs or f"s3://{UNKNOWN_BUCKET}/{INPUTS}/{endpoint}"
    answer = f"s3://{UNKNOWN_BUCKET}/{unread('OutputLocation', 'InvokeEndpointAsync')}"
    return [
        *(described(*one) for one in ([] if request.inputs else reads)),
        *_queued(endpoint, request, prefix),
        objects.listed(answer),
        objects.fetched(answer),
    ]


def invoke_async(
    account: Account, endpoint: str, request: EndpointRequest, *, timeout: float = 900
) -> EndpointAnswer:
    """Ask an asynchronous endpoint, and wait for the answer's object or the failure's.

    Raises:
        MarqueeError: what the failure's object says, AWS's own error, or no answer in time.
    """
    accepted = submit(account, endpoint, request)
    account.report(f"Waiting for {accepted.output}")
    answer = until(lambda: look(account, accepted), timeout, POLL_SECONDS)
    if answer is not None:
        return answer
    failure = accepted.failure
    where = "" if failure else " (the endpoint has no --failure path, so a failure leaves no trace)"
    raise MarqueeError(
        f"{endpoint} gave no answer within {timeout:.0f} s{where}; it may still come, to "
        f"{accepted.output}"
    )


class ModelFailed(MarqueeError):
    """The model's own error, of a request of the queue."""


@dataclass(frozen=True)
class Accepted:
    """What SageMaker has taken into its queue: where the answer comes, or why there is none."""

    output: str
    failure: str | None


def submit(account: Account, endpoint: str, request: EndpointRequest) -> Accepted:
    """Put a request into an asynchronous endpoint's queue.

    Raises:
        MarqueeError: it is a real-time endpoint, or AWS's own error.
    """
    prefix = request.inputs or _inputs(account, endpoint)
    accepted = account.make_all(_queued(endpoint, request, prefix))
    return Accepted(accepted["OutputLocation"], accepted.get("FailureLocation"))


def look(account: Account, accepted: Accepted) -> EndpointAnswer | None:
    """Return the answer to a request of the queue, or None as long as there is none.

    Raises:
        ModelFailed: what the failure's object says.
        MarqueeError: AWS's own error.
    """
    if objects.size(account, accepted.output) is not None:
        return _fetched(account, accepted.output)
    if accepted.failure is None or objects.size(account, accepted.failure) is None:
        return None
    words = _fetched(account, accepted.failure).body.decode(errors="replace")
    raise ModelFailed(
        f"the model failed: {' '.join(words.split())[:2000]} (whole in {accepted.failure})"
    )


def _queued(endpoint: str, request: EndpointRequest, prefix: str) -> list[Call]:
    """Return the calls that upload the input under ``prefix`` and queue the request."""
    if request.target_model or request.variant:
        raise MarqueeError(
            "--target-model and --variant are for real-time endpoints: SageMaker's asynchronous "
            "requests name neither; leave them away, or --async"
        )
    name = request.inference_id or str(uuid.uuid4())
    address = f"{prefix.rstrip('/')}/{name}/{request.body.name}"
    split_s3(address, "--input")
    own = {"InferenceId": name, "InputLocation": address}
    parameters = request.parameters_for(endpoint) | own
    parameters |= given(InvocationTimeoutSeconds=request.request_seconds)
    return [
        objects.upload(request.body, address, request.content_type),
        Call(RUNTIME, "InvokeEndpointAsync", parameters),
    ]


def _inputs(account: Account, endpoint: str) -> str:
    """Return a prefix in the bucket that the endpoint writes to."""
    config_name = account.make(described(ENDPOINT, endpoint))["EndpointConfigName"]
    queue = account.make(described(CONFIG, config_name)).get("AsyncInferenceConfig")
    if queue is None:
        raise MarqueeError(f"{endpoint} is a real-time endpoint; invoke it without --async")
    bucket, _ = split_s3(queue["OutputConfig"]["S3OutputPath"], "the endpoint's S3OutputPath")
    return f"s3://{bucket}/{INPUTS}/{endpoint}"


def _fetched(account: Account, address: str) -> EndpointAnswer:
    answer = account.make(objects.fetched(address))
    return EndpointAnswer(answer["Body"].read(), answer.get("ContentType", ""), address)

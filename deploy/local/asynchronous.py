"""SageMaker's runtime: ``InvokeEndpointAsync``, its queue, output objects and notifications."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from werkzeug.datastructures import Headers
from werkzeug.wrappers import Request, Response

from deploy.local.account import ACCOUNT
from deploy.local.clock import moment
from deploy.local.endpoints import ASYNC_CONCURRENCY, ApiError, Endpoint, invalid
from deploy.local.queues import Queues
from deploy.local.runtime import PREFIX, Runtime, error_response, region_of

INVOCATION_SECONDS = 900
TTL_SECONDS = 21_600
# The API's own description of Body.
INLINE_BYTES = 128_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Work:
    """One request in the queue, with its input in ``body``, or in S3 at ``source``."""

    endpoint: Endpoint
    variant: str
    inference_id: str
    source: str
    body: bytes | None
    output: str
    failure: str
    headers: Headers
    seconds: int
    ttl: int
    received: float

    @property
    def topics(self) -> Mapping[str, str]:
        """Topics of the endpoint's configuration."""
        config = (self.endpoint.asynchronous or {}).get("OutputConfig", {})
        found: Mapping[str, str] = config.get("NotificationConfig") or {}
        return found


class AsyncRuntime:
    """Takes requests, and works them off with as many at once as the endpoint allows."""

    def __init__(self, runtime: Runtime, s3: Any, sns: Any) -> None:
        self._runtime = runtime
        self._s3 = s3
        self._sns = sns
        self.queues = Queues()

    def invoke(self, request: Request, name: str) -> Response:
        """Answer ``POST /endpoints/<name>/async-invocations``."""
        try:
            endpoint = self._runtime.endpoints.find(name, region_of(request))
            if endpoint.asynchronous is None and endpoint.created:
                raise invalid(
                    f"Endpoint {name} is not asynchronous; call InvokeEndpoint, or give its "
                    "configuration an AsyncInferenceConfig"
                )
            work = work_of(request, endpoint)
            if split(work.output)[0] == default_bucket(endpoint):
                self._s3.create_bucket(Bucket=default_bucket(endpoint))  # there or not
        except ApiError as refused:
            return error_response(refused)
        config = (endpoint.asynchronous or {}).get("ClientConfig") or {}
        at_once = int(config.get("MaxConcurrentInvocationsPerInstance") or ASYNC_CONCURRENCY)
        # Another configuration, another queue.
        self.queues.submit((endpoint.name, at_once), at_once, self._run, work)
        body = json.dumps({"InferenceId": work.inference_id})
        response = Response(body, status=202, content_type="application/json")
        response.headers[f"{PREFIX}OutputLocation"] = work.output
        response.headers[f"{PREFIX}FailureLocation"] = work.failure
        return response

    def _run(self, work: Work) -> None:
        try:
            content_type = self._answer(work)
        except ApiError as refused:
            self._fail(work, refused)
        except Exception:
            # Whatever it is: a request that nobody hears of again is worse.
            log.exception("an asynchronous request failed here")
            self._fail(
                work,
                ApiError(500, "InternalServerException", "the cloud failed; see its log"),
            )
        else:
            place = {"contentType": content_type, "outputLocation": work.output}
            self._tell(work, "Completed", {"responseParameters": place})

    def _answer(self, work: Work) -> str:
        """Store the model's answer and return its content type.

        Raises:
            ApiError: there is none.
        """
        if time.time() - work.received > work.ttl:
            raise ApiError(400, "RequestExpired", f"the request waited more than {work.ttl} s")
        body = self._input(work.source) if work.body is None else work.body
        answer = self._runtime.forward(
            work.endpoint, work.variant, body, work.headers, work.seconds
        )
        content_type = answer.headers.get("content-type", "application/octet-stream")
        self._put(work.output, answer.content, content_type)
        return str(content_type)

    def _input(self, source: str) -> bytes:
        bucket, key = split(source)
        try:
            data: bytes = self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except self._s3.exceptions.ClientError as error:
            raise invalid(f"the input {source} cannot be read: {error}") from error
        return data

    def _put(self, location: str, data: bytes, content_type: str) -> None:
        bucket, key = split(location)
        try:
            self._s3.put_object(Bucket=bucket, Key=key, Body=data, ContentType=content_type)
        except self._s3.exceptions.ClientError as error:
            raise invalid(f"{location} cannot be written: {error}") from error

    def _fail(self, work: Work, refused: ApiError) -> None:
        body = str(refused.more.get("OriginalMessage") or refused)
        try:
            self._put(work.failure, body.encode(), "text/plain")
        except ApiError as second:
            log.warning("%s", second)
        self._tell(work, "Failed", {"failureReason": f"{refused.kind}: {refused}"})

    def _tell(self, work: Work, status: str, more: Mapping[str, Any]) -> None:
        topic = work.topics.get("SuccessTopic" if status == "Completed" else "ErrorTopic")
        if topic and not self.queues.closed:
            self._sns.publish(TopicArn=topic, Message=json.dumps(message(work, status, more)))


def work_of(request: Request, endpoint: Endpoint) -> Work:
    """Read an asynchronous request.

    Raises:
        ApiError: it has no input, or two, or a number is out of its range.
    """
    headers = request.headers
    source, body = _input_of(request)
    forwarded = {
        "Content-Type": headers.get(f"{PREFIX}Content-Type", ""),
        "Accept": headers.get(f"{PREFIX}Accept", ""),
        f"{PREFIX}Custom-Attributes": headers.get(f"{PREFIX}Custom-Attributes", ""),
    }
    name = uuid.uuid4()
    config = (endpoint.asynchronous or {}).get("OutputConfig", {})
    place = f"s3://{default_bucket(endpoint)}/async-endpoint-outputs/{endpoint.name}"
    output = config.get("S3OutputPath") or place
    failure = config.get("S3FailurePath") or output
    return Work(
        endpoint=endpoint,
        variant=endpoint.variant(None),
        inference_id=headers.get(f"{PREFIX}Inference-Id") or str(uuid.uuid4()),
        source=source,
        body=body,
        output=f"{output.rstrip('/')}/{name}.out",
        failure=f"{failure.rstrip('/')}/{name}-error.out",
        headers=Headers({key: value for key, value in forwarded.items() if value}),
        seconds=_number(request, "InvocationTimeoutSeconds", INVOCATION_SECONDS, 1, 3600),
        ttl=_number(request, "RequestTTLSeconds", TTL_SECONDS, 60, 21_600),
        received=time.time(),
    )


def _input_of(request: Request) -> tuple[str, bytes | None]:
    """Return where in S3 the input is, or the input itself."""
    source, body = request.headers.get(f"{PREFIX}InputLocation", ""), request.get_data()
    if source and body.strip() in (b"", b"{}"):  # SDKs from before Body was there send either
        body = b""
    if source and body:
        raise invalid("Body and InputLocation are both given; exactly one is expected")
    if len(body) > INLINE_BYTES:
        raise invalid(
            f"Body has {len(body)} bytes, over {INLINE_BYTES}; store it in S3 and give its place "
            "as InputLocation"
        )
    if body:
        return "", body
    if not source.startswith("s3://") or not split(source)[1]:
        raise invalid(f"InputLocation is '{source}'; an object is expected, s3://bucket/key")
    return source, None


def default_bucket(endpoint: Endpoint) -> str:
    """Return where answers go that have no S3OutputPath: to the SDK's default bucket."""
    return f"sagemaker-{endpoint.region}-{ACCOUNT}"


def _number(request: Request, name: str, default: int, least: int, most: int) -> int:
    text = request.headers.get(f"{PREFIX}{name}", str(default))
    if not text.isdecimal() or not least <= int(text) <= most:
        raise invalid(f"{name} is '{text}'; a whole number from {least} to {most} is expected")
    return int(text)


def split(location: str) -> tuple[str, str]:
    """Return bucket and key of ``s3://bucket/key``."""
    parts = urlsplit(location, allow_fragments=False)
    query = f"?{parts.query}" if parts.query else ""
    return parts.netloc, parts.path.removeprefix("/") + query


def message(work: Work, status: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """Return what SageMaker publishes about a request."""
    return {
        "awsRegion": work.endpoint.region,
        "eventTime": moment(),
        "receivedTime": moment(work.received),
        "invocationStatus": status,
        "requestParameters": {
            "contentType": work.headers.get("Content-Type"),
            "accept": work.headers.get("Accept"),
            "endpointName": work.endpoint.name,
            **({"inputLocation": work.source} if work.source else {}),
        },
        **more,
        "inferenceId": work.inference_id,
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
    }

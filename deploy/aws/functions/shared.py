"""What the functions share: clients, events, the call of an endpoint, answers and errors.

Addresses, region and credentials come from the SDK's own environment (``AWS_ENDPOINT_URL_*``
included), names from the variables that the template sets. Whatever cannot be done here raises
:class:`Problem`, which has the HTTP status and the sentence for the client.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import logging
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import responses
from typing import Any
from urllib.parse import unquote_plus, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

import tracing

LINK_SECONDS = 900
# Lambda hands on at most 6 MB (6,291,556 bytes) of answer, the JSON around the body included.
ANSWER_BYTES = 6_000_000
JSON = "application/json"

# Worth another try though their status is 400.
_PASSING = {"ProvisionedThroughputExceededException", "Throttling", "ThrottlingException"}
# Without the right to list a bucket, S3 says of a missing object that access is denied.
_MISSING = {"NoSuchKey", "NoSuchBucket", "404", "AccessDenied", "403"}

_REGIONAL = Config(s3={"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"})

logger = logging.getLogger("marquee")
logger.setLevel(logging.INFO)

Event = Mapping[str, Any]
Answer = dict[str, Any]


class Problem(Exception):
    """Why something cannot be done, in a sentence for the client.

    Attributes:
        status: the HTTP status to answer.
        message: what was wrong, what was expected, what to do.
        again: it may pass by itself, so the same event is worth another try.
    """

    def __init__(self, status: int, message: str, *, again: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.again = again


def setting(name: str, default: str | None = None) -> str:
    """Return a variable that the template sets."""
    value = os.environ.get(name, default)
    if value is None:
        raise Problem(500, f"the function's variable {name} is not set; deploy the stack again")
    return value


@functools.cache
def client(service: str) -> Any:
    """Return the SDK's client of a service, made once a process.

    An endpoint is called once: a repetition would run the model a second time.
    """
    if service == "sagemaker-runtime":
        seconds = int(setting("ENDPOINT_SECONDS", "60"))
        config = Config(connect_timeout=5, read_timeout=seconds, retries={"total_max_attempts": 1})
    else:  # links signed the old way are refused by the buckets of today
        config = Config(connect_timeout=5, read_timeout=20, signature_version="s3v4")
    # The SDK's default session is not for threads.
    session = boto3.session.Session()
    made = session.client(service, config=config)
    if service != "s3" or not _at_aws(made):
        return made
    # By itself the SDK signs links for the global host, which sends all regions but one away:
    # browsers do not follow that with a form, and the signature no longer fits.
    return session.client(service, config=config.merge(_REGIONAL))


def _at_aws(s3: Any) -> bool:
    """Say whether S3 is AWS's own; another's address (``AWS_ENDPOINT_URL``) is kept as it is."""
    host = str(urlsplit(s3.meta.endpoint_url).hostname)
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn what the SDK raises in the block into a :class:`Problem` about ``what``."""
    try:
        yield
    except ClientError as error:
        raise _refusal(error, what) from error
    except ReadTimeoutError as error:
        raise Problem(504, f"{what} did not answer in time; try again", again=True) from error
    except BotoCoreError as error:
        kind = type(error).__name__
        raise Problem(503, f"{what} cannot be reached ({kind}); try again", again=True) from error


def _refusal(error: ClientError, what: str) -> Problem:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))
    if code == "ModelError":
        return _model_error(error)
    if code == "ValidationError":  # SageMaker's word for an endpoint that is not there
        return Problem(503, f"{what} is not in service; deploy it, or name another one")
    if code in _MISSING:
        return Problem(404, f"{what} is not there, or this function may not use it")
    passing = code in _PASSING or status >= 500 or status == 429
    return Problem(503 if passing else 502, f"{what}: {code}", again=passing)


def _model_error(error: ClientError) -> Problem:
    """Return what the container answered; its 4xx are the client's to know, its 5xx ours."""
    response: Any = error.response
    original = int(response.get("OriginalStatusCode") or 500)
    message = error_text(str(response.get("OriginalMessage") or "")) or "the model gave no reason"
    if 400 <= original < 500:
        return Problem(original, message)
    return Problem(502, f"the model failed ({original}): {message}", again=True)


def error_text(body: str) -> str:
    """Return the message in an error of the container's, at most 500 characters of it."""
    try:
        parsed = json.loads(body)
    except ValueError:
        return body[:500]
    message = parsed.get("message", body) if isinstance(parsed, dict) else body
    return str(message)[:500]


def invoke(body: bytes, content_type: str, accept: str) -> tuple[bytes, str]:
    """Ask the function's real-time endpoint and return the answer with its content type."""
    limit = int(setting("PAYLOAD_BYTES", "6291456"))
    if len(body) > limit:
        raise Problem(
            413, f"{len(body)} bytes are too many for a real-time endpoint; send at most {limit}"
        )
    endpoint = setting("ENDPOINT_NAME")
    with told(f"endpoint '{endpoint}'"):
        answer = client("sagemaker-runtime").invoke_endpoint(
            EndpointName=endpoint,
            ContentType=content_type,
            Accept=accept,
            Body=body,
            **tracing.attributes(),
        )
        return answer["Body"].read(), answer["ContentType"]


def fetch(bucket: str, key: str, limit: int) -> bytes:
    """Return an object of at most ``limit`` bytes."""
    with told(f"s3://{bucket}/{key}"):
        found = client("s3").get_object(Bucket=bucket, Key=key)
        if found["ContentLength"] > limit:
            size = found["ContentLength"]
            raise Problem(413, f"s3://{bucket}/{key} has {size} bytes, more than {limit}")
        data: bytes = found["Body"].read()
        return data


def link(bucket: str, key: str) -> str:
    """Return an address at which the object can be read for a quarter of an hour."""
    url: str = client("s3").generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=LINK_SECONDS
    )
    return url


def upload_form(bucket: str, key: str, content_type: str, limit: int) -> Answer:
    """Return the ``url`` and ``fields`` of a form that takes one object of 1 to ``limit`` bytes."""
    form: Answer = client("s3").generate_presigned_post(
        bucket,
        key,
        Fields={"Content-Type": content_type},
        Conditions=[{"Content-Type": content_type}, ["content-length-range", 1, limit]],
        ExpiresIn=LINK_SECONDS,
    )
    return form


@dataclass(frozen=True)
class Upload:
    """An S3 event's object; ``order``, compared as text, grows with each write of the key."""

    bucket: str
    key: str
    size: int
    etag: str
    order: str


def uploads(event: Event) -> list[Upload]:
    """Return the objects that an S3 event tells of."""
    return [_upload(record) for record in event["Records"]]


def _upload(record: Mapping[str, Any]) -> Upload:
    found = record["s3"]["object"]
    # Hexadecimal, of varying length; the time decides where no sequencer is sent.
    order = f"{found.get('sequencer', ''):0>32}|{record.get('eventTime', '')}"
    return Upload(
        bucket=record["s3"]["bucket"]["name"],
        key=unquote_plus(found["key"]),
        size=int(found.get("size", 0)),
        etag=str(found.get("eTag", "")).strip('"'),
        order=order,
    )


def header(event: Event, name: str) -> str:
    """Return a request header, whatever its case, or nothing."""
    headers = event.get("headers") or {}
    return next((value for key, value in headers.items() if key.lower() == name), "")


def body(event: Event) -> bytes:
    """Return a request's body as it was sent."""
    text = str(event.get("body") or "")
    return unbase64(text, "the body") if event.get("isBase64Encoded") else text.encode()


def is_bare(event: Event) -> bool:
    """Say whether an event is a request's JSON itself, as no gateway sends it today."""
    return "body" not in event and "requestContext" not in event


def fields(event: Event) -> dict[str, Any]:
    """Return the JSON object in a request's body, or that the event is itself."""
    if is_bare(event):
        return dict(event)
    try:
        parsed = json.loads(body(event) or b"{}")
    except ValueError as error:
        raise Problem(400, f"the body is not JSON ({error}); send a JSON object") from error
    if not isinstance(parsed, dict):
        raise Problem(400, f"the body is a JSON {type(parsed).__name__}; send a JSON object")
    return parsed


def unbase64(text: Any, name: str) -> bytes:
    """Return the bytes of a base64 text, line breaks tolerated."""
    try:
        # The standard alphabet alone: letting strangers through would hide damage.
        return base64.b64decode("".join(str(text).split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Problem(400, f"{name} is not base64 ({error}); send standard base64") from error


def answer(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """Return a JSON answer for the gateway."""
    origin = {"Access-Control-Allow-Origin": setting("ALLOWED_ORIGIN", "*")}
    return {
        "statusCode": status,
        "headers": {"Content-Type": JSON, **origin, **(headers or {})},
        "body": json.dumps(value),
    }


def fits(given: Answer) -> bool:
    """Say whether the gateway will hand the answer on."""
    return len(given["body"]) <= ANSWER_BYTES and len(json.dumps(given)) <= ANSWER_BYTES


def linked(given: Answer) -> Answer:
    """Store the answer's body and return one that says where it is."""
    data = given["body"].encode()
    bucket, key = setting("RESULTS_BUCKET"), f"results/{uuid.uuid4().hex}.json"
    with told(f"s3://{bucket}/{key}"):
        client("s3").put_object(Bucket=bucket, Key=key, Body=data, ContentType=JSON)
    place = {"url": link(bucket, key), "expires_in": LINK_SECONDS, "bytes": len(data)}
    return answer(200, {"location": place | {"bucket": bucket, "key": key}})


def api(function: Callable[[Event], Answer]) -> Callable[[Event, Any], Answer]:
    """Wrap what answers requests: a Problem becomes its status, all else a 500 without details."""

    @functools.wraps(function)
    def answered(event: Event, context: Any) -> Answer:
        tracing.came_with(header(event, tracing.HEADER))
        try:
            return function(event)
        except Problem as problem:
            logger.info("%s: %s", problem.status, problem.message)
            return refused(problem)
        except Exception:
            logger.exception("a request failed")
            return refused(Problem(500, "the request failed here; the log has the reason"))

    return answered


def refused(problem: Problem) -> Answer:
    """Return the error in the shape that the model servers use."""
    status = problem.status
    again = {"Retry-After": "5"} if problem.again else {}
    return answer(
        status, {"code": status, "type": _kind(status), "message": problem.message}, again
    )


def _kind(status: int) -> str:
    # The container may answer with a number of its own.
    return responses.get(status, "Model Error").title().replace(" ", "") + "Exception"

"""timetravel: an upload starts a job on the asynchronous endpoint, a notification ends it.

``submit`` is called by the bucket, ``settle`` by the endpoint's topics. Nothing waits in between.
"""

from __future__ import annotations

import base64
import io
import json
import mimetypes
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from PIL import Image

import shared
import tracing
from timetravel import table

JPEG = "image/jpeg"
NPY = "application/x-npy"
# The published network's strip is 15,728,768 bytes; sixteen ages at 1024 x 1024 are 53 million.
STRIP_BYTES = 64_000_000


def submit(event: shared.Event, context: Any) -> None:
    """Hand each upload to the endpoint, once; an error that may pass is raised to try again."""
    for upload in shared.uploads(event):
        job = table.claim(upload, context.aws_request_id)
        if job is None:
            shared.logger.info("%s is taken care of already", upload.key)
        else:
            _start(upload, job)


def _start(upload: shared.Upload, job: table.Job) -> None:
    try:
        table.invoked(job, _invoke(upload, job))
    except shared.Problem as problem:
        shared.logger.warning("%s: %s", job["RequestId"], problem.message)
        if problem.again and job["Tries"] < table.TRIES:
            raise
        table.failed(job, problem.message)


def _invoke(upload: shared.Upload, job: table.Job) -> dict[str, str]:
    """Call the endpoint and return where its answer, or its refusal, will be."""
    limit = int(shared.setting("UPLOAD_BYTES"))
    if not 0 < upload.size <= limit:
        raise shared.Problem(413, f"the upload has {upload.size} bytes; 1 to {limit} are taken")
    endpoint = shared.setting("ENDPOINT_NAME")
    key, content_type = _request(upload, job)
    with shared.told(f"endpoint '{endpoint}'"):
        places: dict[str, str] = shared.client("sagemaker-runtime").invoke_endpoint_async(
            EndpointName=endpoint,
            ContentType=content_type,
            Accept=NPY,
            InputLocation=f"s3://{upload.bucket}/{key}",
            InferenceId=job["InferenceId"],
            InvocationTimeoutSeconds=int(shared.setting("INVOCATION_SECONDS")),
            RequestTTLSeconds=int(shared.setting("QUEUE_SECONDS")),
            **tracing.attributes(),
        )
    return places


def _request(upload: shared.Upload, job: table.Job) -> tuple[str, str]:
    """Return key and type of what the endpoint is to read: the upload itself where that will do.

    Parameters need a JSON request around it, since SageMaker passes no header of ours on; and a
    key travels in a header, which holds ASCII alone.
    """
    parameters = job.get("Parameters") or shared.setting("PARAMETERS", "{}")
    content_type = mimetypes.guess_type(upload.key)[0] or JPEG
    if parameters == "{}" and upload.key.isascii():
        return upload.key, content_type
    data = shared.fetch(upload.bucket, upload.key, int(shared.setting("UPLOAD_BYTES")))
    if parameters != "{}":
        request = {"image": base64.b64encode(data).decode(), **json.loads(parameters)}
        data, content_type = json.dumps(request).encode(), shared.JSON
    key = f"requests/{job['InferenceId']}"
    _put(key, data, content_type)
    return key, content_type


def settle(event: shared.Event, context: Any) -> None:
    """End the job of each notification; those of other callers and of older uploads are left."""
    for record in event["Records"]:
        notice = json.loads(record["Sns"]["Message"])
        inference = str(notice.get("inferenceId", ""))
        job = table.find(table.job_id_of(inference)) if inference else None
        if job is None or job.get("InferenceId") != inference:
            shared.logger.info("no job waits for inference '%s'", inference)
        elif notice["invocationStatus"] != "Completed":
            table.failed(job, _reason(notice, job))
        elif job["CompletionStatus"] != table.DONE:
            _finish(job, notice["responseParameters"]["outputLocation"])


def _finish(job: table.Job, location: str) -> None:
    try:
        strip = read_strip(_read(location, STRIP_BYTES))
    except shared.Problem as problem:
        if problem.again:
            raise
        table.failed(job, problem.message)
        return
    keys = [f"output/{job['RequestId']}_{n}.jpg" for n in range(strip.shape[1] // strip.shape[0])]
    for key, picture in zip(keys, cut(strip), strict=True):
        _put(key, picture, JPEG)
    table.done(job, keys)


def _reason(notice: Mapping[str, Any], job: table.Job) -> str:
    """Return what the container said, where it can be read, or what SageMaker says."""
    told = str(notice.get("failureReason") or notice["invocationStatus"])[:500]
    place = (notice.get("responseParameters") or {}).get("outputLocation")
    location = place or job.get("FailureLocation")
    if not location:
        return told
    try:
        said = shared.error_text(_read(location, 1_000_000).decode("utf-8", "replace"))
    except shared.Problem as problem:
        shared.logger.info("no reason at %s: %s", location, problem.message)
        return told
    return said or told


def read_strip(data: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the endpoint's squares side by side, uint8 (S, n * S, 3); never unpickled.

    Raises:
        Problem: it is anything else.
    """
    try:
        strip = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise shared.Problem(502, f"the endpoint's answer is no .npy file: {error}") from error
    if not _is_strip(strip):
        found = f"{strip.dtype} {strip.shape}"
        raise shared.Problem(
            502, f"the endpoint answered {found}, not squares side by side: uint8 (S, n * S, 3)"
        )
    return np.asarray(strip, np.uint8)


def _is_strip(array: np.ndarray[Any, Any]) -> bool:
    if array.dtype != np.uint8 or array.ndim != 3:
        return False
    height, width, channels = array.shape
    return bool(channels == 3 and height > 0 and width > 0 and width % height == 0)


def cut(strip: np.ndarray[Any, np.dtype[np.uint8]]) -> Iterator[bytes]:
    """Yield each square of (S, n * S, 3) as a JPEG, the original first."""
    side = strip.shape[0]
    for left in range(0, strip.shape[1], side):
        out = io.BytesIO()
        Image.fromarray(strip[:, left : left + side]).save(out, "JPEG")
        yield out.getvalue()


def _read(location: str, limit: int) -> bytes:
    bucket, _, key = location.removeprefix("s3://").partition("/")
    return shared.fetch(bucket, key, limit)


def _put(key: str, data: bytes, content_type: str) -> None:
    bucket = shared.setting("BUCKET")
    with shared.told(f"s3://{bucket}/{key}"):
        shared.client("s3").put_object(Bucket=bucket, Key=key, Body=data, ContentType=content_type)

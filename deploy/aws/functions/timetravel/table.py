"""The table of jobs. A job is an upload; what is kept of it, and which changes are allowed.

``RequestId`` and ``CompletionStatus`` are the original's. Each change is one conditional write, so
that events may come twice, late, or in another order than things happened.
"""

from __future__ import annotations

import functools
import hashlib
import re
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import boto3
from botocore.exceptions import ClientError

import shared

RUNNING, DONE, FAILED = 0, 1, -1
# Longer than one run of a function may take, shorter than Lambda waits before it tries again.
LEASE_SECONDS = 50
# Lambda runs a function once and tries twice more.
TRIES = 3
# Fits a header: SageMaker takes 64 visible characters as the id of an inference.
PLAIN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,49}")

Job = dict[str, Any]


def ids(upload: shared.Upload) -> tuple[str, str]:
    """Return the ids that the job of an upload may have.

    The first is the original's: the file's name up to its first dot. Where it is taken by a file
    of another key, or is no plain word, the second holds.
    """
    name = upload.key.rpartition("/")[2].partition(".")[0]
    mark = _digest(_source(upload))[:8]
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:40] or "job"
    unique = f"{plain}-{mark}"
    return (name if PLAIN_ID.fullmatch(name) else unique), unique


def inference_id(job_id: str, upload: shared.Upload) -> str:
    """Return SageMaker's id of running this content of the upload; at most 64 characters."""
    return f"{job_id}.{_digest(_source(upload), upload.etag, upload.order)[:12]}"


def job_id_of(inference: str) -> str:
    """Return the id of the job that an inference belongs to, if it is one of ours."""
    return inference.rpartition(".")[0] or inference


def open_job(job_id: str, source: str, parameters: str) -> None:
    """Note a job whose picture is still to be uploaded, to ``<bucket>/<key>``."""
    moment = int(now())
    item = {
        "RequestId": job_id,
        "CompletionStatus": RUNNING,
        "Source": source,
        "UploadOrder": "",
        "Parameters": parameters,
        "CreatedAt": _stamp(),
        "Deadline": moment + shared.LINK_SECONDS,
        "ExpiresAt": moment + _keep_seconds(),
    }
    with shared.told("the job table"):
        dynamo().put_item(
            TableName=shared.setting("TABLE"),
            Item=item,
            ConditionExpression="attribute_not_exists(RequestId)",
        )


def claim(upload: shared.Upload, owner: str) -> Job | None:
    """Take an upload on and return its job; None where it is done, being done, or outdated.

    ``owner`` names the run, and is the same when Lambda tries it again.
    """
    for job_id in dict.fromkeys(ids(upload)):
        if fresh := _claim_fresh(job_id, upload, owner):
            return fresh
        job = find(job_id)
        if job and job["Source"] == _source(upload):
            return _take_over(job_id, upload, owner)
    return None


def _claim_fresh(job_id: str, upload: shared.Upload, owner: str) -> Job | None:
    """Begin a job: none of that id yet, or new content, or the same after a failure."""
    moment = int(now())
    return _update(
        job_id,
        "SET #Source = :source, ETag = :etag, UploadOrder = :order, InferenceId = :inference, "
        "CompletionStatus = :running, #Owner = :owner, LeaseUntil = :lease, Tries = :one, "
        "CreatedAt = if_not_exists(CreatedAt, :stamp), StartedAt = :stamp, "
        "Deadline = :deadline, ExpiresAt = :expires REMOVE Reason, Results, InvokedAt, FinishedAt",
        "attribute_not_exists(RequestId) OR ExpiresAt < :now OR "
        "(#Source = :source AND UploadOrder < :order AND (attribute_not_exists(ETag) OR "
        "ETag <> :etag OR CompletionStatus = :failed OR Deadline < :now))",
        {
            ":source": _source(upload),
            ":etag": upload.etag,
            ":order": upload.order,
            ":inference": inference_id(job_id, upload),
            ":running": RUNNING,
            ":failed": FAILED,
            ":owner": owner,
            ":lease": moment + LEASE_SECONDS,
            ":one": 1,
            ":stamp": _stamp(),
            ":deadline": moment + int(shared.setting("JOB_SECONDS")),
            ":expires": moment + _keep_seconds(),
            ":now": moment,
        },
    )


def _take_over(job_id: str, upload: shared.Upload, owner: str) -> Job | None:
    """Go on with a job that a run has begun and not finished: our own, or one that ended."""
    moment = int(now())
    return _update(
        job_id,
        "SET #Owner = :owner, LeaseUntil = :lease, Tries = Tries + :one",
        "InferenceId = :inference AND CompletionStatus = :running AND "
        "attribute_not_exists(InvokedAt) AND (#Owner = :owner OR LeaseUntil < :now)",
        {
            ":owner": owner,
            ":lease": moment + LEASE_SECONDS,
            ":one": 1,
            ":inference": inference_id(job_id, upload),
            ":running": RUNNING,
            ":now": moment,
        },
    )


def invoked(job: Job, places: Mapping[str, str]) -> None:
    """Note that the endpoint has taken the job, and where its answer will be."""
    _update(
        job["RequestId"],
        "SET InvokedAt = :stamp, OutputLocation = :output, FailureLocation = :failure",
        "InferenceId = :inference",
        {
            ":stamp": _stamp(),
            ":output": places.get("OutputLocation", ""),
            ":failure": places.get("FailureLocation", ""),
            ":inference": job["InferenceId"],
        },
    )


def done(job: Job, results: list[str]) -> bool:
    """Note the results; a failure that was told of before gives way to them."""
    return bool(
        _update(
            job["RequestId"],
            "SET CompletionStatus = :done, Results = :results, FinishedAt = :stamp REMOVE Reason",
            "InferenceId = :inference AND CompletionStatus <> :done",
            {
                ":done": DONE,
                ":results": results,
                ":stamp": _stamp(),
                ":inference": job["InferenceId"],
            },
        )
    )


def failed(job: Job, reason: str) -> Job | None:
    """Note why a running job failed; a finished one, or a newer upload's, stays as it is."""
    return _update(
        job["RequestId"],
        "SET CompletionStatus = :failed, Reason = :reason, FinishedAt = :stamp",
        "CompletionStatus = :running AND UploadOrder = :order",
        {
            ":failed": FAILED,
            ":reason": reason,
            ":stamp": _stamp(),
            ":running": RUNNING,
            ":order": job["UploadOrder"],
        },
    )


def find(job_id: str) -> Job | None:
    """Return a job as it is in the table."""
    with shared.told("the job table"):
        found = dynamo().get_item(
            TableName=shared.setting("TABLE"), Key={"RequestId": job_id}, ConsistentRead=True
        )
    job: Job | None = found.get("Item")
    return job


def current(job_id: str) -> Job | None:
    """Return a job as it stands now: none where it expired, failed where its time is over."""
    job, moment = find(job_id), now()
    if job is None or job["ExpiresAt"] < moment:
        return None
    if job["CompletionStatus"] != RUNNING or job["Deadline"] > moment:
        return job
    return failed(job, _overdue(job)) or find(job_id)


def _overdue(job: Job) -> str:
    if "ETag" not in job:
        return "no picture was uploaded in time; ask for a new job and upload within 15 minutes"
    return "the endpoint gave no answer in time; upload the picture again"


def _update(job_id: str, change: str, condition: str, values: Job) -> Job | None:
    """Change an item and return it as it is then; None where the condition does not hold."""
    names = {"#Source": "Source", "#Owner": "Owner"}
    used = {short: name for short, name in names.items() if short in change + condition}
    try:
        with shared.told("the job table"):
            changed = dynamo().update_item(
                TableName=shared.setting("TABLE"),
                Key={"RequestId": job_id},
                UpdateExpression=change,
                ConditionExpression=condition,
                ExpressionAttributeValues=values,
                ReturnValues="ALL_NEW",
                **({"ExpressionAttributeNames": used} if used else {}),
            )
    except shared.Problem as problem:
        if _is_condition(problem.__cause__):
            return None
        raise
    job: Job = changed["Attributes"]
    return job


def _is_condition(cause: BaseException | None) -> bool:
    return (
        isinstance(cause, ClientError)
        and cause.response["Error"]["Code"] == "ConditionalCheckFailedException"
    )


@functools.cache
def dynamo() -> Any:
    """Return a client for plain values; other than the resource, it is safe with threads."""
    return boto3.session.Session().resource("dynamodb").meta.client


def _source(upload: shared.Upload) -> str:
    return f"{upload.bucket}/{upload.key}"


def _digest(*words: str) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


def _keep_seconds() -> int:
    return int(shared.setting("JOB_DAYS")) * 86_400


def now() -> float:
    """Return the seconds since 1970."""
    return time.time()


def _stamp() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")

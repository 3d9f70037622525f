"""timetravel's requests: ``POST /jobs``, ``GET /jobs/{id}``, ``GET /jobs/{id}/results/{n}``."""

from __future__ import annotations

import json
import uuid
from typing import Any

import shared
from timetravel import table

ENDINGS = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}
KNOWN = {"align", "ages", "face"}
WORDS = {table.RUNNING: "running", table.DONE: "done", table.FAILED: "failed"}
TIMES = {"created_at": "CreatedAt", "started_at": "StartedAt", "finished_at": "FinishedAt"}


@shared.api
def handler(event: shared.Event) -> shared.Answer:
    """Answer the three routes."""
    asked = event.get("pathParameters") or {}
    if "id" not in asked:
        return create(event)
    job = table.current(asked["id"])
    if job is None:
        raise shared.Problem(404, f"there is no job '{asked['id'][:80]}', or it has expired")
    return result(job, asked["n"]) if "n" in asked else status(job)


def create(event: shared.Event) -> shared.Answer:
    """Open a job and answer with the form that takes its picture.

    Raises:
        Problem: a type that is not taken, or a parameter that is unknown.
    """
    asked = shared.fields(event)
    content_type = asked.get("content_type", "image/jpeg")
    if content_type not in ENDINGS:
        kinds = ", ".join(ENDINGS)
        raise shared.Problem(
            415, f"content_type is {str(content_type)[:60]!r}; send one of {kinds}"
        )
    parameters = _parameters(asked.get("parameters", {}))
    job_id, bucket = uuid.uuid4().hex, shared.setting("BUCKET")
    key = f"input/{job_id}.{ENDINGS[content_type]}"
    form = shared.upload_form(bucket, key, content_type, int(shared.setting("UPLOAD_BYTES")))
    table.open_job(job_id, f"{bucket}/{key}", parameters)
    known = {"id": job_id, "job": f"/jobs/{job_id}", "expires_in": shared.LINK_SECONDS}
    return shared.answer(201, known | {"upload": form})


def _parameters(given: Any) -> str:
    """Return the model's parameters as JSON; nothing where the stack's own are to hold.

    Raises:
        Problem: not an object, or an unknown name. The model checks the values.
    """
    if not isinstance(given, dict) or not given.keys() <= KNOWN:
        words = ", ".join(sorted(KNOWN))
        raise shared.Problem(400, f"parameters is {str(given)[:60]}; an object of {words} is taken")
    return json.dumps(given) if given else ""


def status(job: table.Job) -> shared.Answer:
    """Answer with the job: the original's two fields, and what became of it."""
    links = [
        {"n": n, "url": shared.link(shared.setting("BUCKET"), key)}
        for n, key in enumerate(job.get("Results", []))
    ]
    word = WORDS[int(job["CompletionStatus"])] if "ETag" in job or "Reason" in job else "waiting"
    known = {
        "RequestId": job["RequestId"],
        "CompletionStatus": int(job["CompletionStatus"]),
        "status": word,
        "expires_at": int(job["ExpiresAt"]),
        "results": links,
    }
    times = {name: job[field] for name, field in TIMES.items() if field in job}
    reason = {"reason": job["Reason"]} if "Reason" in job else {}
    return shared.answer(200, known | times | reason)


def result(job: table.Job, number: str) -> shared.Answer:
    """Send the client on to a picture: 0 the original, then the ages.

    Raises:
        Problem: the job is not done (409), or has no such picture (404).
    """
    if job["CompletionStatus"] != table.DONE:
        word = WORDS[int(job["CompletionStatus"])]
        reason = f": {job['Reason']}" if "Reason" in job else "; ask again later"
        raise shared.Problem(409, f"job '{job['RequestId']}' is {word}{reason}")
    keys = job["Results"]
    if not number.isascii() or not number.isdecimal() or int(number) >= len(keys):
        raise shared.Problem(
            404, f"there is no picture '{number[:20]}'; 0 to {len(keys) - 1} exist"
        )
    url = shared.link(shared.setting("BUCKET"), keys[int(number)])
    return shared.answer(302, {"url": url}, {"Location": url})

"""inkwash: a photo arrives in the bucket, its painting goes to the output prefix as a JPEG.

What goes wrong for good is told beside it, in ``output_<name>.error.json``.
"""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import numpy as np
from PIL import Image

import shared

JPEG = "image/jpeg"


def handler(event: shared.Event, context: Any) -> None:
    """Paint each upload; an error that may pass is raised, so that Lambda tries again."""
    for upload in shared.uploads(event):
        # Whatever the trigger's prefix is set to, a painting is not painted again.
        if not upload.key.startswith(shared.setting("OUTPUT_PREFIX")):
            paint(upload)


def paint(upload: shared.Upload) -> None:
    """Put the painting, or why there is none, beside the others."""
    target = shared.setting("OUTPUT_PREFIX") + f"output_{name_of(upload.key)}"
    if is_painted(upload, f"{target}.jpeg"):
        shared.logger.info("%s is painted already", upload.key)
        return
    try:
        photo = shared.fetch(upload.bucket, upload.key, int(shared.setting("PAYLOAD_BYTES")))
        painting = as_jpeg(*shared.invoke(photo, "image/*", f"{JPEG}, {shared.JSON};q=0.5"))
    except shared.Problem as problem:
        tell(upload, f"{target}.error.json", problem)
        if problem.again:
            raise
        return
    keep(upload, target, painting)


def name_of(key: str) -> str:
    """Return the file's name up to its first dot, as the original names its paintings."""
    return key.rpartition("/")[2].partition(".")[0]


def is_painted(upload: shared.Upload, key: str) -> bool:
    """Say whether this upload's content, or a later one, has been painted."""
    try:
        with shared.told(f"s3://{upload.bucket}/{key}"):
            known = shared.client("s3").head_object(Bucket=upload.bucket, Key=key)["Metadata"]
    except shared.Problem as problem:
        if problem.status == 404:
            return False
        raise
    if known.get("photo") != _digest(upload.key):
        return False
    return bool(known.get("etag") == upload.etag or known.get("order", "") > upload.order)


def _digest(key: str) -> str:
    # Metadata holds ASCII alone, and little of it.
    return hashlib.sha256(key.encode()).hexdigest()


def as_jpeg(found: bytes, content_type: str) -> bytes:
    """Return the endpoint's JPEG, or one of the nested list that the original answers.

    Raises:
        Problem: it is neither.
    """
    if content_type.startswith(JPEG):
        return found
    try:
        picture = Image.fromarray(np.asarray(json.loads(found), np.uint8))
    except (ValueError, TypeError, OverflowError) as error:
        raise shared.Problem(
            502, f"the endpoint's answer ({content_type[:60]}) is no picture: {error}"
        ) from error
    out = io.BytesIO()
    picture.save(out, "JPEG")
    return out.getvalue()


def keep(upload: shared.Upload, target: str, painting: bytes) -> None:
    """Store the painting with the mark of its photo, and take back an earlier error."""
    known = {"photo": _digest(upload.key), "etag": upload.etag, "order": upload.order}
    with shared.told(f"s3://{upload.bucket}/{target}.jpeg"):
        s3, bucket = shared.client("s3"), upload.bucket
        s3.put_object(
            Bucket=bucket,
            Key=f"{target}.jpeg",
            Body=painting,
            ContentType=JPEG,
            Metadata=known,
        )
        s3.delete_object(Bucket=bucket, Key=f"{target}.error.json")


def tell(upload: shared.Upload, key: str, problem: shared.Problem) -> None:
    """Store the reason as JSON in the shape of all errors."""
    shared.logger.warning("%s: %s", upload.key, problem.message)
    reason = {"key": upload.key, "code": problem.status, "message": problem.message}
    with shared.told(f"s3://{upload.bucket}/{key}"):
        shared.client("s3").put_object(
            Bucket=upload.bucket, Key=key, Body=json.dumps(reason), ContentType=shared.JSON
        )

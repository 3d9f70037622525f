"""cifar: ``POST /classify``, a picture or 3072 raw bytes in, label and probabilities out.

Two shapes of events are answered: that of the gateway, and the bare ``{"data": ...}`` of the
original, whose gateway handed the body on as the event and the answer back as it was.
"""

from __future__ import annotations

import json
from typing import Any

import shared

# Three planes (red, green, blue) of 32 x 32 bytes.
RAW_BYTES = 3 * 32 * 32
# No plane of a photograph begins so; a file may have 3072 bytes as well.
FILE_STARTS = (b"\x89PNG\r\n", b"\xff\xd8\xff")


def handler(event: shared.Event, context: Any) -> shared.Answer:
    """Answer the gateway's event, or the original's bare one."""
    if shared.is_bare(event):
        return {"statusCode": 200, "body": classify(dict(event))}
    return gateway(event, context)


@shared.api
def gateway(event: shared.Event) -> shared.Answer:
    """Answer with the endpoint's value; the original's app gets its own envelope beside it."""
    asked = shared.fields(event)
    value = classify(asked)
    if "data" in asked and isinstance(value, dict):
        return shared.answer(200, value | {"statusCode": 200, "body": value})
    return shared.answer(200, value)


def classify(asked: dict[str, Any]) -> Any:
    """Return the endpoint's answer to ``image`` or ``data``, base64 of a file or of raw bytes.

    Raises:
        Problem: neither is there, it is no base64, or the endpoint refused.
    """
    text = asked.get("image", asked.get("data"))
    if not isinstance(text, str) or not text:
        raise shared.Problem(
            400, 'no picture; send {"image": "<base64>"}, or 3072 raw bytes in {"data": "<base64>"}'
        )
    found, _ = shared.invoke(*body_for(shared.unbase64(text, "the picture")), shared.JSON)
    return json.loads(found)


def body_for(data: bytes) -> tuple[bytes, str]:
    """Return body and content type: raw bytes as the nested list that the original sends."""
    if len(data) != RAW_BYTES or data.startswith(FILE_STARTS):
        return data, "image/*"
    rows = [list(data[start : start + 32]) for start in range(0, RAW_BYTES, 32)]
    planes = [rows[start : start + 32] for start in range(0, len(rows), 32)]
    return json.dumps([planes]).encode(), shared.JSON

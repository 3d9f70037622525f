"""rotifer: ``POST /detect``, a picture as JSON or multipart in, boxes and counts out."""

from __future__ import annotations

import json

import shared


@shared.api
def handler(event: shared.Event) -> shared.Answer:
    """Hand the request on as it came, and its answer, or a link to it, back."""
    content_type = shared.header(event, "content-type") or shared.JSON
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in (shared.JSON, "multipart/form-data"):
        raise shared.Problem(
            415, f"'{kind[:60]}' is not read here; send application/json or multipart/form-data"
        )
    body = shared.body(event)
    if not body:
        raise shared.Problem(400, 'no picture; send {"image": "<base64>"}, or a part named image')
    found, _ = shared.invoke(body, content_type, shared.JSON)
    given = shared.answer(200, json.loads(found))
    return given if shared.fits(given) else shared.linked(given)

"""smoke: ``POST /uploads`` for a place to put a scene, ``POST /infer`` for where there is smoke.

Both of the original's requests are answered: ``{"bucket", "file_name"}`` with the predictions,
``{"file_name"}`` with them and with the envelope that its newer client opens.
"""

from __future__ import annotations

import io
import json
import re
from typing import Any

import numpy as np

import shared

NPY = "application/x-npy"
OCTETS = "application/octet-stream"
# What a path made of a client's words may hold.
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@shared.api
def upload(event: shared.Event) -> shared.Answer:
    """Answer with a form for one ``.npy`` file, under the original's key."""
    asked = shared.fields(event)
    user = plain(asked.get("username", "anonymous"), "username")
    name = plain(asked.get("file_name"), "file_name")
    if not name.endswith(".npy"):
        raise shared.Problem(400, f"file_name is '{name}'; a NumPy file is expected, such as a.npy")
    bucket, key = shared.setting("BUCKET"), f"{user}/inference_images/{name}"
    form = shared.upload_form(bucket, key, OCTETS, int(shared.setting("PAYLOAD_BYTES")))
    known = {"bucket": bucket, "file_name": key, "expires_in": shared.LINK_SECONDS}
    return shared.answer(201, {"upload": form, **known})


def plain(value: Any, name: str) -> str:
    """Return a name that is fit for a key.

    Raises:
        Problem: it holds anything but letters, digits, dots, hyphens and underscores.
    """
    if not isinstance(value, str) or not PLAIN.fullmatch(value):
        raise shared.Problem(
            400,
            f"{name} is {str(value)[:60]!r}; up to 100 letters, digits, '.', '-', '_' are taken",
        )
    return value


@shared.api
def infer(event: shared.Event) -> shared.Answer:
    """Answer with ``{"predictions": ...}``, or a link to it where it is too large.

    The original's gateway handed bare events on, and its answers back with all their fields.
    """
    asked = shared.fields(event)
    plain_answer = shared.answer(200, {"predictions": predictions(scene(asked))})
    if shared.is_bare(event) or "bucket" in asked:
        return plain_answer if shared.fits(plain_answer) else shared.linked(plain_answer)
    # It holds the text twice.
    if 2 * len(plain_answer["body"]) < shared.ANSWER_BYTES:
        wrapped = enveloped(plain_answer)
        if shared.fits(wrapped):
            return wrapped
    return enveloped(shared.linked(plain_answer))


def enveloped(given: shared.Answer) -> shared.Answer:
    """Put the whole answer into the body, where the newer client opens it, beside its fields."""
    return shared.answer(200, json.loads(given["body"]) | given)


def scene(asked: dict[str, Any]) -> bytes:
    """Return the named ``.npy`` file.

    Raises:
        Problem: no name, another's bucket, no such file, too large, or not an array.
    """
    key, own = asked.get("file_name"), shared.setting("BUCKET")
    if not isinstance(key, str) or not key:
        raise shared.Problem(400, 'no file; send {"file_name": "<key in the bucket>"}')
    if asked.get("bucket", own) != own:
        raise shared.Problem(403, f"bucket '{asked['bucket']}' is not served; upload to '{own}'")
    data = shared.fetch(own, key, int(shared.setting("PAYLOAD_BYTES")))
    if not data.startswith(b"\x93NUMPY"):
        raise shared.Problem(422, f"'{key}' is not a NumPy file; upload what numpy.save writes")
    return data


def predictions(data: bytes) -> list[Any]:
    """Return the endpoint's (N, H, W, 1) probabilities as nested lists.

    Asked for as an array: as JSON text the endpoint's own limit would hold a quarter of it.
    """
    found, content_type = shared.invoke(data, NPY, NPY)
    try:
        array = np.load(io.BytesIO(found), allow_pickle=False)
    except ValueError as error:
        raise shared.Problem(
            502, f"the endpoint answered {content_type[:60]}, not an array"
        ) from error
    # Nine decimals, as the original's endpoint printed them.
    nested: list[Any] = np.round(array.astype(np.float64), 9).tolist()
    return nested

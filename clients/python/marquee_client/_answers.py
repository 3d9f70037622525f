"""What comes back: the value, of the kind that its type says, and who gave it."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import httpx

from marquee_client._errors import Refused

try:
    import numpy
except ImportError:
    numpy = None  # type: ignore[assignment]
try:
    from PIL import Image
except ImportError:
    Image = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Answer:
    """An answer.

    Attributes:
        value: of JSON its value, of a picture a pillow image, of ``.npy`` a numpy array, of text
            a str, and bytes of all else; pictures and arrays are bytes too where pillow or numpy
            is not installed.
        content_type: its media type.
        version: who answered, such as ``cifar/2.0``; empty where the server does not say.
        request_id: of this request in the server's logs.
        milliseconds: that each stage took, by its name.
    """

    value: Any
    content_type: str
    version: str
    request_id: str
    milliseconds: dict[str, float]


@dataclass(frozen=True)
class ModelStatus:
    """What a front door knows of a model.

    Attributes:
        version: that answers when none is named.
        ready: whether it does.
        why: it does not; empty if it does.
    """

    version: str
    ready: bool
    why: str


def read(answer: httpx.Response) -> Answer:
    """Return a response as an answer.

    Raises:
        Refused: it is an error.
    """
    if answer.status_code != 200:
        raise refusal(answer)
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    return Answer(
        _value(answer, kind),
        kind,
        answer.headers.get("x-marquee-version", ""),
        answer.headers.get("x-request-id", ""),
        _stages(answer.headers.get("server-timing", "")),
    )


def _value(answer: httpx.Response, kind: str) -> Any:
    body = answer.content
    if kind == "application/json":
        return json.loads(body)
    if kind.startswith("image/") and Image is not None:
        picture = Image.open(io.BytesIO(body))
        picture.load()
        return picture
    if kind == "application/x-npy" and numpy is not None:
        return numpy.load(io.BytesIO(body), allow_pickle=False)
    return answer.text if kind.startswith("text/") else body


def _stages(header: str) -> dict[str, float]:
    found = {}
    for entry in header.split(","):
        name, _, duration = entry.strip().partition(";dur=")
        try:
            found[name] = float(duration)
        except ValueError:  # another server's form of it
            continue
    return found


def refusal(answer: httpx.Response) -> Refused:
    """Return the error that a response is."""
    kind, message = "", answer.text.strip()[:500] or "the server says no more"
    try:
        said = answer.json()
        kind, message = str(said["type"]), str(said["message"])
    except (ValueError, KeyError, TypeError):
        pass
    request_id = answer.headers.get("x-request-id", "")
    return Refused(answer.status_code, kind, message, request_id)


def models(answer: httpx.Response) -> dict[str, ModelStatus]:
    """Read a front door's ``/ping``, whether it is well or not.

    Raises:
        Refused: it says nothing of models.
    """
    try:
        known = answer.json()["models"]
        return {
            name: ModelStatus(str(one["version"]), bool(one["ready"]), str(one.get("why", "")))
            for name, one in known.items()
        }
    except (ValueError, LookupError, TypeError, AttributeError):
        raise refusal(answer) from None


def versions(answer: httpx.Response, model: str) -> list[str]:
    """Read the versions of a model from a server's OpenAPI document.

    Raises:
        Refused: it is no such document, or has no such model.
    """
    if answer.status_code != 200:
        raise refusal(answer)
    paths, start = answer.json().get("paths", {}), f"/predictions/{model}/"
    named = [path.removeprefix(start) for path in paths if path.startswith(start)]
    listed = paths.get(f"{start}{{version}}", {}).get("post", {}).get("parameters", ())
    enum = [one["schema"].get("enum", []) for one in listed if one["name"] == "version"]
    found = sorted({one for one in named if one != "{version}"}.union(*enum))
    if not found:
        raise Refused(404, "ModelNotFoundException", f"the server has no model {model!r}", "")
    return found

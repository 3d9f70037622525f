"""One call of the script: what it is given of a request, and what it says back."""

from __future__ import annotations

import io
import json
import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handlers.runtime.errors import BadRequest, UnsupportedMediaType
from handlers.runtime.exchange import Answer, Exchange, header_text
from handlers.runtime.media import FORM, JSON, MULTIPART, OCTETS, media_type
from handlers.runtime.outcome import Outcome
from handlers.script.codec import CSV, NPZ, TEXT_TYPES, Body

# What the toolkit takes for the header's name.
CONTENT_TYPE = re.compile(r"content-?type", re.IGNORECASE)
ANY = "*/*"
SUFFIX_TYPES = {".csv": CSV, ".json": JSON, ".npy": "application/x-npy", ".npz": NPZ}


@dataclass
class Invocation:
    """A request on its way to the script and back.

    Attributes:
        exchange: the request and its answer, as the runtime has them.
        status, phrase: what the script set on its context.
        answering: the answer is being written, rather than the request read.
        data, outcome: the input and the output of ``predict_fn``, where they are kept.
    """

    exchange: Exchange
    status: int = 200
    phrase: str = "OK"
    answering: bool = False
    data: Any = None
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def content_type(self) -> str | None:
        """The Content-Type header, word for word."""
        return _header(self.exchange.headers, CONTENT_TYPE)

    def accept(self, default: str) -> str:
        """Return the Accept header, word for word, or ``default`` where anything will do."""
        sent = _header(self.exchange.headers, re.compile("accept", re.IGNORECASE))
        return default if not sent or sent == ANY else sent

    def body(self) -> Body:
        """Return the body: text for JSON and CSV, otherwise bytes, however TorchServe has it.

        Raises:
            UnsupportedMediaType: a form, of which TorchServe has kept no body.
        """
        row, kind = self.exchange.row, self.content_type
        if "body" not in row:
            form = media_type(kind) if media_type(kind) in (FORM, MULTIPART) else "a form"
            raise UnsupportedMediaType(
                f"the body was sent as {form}; this model's script reads the body as it is: with "
                "curl use -T FILE, or --data-binary @FILE with -H 'Content-Type: ...'"
            )
        sent = row["body"]
        # A server without decode_input_request=false has parsed JSON already.
        parsed = not isinstance(sent, (str, bytes, bytearray))
        body = json.dumps(sent) if parsed else sent
        if kind in TEXT_TYPES:
            return body if isinstance(body, str) else _text(bytes(body))
        return bytearray(body.encode()) if isinstance(body, str) else body


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(
            f"the body is not UTF-8 text (byte {error.start}); send text, or say what it is in "
            "the Content-Type header"
        ) from error


def _header(headers: Mapping[str, Any], name: re.Pattern[str]) -> str | None:
    for key, value in headers.items():
        if name.fullmatch(key) and isinstance(value, str):
            return value
    return None


def response(result: Any, invocation: Invocation, accept: str, default: str) -> Answer:
    """Turn what ``output_fn`` or ``transform_fn`` returned into an answer.

    A tuple is (body, content type); else the type is the one asked for. Bytes and text are
    sent as they are, anything else as JSON, as TorchServe does it.

    Raises:
        ValueError, TypeError: it has no JSON form, or the tuple or the status no meaning.
    """
    body, label = result, None
    if isinstance(result, tuple):
        body, label, *_ = result
    status, phrase = invocation.status, header_text(invocation.phrase)
    if not 200 <= status <= 599:
        raise ValueError(f"the script set status {status}, expected 200 to 599")
    content_type = label or (accepted_type(accept) or default)
    return Answer(_bytes(body), header_text(content_type), status, phrase)


def accepted_type(accept: str) -> str | None:
    """Return the first type of an Accept header that is no pattern, without its weight."""
    for part in accept.split(","):
        if part.strip() and "*" not in part:
            return re.sub(r"\s*;\s*q=[^;]*", "", part).strip()
    return None


def _bytes(body: Any) -> bytes:
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)
    if isinstance(body, io.BytesIO):
        return body.getvalue()
    return json.dumps(body, default=_as_list, allow_nan=False).encode()


def _as_list(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"the script's answer, a {type(value).__name__}, has no JSON form")


def example_exchange(path: Path, stated: Mapping[str, str]) -> Exchange:
    """Return a request with the file as its body, typed as ``stated`` or by its suffix."""
    # Python's own table: the system's differs from machine to machine.
    guessed = mimetypes.MimeTypes().guess_type(path.name, strict=False)[0]
    kind = SUFFIX_TYPES.get(path.suffix.lower()) or guessed or OCTETS
    return Exchange(
        {"body": bytearray(path.read_bytes())},
        {"content-type": stated.get("Content-Type", kind)},
        request_id=f"warm-up {path.name}",
    )

"""What TorchServe's frontend and a worker send each other.

TorchServe's own function writes the answers to a batch into one message, and a handler's pieces
of answers, by ``send_intermediate_predict_response``, into further ones before it.
"""

from __future__ import annotations

import io
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Part = tuple[str, str, bytes]
DECODE = "TS_DECODE_INPUT_REQUEST"
_INT = struct.Struct("!i")
END = -1


@dataclass(frozen=True)
class WorkerRequest:
    """A request to a model.

    Attributes:
        headers: as a client sends them.
        body: of a request that is not multipart; a JSON value where a server has parsed it.
        parts: name, content type and contents of each part of a multipart request.
    """

    headers: Mapping[str, str]
    body: Any = b""
    parts: tuple[Part, ...] = ()

    def row(self, request_id: str) -> dict[str, Any]:
        """Return the request as TorchServe's frontend hands it to a worker."""
        parts = self.parts or (() if self.body is None else (("body", "", self.body),))
        whole = {key.lower(): value for key, value in self.headers.items()}.get("content-type", "")
        return {
            "requestId": request_id.encode(),
            "parameters": [
                {
                    "name": name,
                    "contentType": kind.encode() or None,
                    "value": _decoded(kind or whole, value),
                }
                for name, kind, value in parts
            ],
            "headers": [
                {"name": name.encode(), "value": value.encode()}
                for name, value in self.headers.items()
            ],
        }


def _decoded(content_type: str, value: Any) -> Any:
    """Return a body as TorchServe hands it on: decoded, where the handler did not refuse that."""
    if os.environ.get(DECODE, "true") != "true" or not isinstance(value, bytes):
        return value
    try:
        if content_type == "application/json":
            return json.loads(value)
        return value.decode() if content_type.startswith("text") else value
    except (ValueError, RecursionError):
        return value


@dataclass(frozen=True)
class WorkerReply:
    """A model's answer.

    Attributes:
        pieces: of the body, where the handler sent some before the rest.
        raised: what the handler did, if it is why TorchServe fails the whole batch.
    """

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: tuple[bytes, ...] = ()
    raised: str | None = None


def reply_of(pieces: list[Sent], last: Sent) -> WorkerReply:
    """Return the answer that a handler sent in pieces, or at once."""
    first, *_ = (*pieces, last)  # its status and headers have gone out when the rest comes
    parts = tuple(one.body for one in (*pieces, last)) if pieces else ()
    body = b"".join(parts) if pieces else last.body
    kind = first.headers.get("content-type", "")
    # Those who set no status answer with 200.
    return WorkerReply(first.status or 200, kind, body, first.headers, parts)


def failure(raised: str) -> WorkerReply:
    """Return what each request of a batch gets that TorchServe fails."""
    return replace(error_reply(503, "Prediction failed"), raised=raised)


def error_reply(status: int, message: str) -> WorkerReply:
    """Return an error of TorchServe's own."""
    body = {"code": status, "type": "InternalServerException", "message": message}
    return WorkerReply(status, "application/json", json.dumps(body).encode())


@dataclass(frozen=True)
class Sent:
    """The answer to one request, or a piece of it."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class WorkerMessage:
    """A worker's message.

    Attributes:
        code: 200, or that of an error which all requests of the batch get.
        words: that error's message.
        sent: answers by the ids of their requests.
    """

    code: int
    words: str
    sent: Mapping[str, Sent]


@dataclass
class Socket:
    """Stands where a handler's context has the connection to the frontend.

    Attributes:
        pieces: of the answers to the batch, by the ids of their requests.
    """

    pieces: dict[str, list[Sent]] = field(default_factory=dict)

    def sendall(self, message: bytes) -> None:
        """Keep a message of pieces."""
        for request, piece in read(message).sent.items():
            self.pieces.setdefault(request, []).append(piece)

    def send(self, message: bytes) -> int:
        """Keep a message of pieces, whole."""
        self.sendall(message)
        return len(message)


def read(message: bytes) -> WorkerMessage:
    """Read a message."""
    stream = _MessageReader(message)
    code, words, sent = stream.number(), stream.text(), {}
    while (length := stream.number()) != END:
        request = stream.read(length).decode()
        sent[request] = stream.sent()
    return WorkerMessage(code, words, sent)


class _MessageReader(io.BytesIO):
    def sent(self) -> Sent:
        content_type, status, _phrase = self.text(), self.number(), self.text()
        headers = {self.text().lower(): self.text() for _ in range(self.number())}
        if content_type:
            headers["content-type"] = content_type
        return Sent(status, headers, self.read(self.number()))

    def number(self) -> int:
        (number,) = _INT.unpack(self.read(_INT.size))
        return int(number)

    def text(self) -> str:
        return self.read(self.number()).decode()

"""What a worker sends to TorchServe's frontend, read back.

TorchServe's own function writes the answers to a batch into one message, and a handler's pieces
of answers, by ``send_intermediate_predict_response``, into further ones before it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

_INT = struct.Struct("!i")
END = -1


@dataclass(frozen=True)
class Sent:
    """The answer to one request, or a piece of it."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Message:
    """A message.

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


def read(message: bytes) -> Message:
    """Read a message."""
    return _Reader(message).message()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = bytes(data), 0

    def message(self) -> Message:
        code, words, sent = self._int(), self._text(), {}
        while (length := self._int()) != END:
            request = self._bytes(length).decode()
            sent[request] = self._sent()
        return Message(code, words, sent)

    def _sent(self) -> Sent:
        content_type, status, _phrase = self._text(), self._int(), self._text()
        headers = {self._text().lower(): self._text() for _ in range(self._int())}
        if content_type:
            headers["content-type"] = content_type
        return Sent(status, headers, self._bytes(self._int()))

    def _int(self) -> int:
        (number,) = _INT.unpack(self._bytes(_INT.size))
        return int(number)

    def _text(self) -> str:
        return self._bytes(self._int()).decode()

    def _bytes(self, length: int) -> bytes:
        self._at += length
        return self._data[self._at - length : self._at]

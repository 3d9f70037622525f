"""A client that costs little: raw HTTP/1.1 over asyncio.

It shares the machine with the server under test, so it does the least that can be done: no HTTP
library, and requests that are prepared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

HANGS_SECONDS = 60.0
HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True)
class WireAnswer:
    """An answer; ``headers`` by their names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class LoadConnection(asyncio.Protocol):
    """A keep-alive connection with one request at a time, to a server that states the length.

    Args:
        hangs: seconds after which an answer is waited for no longer.
    """

    def __init__(self, hangs: float = HANGS_SECONDS) -> None:
        self._hangs = hangs
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[WireAnswer] | None = None
        self._received = bytearray()
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the request that waits for an answer."""
        self.closed = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("closed without an answer"))

    def data_received(self, data: bytes) -> None:
        """Hand over the answer when it is whole."""
        self._received += data
        head_end = self._received.find(HEAD_END)
        if head_end < 0 or self._answer is None or self._answer.done():
            return
        lines = self._received[:head_end].decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:])
        }
        start = head_end + len(HEAD_END)
        end = start + int(headers.get("content-length", 0))
        if len(self._received) >= end:
            body = bytes(self._received[start:end])
            del self._received[:end]
            self.closed |= headers.get("connection", "").lower() == "close"
            self._answer.set_result(WireAnswer(int(lines[0].split()[1]), headers, body))

    async def ask(self, request: bytes) -> WireAnswer:
        """Send a whole request and return its answer.

        Raises:
            OSError: the connection is broken.
            TimeoutError: there was no answer (asyncio's own, on Python 3.10).
        """
        if self._transport is None:
            raise ConnectionError("not connected")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await asyncio.wait_for(self._answer, self._hangs)

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()


def prepared(
    path: str, body: bytes, token: str | None, host: str, more: Mapping[str, str] | None = None
) -> bytes:
    """Return the bytes of a whole POST request.

    Args:
        token: None where the server wants none.
        more: headers beside Host, Authorization and Content-Length.
    """
    headers = {"Host": host, "Content-Length": str(len(body))}
    headers |= {} if token is None else {"Authorization": f"Bearer {token}"}
    lines = [f"{name}: {value}\r\n" for name, value in {**headers, **(more or {})}.items()]
    return f"POST {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode("latin-1") + body

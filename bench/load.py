"""Clients that cost little: raw HTTP/1.1 over asyncio, every answer checked.

They share the machine with the server under test, so they do the least that can be done: no
HTTP library, prepared requests, and an answer seen before is compared by its bytes.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import httpx

HANGS_SECONDS = 60.0
# Float32 sums in another order: a picture alone and in a batch.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Sample:
    """A request and what became of it.

    Attributes:
        sent: Unix time; for the open loop the moment when it was due.
        seconds: until the whole answer was there.
        status: 0 if the connection broke or no answer came.
        version: of the model that answered.
        wrong: what was wrong with an answer of status 200, or "".
        steady_rate: whether it is of the open loop.
    """

    sent: float
    seconds: float
    status: int
    version: str
    wrong: str
    steady_rate: bool


class Connection(asyncio.Protocol):
    """A keep-alive connection with one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, str, bytes]] | None = None
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
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0 or self._answer is None or self._answer.done():
            return
        lines = self._received[:head_end].decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:])
        }
        end = head_end + 4 + int(headers.get("content-length", 0))
        if len(self._received) >= end:
            body = bytes(self._received[head_end + 4 : end])
            del self._received[:end]
            self.closed |= headers.get("connection", "").lower() == "close"
            version = headers.get("x-marquee-version", "")
            self._answer.set_result((int(lines[0].split()[1]), version, body))

    async def ask(self, request: bytes) -> tuple[int, str, bytes]:
        """Send a request; return status, version and body of the answer."""
        if self._transport is None:
            raise ConnectionError("not connected")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await asyncio.wait_for(self._answer, HANGS_SECONDS)

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()


@dataclass
class Load:
    """Clients of one model.

    Attributes:
        host, port: of the inference address.
        requests: whole HTTP requests; each client sends them in turns.
        expected: version -> the right answer to each of the requests.
        samples: what came of all of them.
    """

    host: str
    port: int
    requests: Sequence[bytes]
    expected: Mapping[str, Sequence[Mapping[str, float]]]
    samples: list[Sample] = field(default_factory=list)
    _known: set[tuple[str, int, bytes]] = field(default_factory=set)
    _stopping: bool = False

    def fresh(self, **also: Sequence[Mapping[str, float]]) -> Load:
        """Return the same clients with nothing sent yet, and with further versions expected."""
        return Load(self.host, self.port, self.requests, {**self.expected, **also})

    async def closed_loop(self, turn: int) -> None:
        """Ask again as soon as the answer is there, until told to stop."""
        connection = None
        while not self._stopping:
            connection = await self._one(connection, turn, time.time())
            turn += 1

    async def open_loop(self, rate: float) -> None:
        """Ask ``rate`` times a second, whether or not the answers come."""
        start, asked = time.time(), 0
        waiting: set[asyncio.Task[None]] = set()
        idle: list[Connection] = []
        while not self._stopping:
            due = start + asked / rate
            await asyncio.sleep(max(0.0, due - time.time()))
            task = asyncio.create_task(self._due(idle, asked, due))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
            asked += 1
        await asyncio.gather(*waiting)

    async def _due(self, idle: list[Connection], turn: int, due: float) -> None:
        used = await self._one(idle.pop() if idle else None, turn, due, steady_rate=True)
        if used is not None:
            idle.append(used)

    async def _one(
        self, connection: Connection | None, turn: int, sent: float, *, steady_rate: bool = False
    ) -> Connection | None:
        """Ask once; return the connection if it may be used again."""
        index = turn % len(self.requests)
        status, version, wrong = 0, "", ""
        try:
            if connection is None or connection.closed:
                loop = asyncio.get_running_loop()
                _, connection = await loop.create_connection(Connection, self.host, self.port)
            status, version, body = await connection.ask(self.requests[index])
            wrong = self._wrong(version, index, body) if status == 200 else ""
        except (OSError, TimeoutError, asyncio.TimeoutError):
            if connection is not None:
                connection.close()
            connection = None
        self.samples.append(Sample(sent, time.time() - sent, status, version, wrong, steady_rate))
        return connection

    def _wrong(self, version: str, index: int, body: bytes) -> str:
        if (version, index, body) in self._known:
            return ""
        right = self.expected.get(version)
        if right is None:
            return f"answered by '{version}'"
        found = json.loads(body)["probabilities"]
        if any(abs(found[name] - value) > TOLERANCE for name, value in right[index].items()):
            return f"'{version}' answered {found}, expected {right[index]}"
        self._known.add((version, index, body))
        return ""

    def stop(self) -> None:
        """Let every client finish its request and end."""
        self._stopping = True


def prepared(path: str, body: bytes, token: str, host: str) -> bytes:
    """Return the bytes of a whole POST request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def right_answers(
    client: httpx.Client, model: str, version: str, bodies: Sequence[bytes]
) -> list[Mapping[str, float]]:
    """Ask a version for the probabilities of each body, one at a time."""
    answers = (client.post(f"/predictions/{model}/{version}", content=body) for body in bodies)
    return [answer.raise_for_status().json()["probabilities"] for answer in answers]

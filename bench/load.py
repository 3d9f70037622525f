"""Clients that cost little, every answer checked; one seen before is compared by its bytes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import httpx

from marquee.tuning.connection import LoadConnection

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
        refusal: how an answer of another status began.
    """

    sent: float
    seconds: float
    status: int
    version: str
    wrong: str
    steady_rate: bool
    refusal: str = ""


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
        if connection is not None:
            connection.close()

    async def open_loop(self, rate: float) -> None:
        """Ask ``rate`` times a second, whether or not the answers come."""
        start, asked = time.time(), 0
        waiting: set[asyncio.Task[None]] = set()
        idle: list[LoadConnection] = []
        while not self._stopping:
            due = start + asked / rate
            await asyncio.sleep(max(0.0, due - time.time()))
            task = asyncio.create_task(self._due(idle, asked, due))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
            asked += 1
        await asyncio.gather(*waiting)
        for connection in idle:
            connection.close()

    async def _due(self, idle: list[LoadConnection], turn: int, due: float) -> None:
        used = await self._one(idle.pop() if idle else None, turn, due, steady_rate=True)
        if used is not None and not used.closed:
            idle.append(used)

    async def _one(
        self,
        connection: LoadConnection | None,
        turn: int,
        sent: float,
        *,
        steady_rate: bool = False,
    ) -> LoadConnection | None:
        """Ask once; return the connection if it may be used again."""
        index = turn % len(self.requests)
        status, version, wrong, refusal = 0, "", "", ""
        try:
            if connection is not None and connection.closed:
                connection.close()
                connection = None
            if connection is None:
                loop = asyncio.get_running_loop()
                _, connection = await loop.create_connection(LoadConnection, self.host, self.port)
            answer = await connection.ask(self.requests[index])
            status, version = answer.status, answer.headers.get("x-marquee-version", "")
            if status == 200:
                wrong = self._wrong(version, index, answer.body)
            else:
                refusal = answer.body[:200].decode(errors="replace")
        except (OSError, TimeoutError, asyncio.TimeoutError):
            if connection is not None:
                connection.close()
            connection = None
        took = time.time() - sent
        self.samples.append(Sample(sent, took, status, version, wrong, steady_rate, refusal))
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


def right_answers(
    client: httpx.Client, model: str, version: str, bodies: Sequence[bytes]
) -> list[Mapping[str, float]]:
    """Ask a version for the probabilities of each body, one at a time."""
    answers = (client.post(f"/predictions/{model}/{version}", content=body) for body in bodies)
    return [answer.raise_for_status().json()["probabilities"] for answer in answers]

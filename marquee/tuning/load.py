"""Clients of one model: each asks again as soon as it has its answer."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from marquee.tuning.connection import LoadConnection, WireAnswer
from marquee.tuning.figures import Round

# Different answers of one go that are kept, to be compared when nobody waits any more.
KEPT = 64


@dataclass
class Load:
    """A number of clients in closed loops.

    Attributes:
        host, port: of the server.
        requests: whole HTTP requests; the clients send them in turns.
        hangs: seconds that an answer may take.
        answers: the different successes, with the index of their request.
        problem: the first thing that was no success, or None.
    """

    host: str
    port: int
    requests: Sequence[bytes]
    hangs: float
    answers: list[tuple[int, WireAnswer]] = field(default_factory=list)
    problem: str | None = None
    _seen: set[tuple[int, int]] = field(default_factory=set)
    _latencies: list[float] = field(default_factory=list)

    def run(self, clients: int, seconds: float) -> Round:
        """Let clients ask for so many seconds; each has one request answered at the least."""
        return asyncio.run(self._run(clients, seconds))

    async def _run(self, clients: int, seconds: float) -> Round:
        self._latencies = []
        start = time.perf_counter()
        turns = itertools.count()
        await asyncio.gather(*(self._client(turns, start + seconds) for _ in range(clients)))
        return Round(clients, time.perf_counter() - start, tuple(self._latencies))

    async def _client(self, turns: itertools.count[int], end: float) -> None:
        loop = asyncio.get_running_loop()
        connection: LoadConnection | None = None
        try:
            while self.problem is None:
                if connection is not None and connection.closed:
                    connection.close()
                    connection = None
                if connection is None:
                    _, connection = await loop.create_connection(
                        lambda: LoadConnection(self.hangs), self.host, self.port
                    )
                await self._ask(connection, next(turns) % len(self.requests))
                if time.perf_counter() >= end:
                    return
        except (TimeoutError, asyncio.TimeoutError):
            self.problem = f"no answer within {self.hangs:.0f} s"
        except OSError as error:
            self.problem = f"the connection broke ({error})"
        finally:
            if connection is not None:
                connection.close()

    async def _ask(self, connection: LoadConnection, index: int) -> None:
        start = time.perf_counter()
        answer = await connection.ask(self.requests[index])
        self._latencies.append(time.perf_counter() - start)
        if answer.status != 200:
            said = " ".join(answer.body[:200].decode(errors="replace").split())
            self.problem = f"answered with {answer.status}: {said}"
        known = (index, hash(answer.body))
        if known not in self._seen and len(self._seen) < KEPT:
            self._seen.add(known)
            self.answers.append((index, answer))

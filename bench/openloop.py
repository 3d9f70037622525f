"""Clients that ask at a rate, whether or not answers come: what a user meets, waiting included.

wrk has closed loops only. These are the raw connections of bench.load, on the cores of the server:
about a tenth of a core at 1000 requests a second.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench.contenders.start import Asked
from bench.outcome import Outcome, of_seconds
from marquee.tuning.connection import LoadConnection

LISTED = re.compile(rb'"data"\s*:\s*(\[[^\]]*\])')


def is_right(body: bytes, expected: Mapping[str, float], tolerance: float) -> bool:
    """Tell whether an answer has the expected probabilities, by name or as a list."""
    try:
        found = probabilities(body, list(expected))
    except (ValueError, AttributeError):
        return False
    return all(abs(found.get(name, 2.0) - value) <= tolerance for name, value in expected.items())


def probabilities(body: bytes, names: list[str]) -> dict[str, float]:
    """Return class -> probability of any contender's answer."""
    listed = LISTED.search(body)
    if listed:
        return dict(zip(names, json.loads(listed[1]), strict=False))
    found = json.loads(body)
    named: dict[str, float] = found.get("probabilities", found)
    return named


@dataclass
class Clients:
    """Connections of one server, as many as are needed at a time.

    Attributes:
        took: seconds of every request, from the moment when it was due.
        answered: seconds of those that were answered with 200.
    """

    url: str
    asked: Asked
    expected: Mapping[str, float]
    tolerance: float
    took: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    wrong: int = 0
    failed: int = 0
    _idle: list[LoadConnection] = field(default_factory=list)
    _known: dict[bytes, bool] = field(default_factory=dict)

    @property
    def _request(self) -> bytes:
        address = urlsplit(self.url)
        lines = [f"POST {address.path} HTTP/1.1", f"Host: {address.netloc}"]
        lines += [f"{name}: {value}" for name, value in self.asked.headers.items()]
        lines += [f"Content-Length: {len(self.asked.body)}", "", ""]
        return "\r\n".join(lines).encode() + self.asked.body

    async def run(self, moments: Iterable[float]) -> float:
        """Ask at these seconds from now, wait for the answers; return how long it all took."""
        request, start = self._request, time.perf_counter()
        waiting = []
        for moment in moments:
            due = start + moment
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            waiting.append(asyncio.create_task(self._ask(request, due)))
        await asyncio.gather(*waiting)
        total = time.perf_counter() - start
        await self._close()
        return total

    async def keep_asking(self, clients: int, seconds: float) -> None:
        """Have so many ask anew as soon as they are answered."""
        request, end = self._request, time.perf_counter() + seconds

        async def one() -> None:
            while (now := time.perf_counter()) < end:
                await self._ask(request, now)

        await asyncio.gather(*(one() for _ in range(clients)))
        await self._close()

    async def _close(self) -> None:
        for connection in self._idle:
            connection.close()
        await asyncio.sleep(0)

    async def _ask(self, request: bytes, due: float) -> None:
        """Ask once; the time counts from the moment when it was due."""
        try:
            connection = self._idle.pop() if self._idle else await self._connected()
            answer = await connection.ask(request)
            self._judge(answer.status, answer.body)
            if answer.status == 200:
                self.answered.append(time.perf_counter() - due)
            if not connection.closed:
                self._idle.append(connection)
        except (OSError, TimeoutError, asyncio.TimeoutError):
            self.failed += 1
        self.took.append(time.perf_counter() - due)

    async def _connected(self) -> LoadConnection:
        address, loop = urlsplit(self.url), asyncio.get_running_loop()
        host, port = str(address.hostname), int(address.port or 80)
        _, connection = await loop.create_connection(LoadConnection, host, port)
        return connection

    def _judge(self, status: int, body: bytes) -> None:
        if status != 200:
            self.failed += 1
            return
        if body not in self._known:
            self._known[body] = is_right(body, self.expected, self.tolerance)
        self.wrong += not self._known[body]


def open_loop(
    url: str,
    asked: Asked,
    expected: Mapping[str, float],
    *,
    rate: float,
    seconds: float,
    tolerance: float,
) -> Outcome:
    """Ask ``rate`` times a second for ``seconds``; times include waiting for one's turn."""
    clients = Clients(url, asked, expected, tolerance)
    moments = (turn / rate for turn in range(max(1, int(rate * seconds))))
    total = asyncio.run(clients.run(moments))
    return of_seconds(clients.took, total, clients.wrong, clients.failed)

"""Pictures for the faulty model, and clients that ask one request after the other."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
from PIL import Image

from marquee.interrupts import until
from tests.support import Running

SECONDS = 30
# Of a client between two requests: it needs a core itself, and so do the commands under test.
PAUSE = 0.02


def pixel(red: int) -> bytes:
    """Return a small PNG whose red value tells the faulty model what to do."""
    sink = io.BytesIO()
    Image.new("RGB", (4, 4), (red, 0, 0)).save(sink, "PNG")
    return sink.getvalue()


def wait_for(condition: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
    assert until(condition, seconds), f"{what} did not happen within {seconds} s"


@dataclass
class Load:
    """Clients that send one request after the other until told to stop.

    Attributes:
        statuses: of the answers.
        failures: what else happened.
    """

    path: str
    body: bytes
    statuses: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self, client: httpx.Client) -> None:
        while not self.ended.wait(PAUSE):
            try:
                self.statuses.append(client.post(self.path, content=self.body).status_code)
            except httpx.HTTPError as error:
                self.failures.append(repr(error))


@contextmanager
def load(running: Running, path: str, body: bytes, clients: int = 4) -> Iterator[Load]:
    """Have clients send requests while the block runs; all are answered when it is left."""
    made = Load(path, body)
    opened = [running.client() for _ in range(clients)]
    threads = [threading.Thread(target=made.run, args=(client,)) for client in opened]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        made.ended.set()
        for thread in threads:
            thread.join()
        for client in opened:
            client.close()

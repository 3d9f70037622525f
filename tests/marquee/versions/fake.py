"""A TorchServe of one version: a queue, and workers who take from it in turns, as its own do."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Job = queue.Queue[int]


@dataclass
class FakeServer:
    """What it does, and what came of it.

    Attributes:
        header: whether answers tell the worker's process id.
        answered: the workers of all answers, in their order.
        paths: what was asked.
        seconds: its responseTimeout.
        stuck: requests that wait and that no worker takes.
    """

    header: bool = True
    seconds: int = 60
    batch_size: int = 1
    stuck: int = 0
    answered: list[int] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    workers: dict[int, threading.Event] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._jobs: queue.Queue[Job] = queue.Queue()
        self._turn = threading.Lock()

    def start(self, pid: int, *, busy: bool = False) -> None:
        """Add a worker; a busy one takes nothing before it is let go."""
        self.workers[pid] = threading.Event()
        if not busy:
            self.workers[pid].set()
        threading.Thread(target=self._work, args=(pid, self.workers[pid]), daemon=True).start()

    def let_go(self, pid: int) -> None:
        """Have a busy worker answer what it holds."""
        self.workers[pid].set()

    def kill(self, pid: int) -> None:
        """End a worker, whatever it holds."""
        del self.workers[pid]

    def _work(self, pid: int, free: threading.Event) -> None:
        while free.wait():
            with self._turn:
                job = self._jobs.get()
            if pid not in self.workers:  # killed meanwhile
                self._jobs.put(job)
                return
            self.answered.append(pid)
            job.put(pid)
            time.sleep(0.01)  # the next one in turn gets it

    def ask(self) -> int:
        """Return the worker that answers."""
        job: Job = queue.Queue()
        self._jobs.put(job)
        return job.get()

    def describe(self) -> dict[str, Any]:
        waiting = self._jobs.qsize() + self.stuck
        return {
            "modelName": "m",
            "modelVersion": "1.0",
            "modelUrl": "m-1.0.mar",
            "minWorkers": 2,
            "maxWorkers": 2,
            "batchSize": self.batch_size,
            "maxBatchDelay": 1,
            "responseTimeout": self.seconds,
            "jobQueueStatus": {"pendingRequests": waiting, "remainingCapacity": 100},
            "workers": [{"id": str(pid), "pid": pid, "status": "READY"} for pid in self.workers],
        }


@contextmanager
def serving(fake: FakeServer) -> Iterator[str]:
    """Answer at an address while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(json.dumps([fake.describe()]).encode())

        def do_POST(self) -> None:
            fake.paths.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            pid = fake.ask()
            self._send(b"{}", **({"x-marquee-worker": str(pid)} if fake.header else {}))

        def _send(self, body: bytes, **headers: str) -> None:
            self.send_response(200)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()

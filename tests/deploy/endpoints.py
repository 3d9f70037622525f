"""Endpoints that speak SageMaker's HTTP: the SDK's errors and time-outs are the real ones."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Asked:
    """What a container is asked."""

    endpoint: str
    body: bytes
    content_type: str
    accept: str


@dataclass(frozen=True)
class Said:
    """What a container answers."""

    body: bytes
    content_type: str = "application/json"
    status: int = 200


Container = Callable[[Asked], Said]


@dataclass
class Endpoints:
    """Containers by the name of their endpoint, what they were asked, and what waits for them."""

    containers: dict[str, Container] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    queue: list[dict[str, str]] = field(default_factory=list)
    # The next calls are refused so: an error's code and its status.
    refusals: list[tuple[str, int]] = field(default_factory=list)

    def clear(self) -> None:
        """Forget everything, for the next test."""
        for known in (self.containers, self.asked, self.queue, self.refusals):
            known.clear()

    def ask(self, asked: Asked) -> Said:
        self.asked.append(asked)
        return self.containers[asked.endpoint](asked)


class Server(ThreadingHTTPServer):
    """An HTTP server that knows what its handlers answer from."""

    endpoints: Endpoints


class Handler(BaseHTTPRequestHandler):
    """Speaks SageMaker's runtime API."""

    server: Server

    def do_POST(self) -> None:
        _, _, name, verb = self.path.split("/")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.endpoints.refusals:
            code, status = self.server.endpoints.refusals.pop(0)
            self.reply(status, {"message": code}, {"x-amzn-ErrorType": code})
        elif name not in self.server.endpoints.containers:
            words = {"message": f"Endpoint {name} of account 123456789012 not found."}
            self.reply(400, words, {"x-amzn-ErrorType": "ValidationError"})
        elif verb == "invocations":
            self.invoke(name, body)
        else:
            self.enqueue(name)

    def invoke(self, name: str, body: bytes) -> None:
        kinds = self.headers["Content-Type"], self.headers["Accept"]
        said = self.server.endpoints.ask(Asked(name, body, *kinds))
        if said.status == 200:
            self.send(200, said.body, {"Content-Type": said.content_type})
            return
        words = {"OriginalStatusCode": said.status, "OriginalMessage": said.body.decode()}
        self.reply(424, words, {"x-amzn-ErrorType": "ModelError"})

    def enqueue(self, name: str) -> None:
        prefix = "x-amzn-sagemaker-"
        sent = {key.lower().removeprefix(prefix): value for key, value in self.headers.items()}
        ticket = uuid.uuid4().hex
        bucket = sent["inputlocation"].removeprefix("s3://").partition("/")[0]
        item = sent | {
            "endpoint": name,
            "output": f"s3://{bucket}/async/{ticket}.out",
            "failure": f"s3://{bucket}/failed/{ticket}-error.out",
        }
        self.server.endpoints.queue.append(item)
        places = {
            "X-Amzn-SageMaker-OutputLocation": item["output"],
            "X-Amzn-SageMaker-FailureLocation": item["failure"],
        }
        self.reply(202, {"InferenceId": sent["inference-id"]}, places)

    def reply(self, status: int, value: Any, headers: Mapping[str, str]) -> None:
        kind = {"Content-Type": "application/json"}
        self.send(status, json.dumps(value).encode(), kind | dict(headers))

    def send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: Any) -> None:
        """Tests that fail say enough."""


@contextmanager
def served(endpoints: Endpoints) -> Iterator[str]:
    """Serve the endpoints until the block ends; yields their address."""
    server = Server(("127.0.0.1", 0), Handler)
    server.endpoints = endpoints
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

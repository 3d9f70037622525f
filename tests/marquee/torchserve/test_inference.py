"""What counts as an answer to an example, and what is asked again."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from marquee.archives.golden import ExampleRequest
from marquee.errors import MarqueeError
from marquee.torchserve.inference import Inference
from marquee.torchserve.management import Version
from marquee.torchserve.tokens import Keys
from tests.marquee.versions.fake import FakeServer

VERSION = Version.of(FakeServer().describe())
HANG_UP = 0


class _Server(ThreadingHTTPServer):
    """Answers with one status after the other; hangs up without a word for ``HANG_UP``."""

    statuses: list[int]
    paths: list[str]
    tokens: list[str | None]


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.paths.append(self.path)
        self.server.tokens.append(self.headers["authorization"])
        status = self.server.statuses.pop(0)
        if status == HANG_UP:
            return
        self.send_response(status)
        self.send_header("content-length", "3")
        self.end_headers()
        self.wfile.write(b"why")

    def log_request(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture
def model() -> Iterator[_Server]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.statuses, server.paths, server.tokens = [], [], []
    threading.Thread(target=server.serve_forever, args=(0.01,)).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def inference(model: _Server) -> Iterator[Inference]:
    with Inference(f"http://127.0.0.1:{model.server_port}", None) as connected:
        yield connected


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (200, None),
        (422, None),  # it works, and says no to this very input
        (400, "answered its example with 400: why"),
        (500, "answered its example with 500: why"),
        (503, "answered its example with 503: why"),
    ],
)
def test_an_example_that_is_refused_is_answered_too(
    model: _Server, inference: Inference, status: int, problem: str | None
) -> None:
    model.statuses = [status]
    assert inference.problem(VERSION, ExampleRequest(b"", {})) == problem
    assert model.paths == ["/predictions/m/1.0?asked_by=marquee"]


def test_a_request_is_sent_once_more_where_the_server_hung_up(
    model: _Server, inference: Inference
) -> None:
    model.statuses = [HANG_UP, 200]
    assert inference.predict("m", None, b"x", {}, seconds=5).status_code == 200
    assert model.paths == ["/predictions/m"] * 2


def test_two_hang_ups_are_no_answer(model: _Server, inference: Inference) -> None:
    request = ExampleRequest(b"x", {})
    model.statuses = [HANG_UP] * 4
    assert inference.problem(VERSION, request) == (
        "did not answer its example (RemoteProtocolError)"
    )
    with pytest.raises(MarqueeError, match="^its example: no answer"):
        inference.answer("m", "1.0", request, 5)


def test_the_token_of_its_kind_goes_with_each_request_and_is_looked_up_again(
    model: _Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    looked_up = iter(range(9))
    monkeypatch.setattr(Keys, "get", lambda _, kind: f"{kind}-{next(looked_up)}")
    model.statuses = [HANG_UP, 200, 200]
    address, keys = f"http://127.0.0.1:{model.server_port}", Keys(tmp_path, "")
    with Inference(address, keys) as inference:
        inference.predict("m", None, b"x", {}, seconds=5)
        body = io.BytesIO(b"x")
        with inference.stream("/", body, {"content-length": "1"}, httpx.Timeout(5)) as answer:
            assert answer.read() == b"why"
    assert model.tokens == [f"Bearer inference-{number}" for number in range(3)]

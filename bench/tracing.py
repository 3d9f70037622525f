"""What traces cost a request in a worker: ``python -m bench.tracing``.

A model that does nothing answers a picture of 8 x 8, so that all of the time is the runtime's. In
turns, in one process: the worker as it comes, where nobody takes traces (off); the same without the
two lines that ask (without); with spans that a server on this machine takes (on); and with those of
one request in a hundred (rarely).
"""

from __future__ import annotations

import io
import os
import statistics
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.gpu_archive import Context
from handlers.runtime import Request, Result, VisionHandler
from handlers.runtime.exchange import Exchange
from handlers.runtime.worker import _reply

ROUNDS, REQUESTS = 31, 300
RARELY = ("parentbased_traceidratio", "0.01")
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


class Nothing(VisionHandler):
    """A model that does nothing."""

    def load(self) -> nn.Module:
        """Return the network."""
        return nn.Identity()

    def preprocess(self, request: Request) -> Tensor:
        """Return a pixel, whatever was sent."""
        return torch.zeros(3, 1, 1)

    def postprocess(self, output: Tensor, request: Request) -> Result:
        """Return a number."""
        return Result(json=0.0)


class Without(Nothing):
    """As it would be if there were no traces."""

    def handle(self, rows: list[Any], context: Any) -> list[bytes]:
        """Answer, as the runtime's worker does, but for the lines about traces."""
        exchanges = [
            Exchange(row, context.get_all_request_header(i), context.get_request_id(i) or "")
            for i, row in enumerate(rows)
        ]
        self.answer(exchanges)
        bodies = [_reply(exchange, i, context) for i, exchange in enumerate(exchanges)]
        self._metrics.report([e.watch for e in exchanges], exchanges[0].request_id)
        self._memory.report(exchanges[0].request_id)
        return bodies


class _Taking(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


def loaded(handler: VisionHandler) -> VisionHandler:
    """Load a handler, without weights."""
    properties = {"model_dir": str(Path(__file__).parent), "gpu_id": None}
    handler.initialize(Context({"model": {}}, properties, {"marquee": {"threads": 1}}))
    return handler


def microseconds(handler: VisionHandler, body: bytes) -> float:
    """Return what a request takes."""
    start = time.perf_counter()
    for _ in range(REQUESTS):
        handler.handle([{"body": body}], Context({"model": {}}, {}, {}))
    return (time.perf_counter() - start) / REQUESTS * 1e6


def main() -> None:
    """Measure, and print medians and ratios."""
    stream = io.BytesIO()
    np.save(stream, np.zeros((8, 8, 3), np.uint8))
    workers = {"without": loaded(Without()), "off": loaded(Nothing())}
    taking = ThreadingHTTPServer(("127.0.0.1", 0), _Taking)
    threading.Thread(target=taking.serve_forever, daemon=True).start()
    os.environ[ENDPOINT] = f"http://127.0.0.1:{taking.server_port}"
    workers["on"] = loaded(Nothing())
    os.environ["OTEL_TRACES_SAMPLER"], os.environ["OTEL_TRACES_SAMPLER_ARG"] = RARELY
    workers["rarely"] = loaded(Nothing())
    took: dict[str, list[float]] = {name: [] for name in workers}
    for _ in range(ROUNDS):
        for name, worker in workers.items():
            took[name].append(microseconds(worker, stream.getvalue()))
    for name, values in took.items():
        ratio = statistics.median(
            value / base for value, base in zip(values, took["without"], strict=True)
        )
        low, middle, high = statistics.quantiles(values, n=4)
        print(  # noqa: T201
            f"{name:<8} {middle:6.1f} us a request ({low:.1f} to {high:.1f}), {ratio:.3f} times"
        )
    for worker in workers.values():
        if worker._tracer:
            worker._tracer.close()
    taking.shutdown()


if __name__ == "__main__":
    main()

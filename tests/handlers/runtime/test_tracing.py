"""Traces of requests: whole where somebody takes them, and nothing at all where nobody does."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.gpu_archive import Context
from handlers.runtime import tracing
from handlers.runtime.exchange import Exchange
from handlers.runtime.stopwatch import STAGES, Stopwatch
from tests.handlers.loading import load
from tests.handlers.runtime.test_handler_explanations import RED, Reddish
from tests.support import ROOT, clean_environment

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
WHERE = "OTEL_EXPORTER_OTLP_ENDPOINT"


class Collector(ThreadingHTTPServer):
    """Takes spans as an OpenTelemetry collector does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.requests: list[ExportTraceServiceRequest] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class _Taking(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@contextmanager
def collecting() -> Iterator[Collector]:
    server = Collector()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class Asked(Context):
    """TorchServe's context of a batch with headers."""

    def __init__(self, *headers: dict[str, str]) -> None:
        super().__init__({"model": {"modelVersion": "3.1"}}, {}, {}, "red")
        self.sent = headers

    def get_all_request_header(self, idx: int) -> dict[str, str]:
        return self.sent[idx]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as server:
        monkeypatch.setenv(WHERE, server.url)
        yield server


def traced(
    collector: Collector, tmp_path: Path, *headers: dict[str, str], body: bytes = RED
) -> list[Any]:
    """Answer a batch of requests with these headers, and return the spans."""
    handler = load(Reddish(), tmp_path / "none.pth")
    handler.handle([{"body": body} for _ in headers], Asked(*headers))
    assert handler._tracer is not None
    handler._tracer.flush()
    return collector.spans


def of_kind(spans: list[Any], *, inside: bool) -> list[Any]:
    return [span for span in spans if (span.name not in (*STAGES, "queue")) != inside]


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


def test_a_request_and_its_stages_go_on_with_the_callers_trace(
    collector: Collector, tmp_path: Path
) -> None:
    sent = {"Traceparent": TRACEPARENT, "X-Request-Id": "mine"}
    spans = traced(collector, tmp_path, sent)
    (whole,) = of_kind(spans, inside=False)
    assert whole.name == "predict tried"
    assert (whole.trace_id.hex(), whole.parent_span_id.hex()) == (TRACE, PARENT)
    assert attributes(whole)["http.response.status_code"] == 200
    assert attributes(whole)["marquee.request_id"] == "mine"
    stages = of_kind(spans, inside=True)
    assert {span.name for span in stages} == {*STAGES}
    for span in stages:
        assert (span.trace_id, span.parent_span_id) == (whole.trace_id, whole.span_id)
        assert whole.start_time_unix_nano <= span.start_time_unix_nano
        assert span.start_time_unix_nano <= span.end_time_unix_nano <= whole.end_time_unix_nano
    assert attributes(collector.requests[0].resource_spans[0].resource)["service.name"] == "marquee"


def test_sagemakers_attributes_carry_the_trace_as_well(
    collector: Collector, tmp_path: Path
) -> None:
    header = {"X-Amzn-SageMaker-Custom-Attributes": f"model=red;traceparent={TRACEPARENT}"}
    (whole,) = of_kind(traced(collector, tmp_path, header), inside=False)
    assert (whole.trace_id.hex(), whole.parent_span_id.hex()) == (TRACE, PARENT)


def test_each_request_of_a_batch_has_a_trace_of_its_own(
    collector: Collector, tmp_path: Path
) -> None:
    spans = traced(collector, tmp_path, {"traceparent": TRACEPARENT}, {}, {})
    assert len({span.trace_id for span in of_kind(spans, inside=False)}) == 3
    models = [span for span in spans if span.name == "model"]
    assert len({span.trace_id for span in models}) == 3
    assert {attributes(span)["marquee.batch"] for span in of_kind(spans, inside=False)} == {3}


def test_the_wait_since_the_front_door_is_a_span(collector: Collector, tmp_path: Path) -> None:
    arrived = time.time_ns() // 1000 - 2_000_000
    spans = traced(collector, tmp_path, {"X-Door-Arrived": str(arrived)})
    (whole,) = of_kind(spans, inside=False)
    assert attributes(whole)["http.response.status_code"] == 200  # it is no parameter
    (queue,) = [span for span in spans if span.name == "queue"]
    assert whole.start_time_unix_nano == queue.start_time_unix_nano == arrived * 1000
    assert queue.end_time_unix_nano - queue.start_time_unix_nano >= 2 * 10**9


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": "00-nonsense"},
        {"traceparent": f"ff-{TRACE}-{PARENT}-01"},
        {"traceparent": TRACEPARENT.upper(), "tracestate": "=" * 9000},
        {"traceparent": "\x00" * 55, "X-Request-Id": "\ud800"},
        {"X-Door-Arrived": "soon"},
        {"X-Door-Arrived": "9" * 40},
        {"X-Door-Arrived": str(time.time_ns())},
        {"X-Door-Arrived": "١٢٣"},
    ],
)
def test_what_makes_no_sense_begins_a_new_trace(
    collector: Collector, tmp_path: Path, headers: dict[str, str]
) -> None:
    spans = traced(collector, tmp_path, headers)
    (whole,) = of_kind(spans, inside=False)
    assert (whole.trace_id.hex() != TRACE, whole.parent_span_id) == (True, b"")
    assert "queue" not in {span.name for span in spans}


def test_a_refused_request_says_its_status(collector: Collector, tmp_path: Path) -> None:
    (whole,) = of_kind(traced(collector, tmp_path, {}, body=b"no picture"), inside=False)
    assert attributes(whole)["http.response.status_code"] == 400


def test_a_caller_that_does_not_sample_is_heeded(collector: Collector, tmp_path: Path) -> None:
    assert traced(collector, tmp_path, {"traceparent": TRACEPARENT[:-1] + "0"}) == []


def test_nobody_who_takes_them_loses_no_request(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with collecting() as gone:
        monkeypatch.setenv(WHERE, gone.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    handler, context = load(Reddish(), tmp_path / "none.pth"), Asked({}, {})
    handler.handle([{"body": RED}, {"body": RED}], context)
    assert context.statuses == {0: 200, 1: 200}


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "marquee"}, False),
        ({WHERE: ""}, False),
        ({WHERE: "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({WHERE: "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({WHERE: "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({WHERE: "http://collector:4318", "OTEL_TRACES_EXPORTER": "console"}, False),
        ({WHERE: "http://collector:4318", "OTEL_TRACES_EXPORTER": "otlp"}, True),
    ],
)
def test_when_traces_are_wanted(environ: dict[str, str], wanted: bool) -> None:
    assert tracing.is_wanted(environ) is wanted


def test_without_the_package_there_are_none_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(WHERE, "http://127.0.0.1:1")
    monkeypatch.setattr(tracing, "find_spec", lambda _: None)
    assert load(Reddish(), tmp_path / "none.pth")._tracer is None
    assert "pip install 'marquee[otel]'" in caplog.text


OFF = """
import sys
from pathlib import Path
from bench.gpu_archive import Context
from tests.handlers.loading import load
from tests.handlers.runtime.test_handler_explanations import RED, Reddish
handler = load(Reddish(), Path("none.pth"))
handler.handle([{"body": RED}], Context({}, {}, {}, "red"))
print(sorted(name for name in sys.modules if name.partition(".")[0] == "opentelemetry"))
"""


def test_off_nothing_of_it_is_imported_and_the_stopwatch_is_the_plain_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OFF],
        cwd=ROOT,
        env=clean_environment(OTEL_SERVICE_NAME="marquee", PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
    handler = load(Reddish(), tmp_path / "none.pth")
    seen: list[type] = []

    def noting(exchanges: list[Exchange]) -> None:
        seen.extend(type(one.watch) for one in exchanges)
        Reddish.answer(handler, exchanges)

    monkeypatch.setattr(handler, "answer", noting)
    handler.handle([{"body": RED}], Context({}, {}, {}, "red"))
    assert seen == [Stopwatch]

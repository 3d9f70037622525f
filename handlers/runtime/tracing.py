"""A trace of each request for OpenTelemetry, where the environment asks for one.

Off, which is how it comes, nothing of OpenTelemetry is imported, and requests go the way they
always went. ``OTEL_EXPORTER_OTLP_ENDPOINT`` says where spans are sent; the SDK reads the other
``OTEL_...`` variables by itself. A request's span continues the trace of W3C's ``traceparent``, as
a header or in SageMaker's custom attributes, and has one inside for the wait since the front door
took it and one for each stage.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, NamedTuple

from handlers.runtime.attributes import HEADER as ATTRIBUTES
from handlers.runtime.attributes import parameter_items
from handlers.runtime.exchange import Exchange
from handlers.runtime.kserve import Who
from handlers.runtime.stopwatch import Stopwatch

logger = logging.getLogger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PARENT = "traceparent"
# When the front door took a request: microseconds since 1970. No X-Marquee-...: a parameter.
ARRIVED = "x-door-arrived"
# A clock that differs by more, or a stranger's words, tell nothing.
LONGEST_WAIT = 3600 * 10**9


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Tell whether spans are to be made: somebody takes them, and nobody has turned them off."""
    off = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    # Others, such as the console, would write where TorchServe reads commands.
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    return not off and exporter == "otlp" and any(environ.get(name) for name in ENDPOINTS)


class Span(NamedTuple):
    """A stage, from when to when, in nanoseconds since 1970."""

    name: str
    start: int
    end: int


class Recorder(Stopwatch):
    """A stopwatch that also remembers when each stage was."""

    def __init__(self) -> None:
        super().__init__()
        self.spans: list[Span] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of the ``with`` block, and remember when that was."""
        start = time.time_ns()
        try:
            with super().stage(name):
                yield
        finally:
            self.spans.append(Span(name, start, time.time_ns()))

    def waited_with(self, sharers: int, name: str, seconds: float) -> None:
        """Take over a stage that has just ended for ``sharers`` requests together."""
        super().waited_with(sharers, name, seconds)
        end = time.time_ns()
        self.spans.append(Span(name, end - round(seconds * 1e9), end))


class Tracer:
    """Makes the spans of answered requests; they are sent by a thread of the SDK's own."""

    def __init__(self, who: Who) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        named = Resource({"service.name": "marquee"}).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=named)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("marquee")
        self._who = who

    def begin(self, exchanges: Sequence[Exchange]) -> int:
        """Have the stages of requests recorded; return when that was."""
        for exchange in exchanges:
            exchange.watch = Recorder()
        return time.time_ns()

    def report(self, exchanges: Sequence[Exchange], began: int) -> None:
        """Make the spans of a batch that was begun then and has its answers."""
        for exchange in exchanges:
            self._report(exchange, began, len(exchanges))

    def _report(self, exchange: Exchange, began: int, batch: int) -> None:
        from opentelemetry.trace import (  # noqa: PLC0415
            SpanKind,
            Status,
            StatusCode,
            set_span_in_context,
        )

        headers = {key.lower(): str(value) for key, value in exchange.headers.items()}
        arrived = _arrived(headers, began)
        status = exchange.answer.status if exchange.answer else 500
        span = self._tracer.start_span(
            f"{'explain' if exchange.asks_explanation else 'predict'} {self._who.name}",
            context=_parent(headers),
            kind=SpanKind.SERVER,
            start_time=arrived or began,
            attributes={
                "http.response.status_code": status,
                "marquee.model": self._who.name,
                "marquee.version": self._who.version,
                "marquee.request_id": headers.get("x-request-id") or exchange.request_id,
                "marquee.batch": batch,
            },
        )
        if not span.is_recording():  # one that is not sampled
            return
        inside = set_span_in_context(span)
        waited = [Span("queue", arrived, began)] if arrived else []
        recorded = exchange.watch.spans if isinstance(exchange.watch, Recorder) else []
        for stage in [*waited, *recorded]:
            made = self._tracer.start_span(stage.name, context=inside, start_time=stage.start)
            made.end(end_time=stage.end)
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    def flush(self) -> None:
        """Send what was not sent yet."""
        self._provider.force_flush()

    def close(self) -> None:
        """Send what was not sent yet, and make no spans any more."""
        self._provider.shutdown()


def tracer(who: Who) -> Tracer | None:
    """Return what makes a worker's spans; None where nobody asks for them, or nothing could."""
    if not is_wanted(os.environ):
        return None
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter") is None:
        logger.warning(
            "OTEL_... variables ask for traces, and OpenTelemetry is not installed here, so there "
            "are none; run: pip install 'marquee[otel]'"
        )
        return None
    return Tracer(who)


def _parent(headers: Mapping[str, str]) -> Any:
    """Return the context that a request's trace goes on from; an empty one for none."""
    from opentelemetry.context import Context  # noqa: PLC0415
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
        TraceContextTextMapPropagator,
    )

    passed_on = parameter_items(headers.get(ATTRIBUTES, ""), PARENT)
    carrier = passed_on | {key: headers[key] for key in (PARENT, "tracestate") if key in headers}
    return TraceContextTextMapPropagator().extract(carrier, context=Context())


def _arrived(headers: Mapping[str, str], began: int) -> int:
    """Return when the front door took a request, in nanoseconds; 0 where it is not known."""
    text = headers.get(ARRIVED, "")
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        return 0
    moment = int(text) * 1000
    return moment if 0 <= began - moment < LONGEST_WAIT else 0

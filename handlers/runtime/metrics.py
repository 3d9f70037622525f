"""Stage times and memory as TorchServe metrics, for its Prometheus address."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from handlers.runtime.stopwatch import STAGES, Stopwatch

logger = logging.getLogger(__name__)

# As declared under model_metrics in config/metrics.yaml; TorchServe drops undeclared ones.
STAGE_SECONDS = "marquee_stage_seconds"
WORKER_MEMORY = "marquee_worker_memory_bytes"
# Seconds between two reports: each is lines that the server reads and parses, and that cost a
# worker as much as a small network if they come with every batch.
STAGE_INTERVAL = 5.0
MEMORY_SECONDS = 10.0
# Upper ends of the histogram's buckets, in seconds, and their names as Prometheus writes them.
BUCKETS = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 25.0, 60.0, math.inf),
)
LABELS = tuple("+Inf" if bound == math.inf else f"{bound:g}" for bound in BUCKETS)


class StageMetrics:
    """A histogram of the seconds each stage took for a batch, told to TorchServe at intervals.

    TorchServe's own histograms take one value a log line. So this one is kept here, as counters
    named and labelled as Prometheus does a histogram: what was counted since is told at once
    after a pause, else ``STAGE_INTERVAL`` seconds after the last report, whether or not requests
    go on.
    """

    def __init__(self, metrics: Any, model_name: str) -> None:
        self._model_name = model_name
        self._counters = {
            part: _declared(metrics, f"{STAGE_SECONDS}_{part}", "COUNTER")
            for part in ("sum", "count", "bucket")
        }
        self._lock = threading.Lock()
        # What has not been told yet: by stage and bucket, "sum" or "count". Zeros come with the
        # first report, as a histogram has all of its buckets.
        self._sums = {(stage, what): 0.0 for stage in STAGES for what in (*LABELS, "sum", "count")}
        self._next = 0.0
        self._waiting = False
        self._request_id = ""

    def report(self, watches: Sequence[Stopwatch], request_id: str) -> None:
        """Add one observation a stage: the seconds it took for all requests of the batch."""
        if None in self._counters.values():
            return
        with self._lock:
            for stage in STAGES:
                self._observe(stage, sum(watch.share(stage) for watch in watches))
            self._request_id = request_id
            left = self._next - time.monotonic()
            waiting, self._waiting = self._waiting, left > 0
        if left <= 0:
            self._tell()
        elif not waiting:
            timer = threading.Timer(left, self._tell)
            timer.daemon = True
            timer.start()

    def _observe(self, stage: str, seconds: float) -> None:
        for at in range(bisect_left(BUCKETS, seconds), len(BUCKETS)):
            self._add((stage, LABELS[at]), 1)
        self._add((stage, "sum"), seconds)
        self._add((stage, "count"), 1)

    def _add(self, key: tuple[str, str], value: float) -> None:
        self._sums[key] = self._sums.get(key, 0.0) + value

    def _tell(self) -> None:
        with self._lock:
            sums, self._sums = self._sums, {}
            self._waiting, self._next = False, time.monotonic() + STAGE_INTERVAL
            request_id = self._request_id
        for (stage, what), value in sums.items():
            part, further = (what, []) if what in self._counters else ("bucket", [what])
            # Declared with other dimensions, TorchServe drops it with a line in the log.
            self._counters[part].add_or_update(
                round(value, 6), [self._model_name, "Model", stage, *further], request_id
            )


class WorkerMemory:
    """Reports the RAM that this worker holds, at most every ten seconds.

    The gauge is of a version, not of a worker: the one that answered last counts. They are alike,
    and a label for each worker would leave a line behind for each that has ended.
    """

    def __init__(self, metrics: Any, model_name: str, manifest: Mapping[str, Any] | None) -> None:
        version = str(((manifest or {}).get("model") or {}).get("modelVersion") or "")
        self._dimensions = [model_name, version, "Model"]
        self._gauge = _declared(metrics, WORKER_MEMORY, "GAUGE")
        self._next = 0.0

    def report(self, request_id: str) -> None:
        """Set the gauge, if it is time to."""
        if self._gauge is None or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + MEMORY_SECONDS
        held = resident_bytes()
        if held is not None:
            self._gauge.add_or_update(held, self._dimensions, request_id)


def resident_bytes() -> int | None:
    """Return the bytes of RAM that this process holds; None where the system does not say."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
    except OSError:
        return None  # no Linux
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _declared(metrics: Any, name: str, kind: str) -> Any:
    """Return TorchServe's metric, or None where its configuration does not declare it."""
    if metrics is None:
        return None
    from ts.metrics.metric_cache_errors import MetricsCacheKeyError  # noqa: PLC0415
    from ts.metrics.metric_type_enum import MetricTypes  # noqa: PLC0415

    try:
        return metrics.get_metric(name, MetricTypes[kind])
    except MetricsCacheKeyError:
        logger.info("the server's metrics_config does not declare %s", name)
        return None

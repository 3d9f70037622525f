"""Stage times and memory as TorchServe metrics, for its Prometheus address."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from handlers.runtime.stopwatch import STAGES, Stopwatch

logger = logging.getLogger(__name__)

# As declared under model_metrics in config/metrics.yaml; TorchServe drops undeclared ones.
STAGE_SECONDS = "marquee_stage_seconds"
WORKER_MEMORY = "marquee_worker_memory_bytes"
# Seconds between two reports of the memory: each is a line that the server reads and parses.
MEMORY_SECONDS = 10.0


class StageMetrics:
    """Reports the seconds each stage took for a batch, as a histogram by stage."""

    def __init__(self, metrics: Any, model_name: str) -> None:
        self._model_name = model_name
        self._histogram = _declared(metrics, STAGE_SECONDS, "HISTOGRAM")

    def report(self, watches: Sequence[Stopwatch], request_id: str) -> None:
        """Add one observation a stage: the seconds it took for all requests of the batch."""
        if self._histogram is None:
            return
        for stage in STAGES:
            seconds = sum(watch.seconds[stage] for watch in watches)
            # Declared with other dimensions, TorchServe drops it with a line in the log.
            self._histogram.add_or_update(
                round(seconds, 6), [self._model_name, "Model", stage], request_id
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

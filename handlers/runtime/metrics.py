"""Stage times as TorchServe metrics, for its Prometheus address."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from handlers.runtime.stopwatch import STAGES, Stopwatch

logger = logging.getLogger(__name__)

# As declared under model_metrics in config/metrics.yaml; TorchServe drops undeclared ones.
STAGE_SECONDS = "marquee_stage_seconds"


class StageMetrics:
    """Reports the seconds each stage took for a batch, as a histogram by stage."""

    def __init__(self, metrics: Any, model_name: str) -> None:
        self._model_name = model_name
        self._histogram = _declared_histogram(metrics)

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


def _declared_histogram(metrics: Any) -> Any:
    """Return TorchServe's histogram, or None where its configuration does not declare it."""
    if metrics is None:
        return None
    from ts.metrics.metric_cache_errors import MetricsCacheKeyError  # noqa: PLC0415
    from ts.metrics.metric_type_enum import MetricTypes  # noqa: PLC0415

    try:
        return metrics.get_metric(STAGE_SECONDS, MetricTypes.HISTOGRAM)
    except MetricsCacheKeyError:
        logger.info("the server's metrics_config does not declare %s", STAGE_SECONDS)
        return None

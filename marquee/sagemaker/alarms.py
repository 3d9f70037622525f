"""CloudWatch alarms: those that roll an update back, and the one that wakes an endpoint."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from marquee.errors import MarqueeError
from marquee.sagemaker.cloud import Cloud
from marquee.sagemaker.hosting import VARIANT

ERRORS, LATENCY, BACKLOG = "errors", "latency", "backlog"
MOST = 10  # alarms that may roll one update back


def alarm_name(endpoint: str, kind: str) -> str:
    """Return the name of the endpoint's alarm of this kind."""
    return f"{endpoint}-marquee-{kind}"


def names(endpoint: str) -> list[str]:
    """Return the names of all alarms that may have been made for the endpoint."""
    return [alarm_name(endpoint, kind) for kind in (ERRORS, LATENCY, BACKLOG)]


def _alarm(endpoint: str, kind: str, metric: str, threshold: float, **more: Any) -> dict[str, Any]:
    return {
        "AlarmName": alarm_name(endpoint, kind),
        "Namespace": "AWS/SageMaker",
        "MetricName": metric,
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": float(threshold),
        **more,
    }


def _of_variant(endpoint: str) -> list[dict[str, str]]:
    of_endpoint = {"Name": "EndpointName", "Value": endpoint}
    return [of_endpoint, {"Name": "VariantName", "Value": VARIANT}]


def errors_alarm(endpoint: str, threshold: int) -> dict[str, Any]:
    """Return an alarm on at least so many failures of the model within a minute."""
    return _alarm(
        endpoint,
        ERRORS,
        "Invocation5XXErrors",
        threshold,
        AlarmDescription="marquee: an update is rolled back when the model fails this often",
        Dimensions=_of_variant(endpoint),
        Statistic="Sum",
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
    )


def latency_alarm(endpoint: str, milliseconds: float) -> dict[str, Any]:
    """Return an alarm on the 95th percentile of the model's time within a minute."""
    return _alarm(
        endpoint,
        LATENCY,
        "ModelLatency",
        milliseconds * 1000,  # the metric is in microseconds
        AlarmDescription="marquee: an update is rolled back when the model is this slow",
        Dimensions=_of_variant(endpoint),
        ExtendedStatistic="p95",
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )


def backlog_alarm(endpoint: str, action: str) -> dict[str, Any]:
    """Return the alarm that starts ``action`` when requests wait and no instance is there."""
    return _alarm(
        endpoint,
        BACKLOG,
        "HasBacklogWithoutCapacity",
        1,
        AlarmDescription="marquee: requests wait and there is no instance",
        Dimensions=_of_variant(endpoint)[:1],  # metrics of the queue know no variants
        Statistic="Average",
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="missing",
        AlarmActions=[action],
    )


def check_exist(cloud: Cloud, wanted: Iterable[str], room: int) -> None:
    """Refuse alarms that are not there: SageMaker would only find out during the update.

    ``room`` more are going to be made.

    Raises:
        MarqueeError: names them.
    """
    listed = [*dict.fromkeys(wanted)]
    if len(listed) + room > MOST:
        raise MarqueeError(
            f"{len(listed) + room} alarms were asked for; SageMaker watches {MOST} at most"
        )
    missing = sorted({*listed} - {*existing(cloud, listed)}) if listed else []
    if missing:
        raise MarqueeError(
            f"there is no alarm {', '.join(missing)} in this region; create it first, or let "
            "--alarm-errors and --alarm-latency create some"
        )


def existing(cloud: Cloud, wanted: Iterable[str]) -> list[str]:
    """Return which of the alarms exist; a rehearsal takes all for existing."""
    listed = [*wanted]
    assumed = {"MetricAlarms": [{"AlarmName": name} for name in listed]}
    answer = cloud.call("cloudwatch", "DescribeAlarms", assumed, AlarmNames=listed)
    both = answer.get("MetricAlarms", []) + answer.get("CompositeAlarms", [])
    return [alarm["AlarmName"] for alarm in both]

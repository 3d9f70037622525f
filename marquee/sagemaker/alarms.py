"""CloudWatch alarms: those that roll an update back, and the one that wakes an endpoint."""

from __future__ import annotations

from typing import Any

from marquee.errors import MarqueeError
from marquee.sagemaker.account import Account
from marquee.sagemaker.calls import Call
from marquee.sagemaker.hosting import VARIANT

CLOUDWATCH = "cloudwatch"
ERRORS, LATENCY, BACKLOG = "errors", "latency", "backlog"


def alarm_name(endpoint: str, kind: str) -> str:
    """Return the name of the endpoint's alarm of this kind."""
    return f"{endpoint}-marquee-{kind}"


def names(endpoint: str) -> list[str]:
    """Return the names of all alarms that may have been made for the endpoint."""
    return [alarm_name(endpoint, kind) for kind in (ERRORS, LATENCY, BACKLOG)]


def _alarm(endpoint: str, kind: str, metric: str, threshold: float, **more: Any) -> Call:
    alarm = {
        "AlarmName": alarm_name(endpoint, kind),
        "Namespace": "AWS/SageMaker",
        "MetricName": metric,
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": float(threshold),
        **more,
    }
    return Call(CLOUDWATCH, "PutMetricAlarm", alarm)


def _of_variant(endpoint: str) -> list[dict[str, str]]:
    of_endpoint = {"Name": "EndpointName", "Value": endpoint}
    return [of_endpoint, {"Name": "VariantName", "Value": VARIANT}]


def errors_alarm(endpoint: str, threshold: int) -> Call:
    """Return the call for an alarm on at least so many failures of the model within a minute."""
    return _rollback_alarm(
        endpoint,
        ERRORS,
        "Invocation5XXErrors",
        threshold,
        "fails this often",
        Statistic="Sum",
        ComparisonOperator="GreaterThanOrEqualToThreshold",
    )


def latency_alarm(endpoint: str, milliseconds: float) -> Call:
    """Return the call for an alarm on the 95th percentile of the model's time within a minute."""
    return _rollback_alarm(
        endpoint,
        LATENCY,
        "ModelLatency",
        milliseconds * 1000,  # the metric is in microseconds
        "is this slow",
        ExtendedStatistic="p95",
        ComparisonOperator="GreaterThanThreshold",
    )


def _rollback_alarm(
    endpoint: str, kind: str, metric: str, threshold: float, reason: str, **statistic: str
) -> Call:
    return _alarm(
        endpoint,
        kind,
        metric,
        threshold,
        AlarmDescription=f"marquee: an update is rolled back when the model {reason}",
        Dimensions=_of_variant(endpoint),
        TreatMissingData="notBreaching",
        **statistic,
    )


def backlog_alarm(endpoint: str, action: str) -> Call:
    """Return the call for an alarm that does ``action`` when requests wait without an instance."""
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


def described(wanted: list[str]) -> Call:
    """Return the call that tells which of the alarms, at least one, exist."""
    return Call(CLOUDWATCH, "DescribeAlarms", {"AlarmNames": wanted})


def deletion(wanted: list[str]) -> Call:
    """Return the call that deletes alarms, which must exist."""
    return Call(CLOUDWATCH, "DeleteAlarms", {"AlarmNames": wanted})


def existing(account: Account, wanted: list[str]) -> list[str]:
    """Return which of the alarms, at least one, exist."""
    answer = account.make(described(wanted))
    both = answer.get("MetricAlarms", []) + answer.get("CompositeAlarms", [])
    return [alarm["AlarmName"] for alarm in both]


def check_exist(account: Account, wanted: list[str]) -> None:
    """Refuse alarms that are not there: SageMaker would only find out during the update.

    Raises:
        MarqueeError: names them.
    """
    missing = sorted({*wanted} - {*existing(account, wanted)}) if wanted else []
    if missing:
        raise MarqueeError(
            f"there is no alarm {', '.join(missing)} in this region; create it first, or let "
            "--alarm-errors and --alarm-latency create some"
        )

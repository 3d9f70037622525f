"""CloudWatch alarms: those that roll an update back, and the one that wakes an endpoint."""

from __future__ import annotations

from typing import Any

from marquee.errors import MarqueeError
from marquee.sagemaker.account import Account, Call
from marquee.sagemaker.hosting import VARIANT

CLOUDWATCH = "cloudwatch"
ERRORS, LATENCY, BACKLOG = "errors", "latency", "backlog"
AT_LEAST, QUIET = "GreaterThanOrEqualToThreshold", "notBreaching"


def alarm_name(endpoint: str, kind: str) -> str:
    """Return the name of the endpoint's alarm of this kind."""
    return f"{endpoint}-marquee-{kind}"


def names(endpoint: str) -> list[str]:
    """Return the names of all alarms that may have been made for the endpoint."""
    return [alarm_name(endpoint, kind) for kind in (ERRORS, LATENCY, BACKLOG)]


def errors_alarm(endpoint: str, threshold: int) -> Call:
    """Return the call for an alarm on at least so many failures of the model within a minute."""
    reason = "an update is rolled back when the model fails this often"
    more = {"Statistic": "Sum", "ComparisonOperator": AT_LEAST, "TreatMissingData": QUIET}
    return _alarm(endpoint, ERRORS, "Invocation5XXErrors", threshold, reason, **more)


def latency_alarm(endpoint: str, milliseconds: float) -> Call:
    """Return the call for an alarm on the 95th percentile of the model's time within a minute."""
    reason = "an update is rolled back when the model is this slow"
    above = {"ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": QUIET}
    more = {"ExtendedStatistic": "p95"} | above
    return _alarm(endpoint, LATENCY, "ModelLatency", milliseconds * 1000, reason, **more)


def backlog_alarm(endpoint: str, action: str) -> Call:
    """Return the call for an alarm that does ``action`` when requests wait without an instance."""
    reason = "requests wait and there is no instance"
    more = {"Statistic": "Average", "ComparisonOperator": AT_LEAST, "TreatMissingData": "missing"}
    wakes = {"AlarmActions": [action]}
    return _alarm(endpoint, BACKLOG, "HasBacklogWithoutCapacity", 1, reason, **more, **wakes)


def _alarm(
    endpoint: str, kind: str, metric: str, threshold: float, reason: str, **more: Any
) -> Call:
    dimensions = [{"Name": "EndpointName", "Value": endpoint}]
    if kind != BACKLOG:  # metrics of the queue know no variants
        dimensions.append({"Name": "VariantName", "Value": VARIANT})
    alarm = {
        "AlarmName": alarm_name(endpoint, kind),
        "AlarmDescription": f"marquee: {reason}",
        "Namespace": "AWS/SageMaker",
        "MetricName": metric,
        "Dimensions": dimensions,
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": float(threshold),
        **more,
    }
    return Call(CLOUDWATCH, "PutMetricAlarm", alarm)


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
    """Refuse alarms that are not there: SageMaker would only find out during the update."""
    missing = sorted({*wanted} - {*existing(account, wanted)}) if wanted else []
    if missing:
        raise MarqueeError(
            f"there is no alarm {', '.join(missing)} in this region; create it first, or let "
            "--alarm-errors and --alarm-latency create some"
        )

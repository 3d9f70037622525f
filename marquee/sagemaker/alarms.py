"""CloudWatch alarms: those that roll an update back, and the one that wakes an endpoint."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from marquee.errors import MarqueeError
from marquee.sagemaker.account import Account, Answer, Call
from marquee.sagemaker.hosting import VARIANT

CLOUDWATCH = "cloudwatch"
ERRORS, LATENCY, BACKLOG = "errors", "latency", "backlog"
KINDS = ("MetricAlarm", "CompositeAlarm")
AT_LEAST, ABOVE = "GreaterThanOrEqualToThreshold", "GreaterThanThreshold"
# What an update's alarms look at: within a minute a single request says too much.
PERIOD = 300


def alarm_name(endpoint: str, kind: str, variant: str = VARIANT) -> str:
    """Return the name of the endpoint's, or of one of several variants', alarm of this kind."""
    return f"{endpoint}-marquee-{kind}" + ("" if variant == VARIANT else f"-{variant}")


@dataclass(frozen=True)
class Fleet:
    """What an update's alarms watch: a variant's new instances, in the midst of the old ones.

    Attributes:
        config_name: the new endpoint configuration, which tells both apart.
        asynchronous: whether it is a queue's; its metrics do not know configurations.
    """

    endpoint: str
    variant: str
    config_name: str
    asynchronous: bool = False

    def metric(self, name: str) -> dict[str, Any]:
        """Return what names a metric of the fleet's."""
        config = {} if self.asynchronous else {"EndpointConfigName": self.config_name}
        return _metric(name, EndpointName=self.endpoint, VariantName=self.variant, **config)

    def counted(self, name: str, metric: str) -> dict[str, Any]:
        """Return a sum, to reckon with by its name."""
        stat = {"Metric": self.metric(metric), "Period": PERIOD, "Stat": "Sum"}
        return {"Id": name, "ReturnData": False, "MetricStat": stat}

    def alarm(self, kind: str, reason: str, alarm: dict[str, Any]) -> Call:
        """Return the call for an alarm on what lies above its threshold."""
        how = {"EvaluationPeriods": 1, "ComparisonOperator": ABOVE}
        name = alarm_name(self.endpoint, kind, self.variant)
        return _alarm(name, reason, alarm | how | {"TreatMissingData": "notBreaching"})


def errors_alarm(fleet: Fleet, share: float, requests: int) -> Call:
    """Return the call for an alarm on more than a share (0 to 1) of 5xx among enough requests."""
    counted = "InvocationsProcessed" if fleet.asynchronous else "Invocations"
    percent = f"IF(FILL(requests, 0) >= {requests}, 100 * FILL(errors, 0) / requests, 0)"
    metrics = [
        {"Id": "percent", "Label": "Percent of 5xx", "Expression": percent},
        fleet.counted("requests", counted),
        fleet.counted("errors", "Invocation5XXErrors"),
    ]
    reason = "an update is rolled back when the model fails this often"
    return fleet.alarm(ERRORS, reason, {"Metrics": metrics, "Threshold": round(100 * share, 6)})


def latency_alarm(fleet: Fleet, milliseconds: float) -> Call:
    """Return the call for an alarm on the model's time: its 95th percentile, or a queue's mean."""
    # An asynchronous endpoint's metrics have no percentiles.
    statistic = (
        {"Statistic": "Average"}
        if fleet.asynchronous
        else {"ExtendedStatistic": "p95", "EvaluateLowSampleCountPercentile": "ignore"}
    )
    limit = {"Period": PERIOD, "Threshold": float(milliseconds * 1000)}
    reason = "an update is rolled back when the model is this slow"
    return fleet.alarm(LATENCY, reason, fleet.metric("ModelLatency") | statistic | limit)


def backlog_alarm(endpoint: str, action: str) -> Call:
    """Return the call for an alarm that does ``action`` when requests wait without an instance."""
    alarm = _metric("HasBacklogWithoutCapacity", EndpointName=endpoint) | {"Statistic": "Average"}
    alarm |= {"Period": 60, "EvaluationPeriods": 1, "Threshold": 1.0}
    alarm |= {"ComparisonOperator": AT_LEAST, "TreatMissingData": "missing"}
    reason = "requests wait and there is no instance"
    name = alarm_name(endpoint, BACKLOG)
    return _alarm(name, reason, alarm | {"AlarmActions": [action]})


def _metric(name: str, **dimensions: str) -> dict[str, Any]:
    """Return what names a metric of SageMaker's; a queue's own know the endpoint alone."""
    named = [{"Name": dimension, "Value": value} for dimension, value in dimensions.items()]
    return {"Namespace": "AWS/SageMaker", "MetricName": name, "Dimensions": named}


def _alarm(name: str, reason: str, alarm: dict[str, Any]) -> Call:
    named = {"AlarmName": name, "AlarmDescription": f"marquee: {reason}"}
    return Call(CLOUDWATCH, "PutMetricAlarm", named | alarm)


def all_of(endpoint: str) -> Call:
    """Return the call that lists the endpoint's alarms, and what is named like one."""
    return Call(CLOUDWATCH, "DescribeAlarms", {"AlarmNamePrefix": f"{endpoint}-marquee-"})


def names(account: Account, endpoint: str) -> list[str]:
    """Return the names of all alarms that were made for the endpoint."""
    alarms = account.make(all_of(endpoint)).get("MetricAlarms", [])
    return [alarm["AlarmName"] for alarm in alarms if _is_ours(endpoint, alarm)]


def _is_ours(endpoint: str, alarm: Answer) -> bool:
    """Another endpoint's name may begin as our alarms' names do: its metrics are its own."""
    kinds = "|".join((ERRORS, LATENCY, BACKLOG))
    ours = re.match(rf"{re.escape(endpoint)}-marquee-({kinds})(-|$)", alarm["AlarmName"])
    stats = [one["MetricStat"]["Metric"] for one in alarm.get("Metrics", []) if "MetricStat" in one]
    watched = [one for metric in [alarm, *stats] for one in metric.get("Dimensions", [])]
    return bool(ours) and {"Name": "EndpointName", "Value": endpoint} in watched


def described(wanted: list[str]) -> Call:
    """Return the call that tells which of the alarms, at least one, exist."""
    return Call(CLOUDWATCH, "DescribeAlarms", {"AlarmNames": wanted, "AlarmTypes": [*KINDS]})


def deletion(wanted: list[str]) -> Call:
    """Return the call that deletes alarms, which must exist."""
    return Call(CLOUDWATCH, "DeleteAlarms", {"AlarmNames": wanted})


def check_exist(account: Account, wanted: list[str]) -> None:
    """Refuse alarms that are not there: SageMaker would only find out during the update."""
    if not wanted:
        return
    answer = account.make(described(wanted))
    both = answer.get("MetricAlarms", []) + answer.get("CompositeAlarms", [])
    missing = sorted({*wanted} - {alarm["AlarmName"] for alarm in both})
    if missing:
        raise MarqueeError(
            f"there is no alarm {', '.join(missing)} in this region; create it first, or leave "
            "--alarm away: an update makes alarms of its own"
        )

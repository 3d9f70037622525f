"""Auto-scaling of an endpoint, by Application Auto Scaling."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from marquee.errors import MarqueeError
from marquee.sagemaker.account import Account, Call, unread
from marquee.sagemaker.alarms import backlog_alarm
from marquee.sagemaker.hosting import VARIANT

SERVICE = "application-autoscaling"
# Out at once when it is needed, in slowly: an instance takes minutes to come back.
OUT_SECONDS, IN_SECONDS = 60, 300


@dataclass(frozen=True)
class Scaling:
    """How far an endpoint scales, and on what.

    Attributes:
        minimum, maximum: instances; only an asynchronous endpoint goes to zero.
        target: invocations a minute and instance (real-time), or requests that wait for each
            instance (asynchronous).
        asynchronous: which of both.
    """

    minimum: int
    maximum: int
    target: float
    asynchronous: bool = False

    def __post_init__(self) -> None:
        """Refuse what AWS would refuse once the endpoint stands."""
        least = 0 if self.asynchronous else 1
        if not least <= self.minimum <= self.maximum or self.maximum < 1 or self.target <= 0:
            raise MarqueeError(
                f"--scaling is {self.minimum} {self.maximum} {self.target:g}; expected MIN (at "
                f"least {least}; 0 is for asynchronous endpoints), MAX (at least 1 and MIN), and "
                "TARGET (above 0)"
            )

    def apply(self, account: Account, endpoint: str) -> None:
        """Register the endpoint, which must be in service, and put its policies."""
        policy = account.make_all(self._policies(endpoint))
        if self.minimum == 0:
            account.make(backlog_alarm(endpoint, policy["PolicyARN"]))

    def calls(self, endpoint: str) -> list[Call]:
        """Return the calls of :meth:`apply` for a dry run."""
        arn = unread("PolicyARN", "PutScalingPolicy")
        alarm = [backlog_alarm(endpoint, arn)] if self.minimum == 0 else []
        return [*self._policies(endpoint), *alarm]

    def _policies(self, endpoint: str) -> Iterator[Call]:
        bounds = {"MinCapacity": self.minimum, "MaxCapacity": self.maximum}
        yield _call(endpoint, "RegisterScalableTarget", **bounds)
        tracking = _metric(endpoint, asynchronous=self.asynchronous)
        tracking |= {"ScaleOutCooldown": OUT_SECONDS, "ScaleInCooldown": IN_SECONDS}
        tracking |= {"TargetValue": float(self.target)}
        yield _policy(endpoint, "target", "TargetTrackingScaling", tracking)
        if self.minimum == 0:
            yield _wake(endpoint)


def _resource(endpoint: str) -> dict[str, str]:
    """Return what names the endpoint's variant to Application Auto Scaling."""
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint}/variant/{VARIANT}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }


def _call(endpoint: str, operation: str, **parameters: Any) -> Call:
    return Call(SERVICE, operation, _resource(endpoint) | parameters)


def _metric(endpoint: str, *, asynchronous: bool) -> dict[str, Any]:
    if not asynchronous:
        kind = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
        return {"PredefinedMetricSpecification": kind}
    backlog = {
        "MetricName": "ApproximateBacklogSizePerInstance",
        "Namespace": "AWS/SageMaker",
        "Dimensions": [{"Name": "EndpointName", "Value": endpoint}],
        "Statistic": "Average",
    }
    return {"CustomizedMetricSpecification": backlog}


def _wake(endpoint: str) -> Call:
    """From zero to one: a backlog per instance says nothing while there is no instance."""
    stepping = {
        "AdjustmentType": "ChangeInCapacity",
        "MetricAggregationType": "Average",
        "Cooldown": IN_SECONDS,
        "StepAdjustments": [{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}],
    }
    return _policy(endpoint, "wake", "StepScaling", stepping)


def _policy(endpoint: str, name: str, kind: str, how: dict[str, Any]) -> Call:
    names = {"PolicyName": f"{endpoint}-{name}", "PolicyType": kind}
    return _call(endpoint, "PutScalingPolicy", **names, **{f"{kind}PolicyConfiguration": how})


def described(endpoint: str) -> Call:
    """Return the call that tells whether the endpoint's variant scales by itself now."""
    named: dict[str, Any] = {**_resource(endpoint)}
    return Call(
        SERVICE, "DescribeScalableTargets", named | {"ResourceIds": [named.pop("ResourceId")]}
    )


def registered(account: Account, endpoint: str) -> bool:
    """Return whether the endpoint's variant scales by itself now."""
    return bool(account.make(described(endpoint))["ScalableTargets"])


def removal(endpoint: str) -> Call:
    """Return the call that ends the scaling; its policies go with it."""
    return _call(endpoint, "DeregisterScalableTarget")

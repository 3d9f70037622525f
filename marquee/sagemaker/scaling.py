"""Auto-scaling of an endpoint, by Application Auto Scaling."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from marquee.errors import MarqueeError
from marquee.sagemaker.account import Account, Call, unread
from marquee.sagemaker.alarms import backlog_alarm

SERVICE = "application-autoscaling"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
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

    def apply(self, account: Account, endpoint: str, variants: Iterable[str]) -> None:
        """Register the endpoint's variants, which must be in service, and put their policies."""
        policy = account.make_all(self._policies(endpoint, variants))
        if self.minimum == 0:
            account.make(backlog_alarm(endpoint, policy["PolicyARN"]))

    def calls(self, endpoint: str, variants: Iterable[str]) -> list[Call]:
        """Return the calls of :meth:`apply` for a dry run."""
        arn = unread("PolicyARN", "PutScalingPolicy")
        alarm = [backlog_alarm(endpoint, arn)] if self.minimum == 0 else []
        return [*self._policies(endpoint, variants), *alarm]

    def _policies(self, endpoint: str, variants: Iterable[str]) -> Iterator[Call]:
        tracking = _metric(endpoint, asynchronous=self.asynchronous)
        tracking |= {"ScaleOutCooldown": OUT_SECONDS, "ScaleInCooldown": IN_SECONDS}
        tracking |= {"TargetValue": float(self.target)}
        bounds = {"MinCapacity": self.minimum, "MaxCapacity": self.maximum}
        for variant in variants:
            yield _call(endpoint, variant, "RegisterScalableTarget", **bounds)
            yield _policy(endpoint, variant, "target", "TargetTrackingScaling", tracking)
            if self.minimum == 0:
                yield _wake(endpoint, variant)


def _call(endpoint: str, variant: str, operation: str, **parameters: Any) -> Call:
    named = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"{_resources(endpoint)}{variant}",
        "ScalableDimension": DIMENSION,
    }
    return Call(SERVICE, operation, named | parameters)


def _resources(endpoint: str) -> str:
    """Return what the names of the endpoint's variants begin with in Application Auto Scaling."""
    return f"endpoint/{endpoint}/variant/"


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


def _wake(endpoint: str, variant: str) -> Call:
    """From zero to one: a backlog per instance says nothing while there is no instance."""
    stepping = {
        "AdjustmentType": "ChangeInCapacity",
        "MetricAggregationType": "Average",
        "Cooldown": IN_SECONDS,
        "StepAdjustments": [{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}],
    }
    return _policy(endpoint, variant, "wake", "StepScaling", stepping)


def _policy(endpoint: str, variant: str, name: str, kind: str, how: dict[str, Any]) -> Call:
    names = {"PolicyName": f"{endpoint}-{name}", "PolicyType": kind}
    policy = {f"{kind}PolicyConfiguration": how}
    return _call(endpoint, variant, "PutScalingPolicy", **names, **policy)


def described() -> Call:
    """Return the call that tells which variants of all endpoints scale by themselves now."""
    asked = {"ServiceNamespace": "sagemaker", "ScalableDimension": DIMENSION}
    return Call(SERVICE, "DescribeScalableTargets", asked)


def registered(account: Account, endpoint: str) -> list[str]:
    """Return the endpoint's variants that scale by themselves now."""
    targets = account.make(described())["ScalableTargets"]
    resources = [target["ResourceId"] for target in targets]
    prefix = _resources(endpoint)
    return [one.removeprefix(prefix) for one in resources if one.startswith(prefix)]


def removal(endpoint: str, variant: str) -> Call:
    """Return the call that ends a variant's scaling; its policies go with it."""
    return _call(endpoint, variant, "DeregisterScalableTarget")

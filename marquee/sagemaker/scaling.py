"""Auto-scaling of an endpoint, by Application Auto Scaling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marquee.errors import MarqueeError
from marquee.sagemaker.alarms import backlog_alarm
from marquee.sagemaker.cloud import Cloud
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


def resource(endpoint: str) -> dict[str, str]:
    """Return what names the endpoint's variant to Application Auto Scaling."""
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint}/variant/{VARIANT}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }


def apply(cloud: Cloud, endpoint: str, scaling: Scaling) -> None:
    """Register the endpoint, which must be in service, and put its policies."""
    bounds = {"MinCapacity": scaling.minimum, "MaxCapacity": scaling.maximum}
    cloud.call(SERVICE, "RegisterScalableTarget", **resource(endpoint), **bounds)
    tracking = _backlog(endpoint) if scaling.asynchronous else _invocations()
    cooldown = {"ScaleOutCooldown": OUT_SECONDS, "ScaleInCooldown": IN_SECONDS}
    cloud.call(
        SERVICE,
        "PutScalingPolicy",
        **resource(endpoint),
        PolicyName=f"{endpoint}-target",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=tracking
        | cooldown
        | {"TargetValue": float(scaling.target)},
    )
    if scaling.minimum == 0:
        _wake(cloud, endpoint)


def _invocations() -> dict[str, Any]:
    kind = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
    return {"PredefinedMetricSpecification": kind}


def _backlog(endpoint: str) -> dict[str, Any]:
    return {
        "CustomizedMetricSpecification": {
            "MetricName": "ApproximateBacklogSizePerInstance",
            "Namespace": "AWS/SageMaker",
            "Dimensions": [{"Name": "EndpointName", "Value": endpoint}],
            "Statistic": "Average",
        }
    }


def _wake(cloud: Cloud, endpoint: str) -> None:
    """From zero to one: a backlog per instance says nothing while there is no instance."""
    step = {"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}
    policy = cloud.call(
        SERVICE,
        "PutScalingPolicy",
        {"PolicyARN": "<the policy's ARN>"},
        **resource(endpoint),
        PolicyName=f"{endpoint}-wake",
        PolicyType="StepScaling",
        StepScalingPolicyConfiguration={
            "AdjustmentType": "ChangeInCapacity",
            "MetricAggregationType": "Average",
            "Cooldown": IN_SECONDS,
            "StepAdjustments": [step],
        },
    )
    alarm = backlog_alarm(endpoint, policy["PolicyARN"])
    cloud.call("cloudwatch", "PutMetricAlarm", **alarm)


def registered(cloud: Cloud, endpoint: str, *, assumed: bool) -> bool:
    """Return whether the endpoint's variant scales by itself now."""
    named = resource(endpoint)
    found = cloud.call(
        SERVICE,
        "DescribeScalableTargets",
        {"ScalableTargets": [named] if assumed else []},
        ServiceNamespace=named["ServiceNamespace"],
        ResourceIds=[named["ResourceId"]],
        ScalableDimension=named["ScalableDimension"],
    )
    return bool(found["ScalableTargets"])


def remove(cloud: Cloud, endpoint: str) -> None:
    """End the scaling; its policies go with it."""
    cloud.call(SERVICE, "DeregisterScalableTarget", **resource(endpoint))

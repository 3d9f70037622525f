"""Waiting for an endpoint, bounded, with its state told."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from marquee.errors import MarqueeError
from marquee.sagemaker.cloud import Cloud

SAGEMAKER = "sagemaker"
IN_SERVICE = "InService"
BUSY = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
POLL_SECONDS = 15.0
Tell = Callable[[str], None]


def describe(cloud: Cloud, endpoint: str, **assumed: Any) -> dict[str, Any]:
    """Return SageMaker's description of an endpoint that exists."""
    taken = {"EndpointStatus": IN_SERVICE} | assumed
    return cloud.call(SAGEMAKER, "DescribeEndpoint", taken, EndpointName=endpoint)


def until_in_service(
    cloud: Cloud, endpoint: str, tell: Tell, timeout: float, **assumed: Any
) -> dict[str, Any]:
    """Wait while the endpoint is worked on, and return its description.

    Raises:
        MarqueeError: it failed (with SageMaker's reason), or takes longer than ``timeout``
            seconds; it is then still being worked on.
    """
    deadline = time.monotonic() + timeout
    while True:
        found = describe(cloud, endpoint, **assumed)
        status = found["EndpointStatus"]
        if status == IN_SERVICE:
            return found
        if status not in BUSY:  # Failed, OutOfService, UpdateRollbackFailed
            raise MarqueeError(_failure(endpoint, found))
        tell(_state(found))
        if time.monotonic() > deadline:
            raise MarqueeError(
                f"the endpoint {endpoint} is still {status} after {timeout:.0f} s; SageMaker goes "
                "on by itself: look at its state in the console, or raise --timeout next time"
            )
        time.sleep(POLL_SECONDS)


def _state(found: dict[str, Any]) -> str:
    """Say what is going on, with the stage of a blue/green deployment."""
    pending = found.get("PendingDeploymentSummary", {})
    variants = pending.get("ProductionVariants", [])
    stages = [
        status.get("Status", "") for one in variants for status in one.get("VariantStatus", [])
    ]
    return ": ".join(filter(None, [found["EndpointStatus"], ", ".join(dict.fromkeys(stages))]))


def _failure(endpoint: str, found: dict[str, Any]) -> str:
    reason = " ".join(str(found.get("FailureReason", "no reason given")).split()).rstrip(".")
    return (
        f"the endpoint {endpoint} is {found['EndpointStatus']}: {reason}; its log is the group "
        f"/aws/sagemaker/Endpoints/{endpoint} of CloudWatch, and what there is goes with: "
        f"marquee sagemaker delete {endpoint}"
    )

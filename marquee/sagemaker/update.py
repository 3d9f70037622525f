"""A new configuration for an endpoint in service: blue/green, with a way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marquee.errors import MarqueeError
from marquee.sagemaker import scaling as auto_scaling
from marquee.sagemaker.cloud import Cloud
from marquee.sagemaker.deploy import create_parts, endpoint_exists, upload
from marquee.sagemaker.hosting import VARIANT, Hosting, is_ours, unknown_name
from marquee.sagemaker.rollout import Rollout
from marquee.sagemaker.scaling import Scaling
from marquee.sagemaker.tarball import Packed
from marquee.sagemaker.waiting import IN_SERVICE, SAGEMAKER, Tell, describe, until_in_service


def update(
    cloud: Cloud,
    hosting: Hosting,
    rollout: Rollout,
    *,
    packed: Packed | None = None,
    scaling: Scaling | None = None,
    keep: bool = False,
    tell: Tell = lambda _text: None,
    timeout: float = 7200,
) -> bool:
    """Move an endpoint to the configuration that ``hosting`` describes, as a whole.

    Args:
        keep: leave the old model and configuration in place, after a success too.

    Returns:
        Whether there was anything to change.

    Raises:
        MarqueeError: AWS refused something, or the update was rolled back; the old
            configuration then serves on.
    """
    before = _before(cloud, hosting)
    if before.config_name == hosting.config_name:
        if scaling is not None:
            auto_scaling.apply(cloud, hosting.endpoint, scaling)
        return False
    rollout.check_fleet(before.retained or hosting.count)
    _check_scaling(before, hosting, scaling)
    if packed is not None:
        upload(cloud, packed, hosting.model_data, tell)
    create_parts(cloud, hosting, tell)
    try:
        _switch(cloud, hosting, rollout, before, tell)
        _wait(cloud, hosting, tell, timeout)
    except MarqueeError:
        if before.moves(hosting) and scaling is not None:
            auto_scaling.apply(cloud, hosting.endpoint, scaling)  # it was taken away before
        raise
    if scaling is not None:
        auto_scaling.apply(cloud, hosting.endpoint, scaling)
    if not keep:
        _remove_old(cloud, hosting, before)
    return True


@dataclass(frozen=True)
class _Before:
    """The endpoint as it is: its configuration, whether it scales, how many instances it has."""

    config_name: str
    variants: list[dict[str, Any]]
    scales: bool
    instances: int

    @property
    def retained(self) -> int:
        """Instances to keep: what it has scaled to counts for more than what it started with."""
        return self.instances if self.scales else 0

    def moves(self, hosting: Hosting) -> bool:
        """Whether scaling must end for the update: the type of a scaling instance changes."""
        return self.scales and self.variants[0].get("InstanceType") != hosting.instance_type


def _before(cloud: Cloud, hosting: Hosting) -> _Before:
    endpoint = hosting.endpoint
    found = _current(cloud, hosting)
    name = found["EndpointConfigName"]
    variants = _variants(cloud, name, hosting)
    names = [variant["VariantName"] for variant in variants]
    if names != [VARIANT]:
        raise MarqueeError(
            f"{endpoint} has the production variants {', '.join(names)}; only endpoints with the "
            f"one that deploy makes, {VARIANT}, can be updated here"
        )
    instances = int(found["ProductionVariants"][0].get("DesiredInstanceCount", 0))
    scales = auto_scaling.registered(cloud, endpoint, assumed=True)
    return _Before(name, variants, scales, instances)


def _check_scaling(before: _Before, hosting: Hosting, scaling: Scaling | None) -> None:
    if before.moves(hosting) and scaling is None:
        raise MarqueeError(
            f"{hosting.endpoint} scales by itself, which must end while the instance type changes "
            f"to {hosting.instance_type}; say --scaling MIN MAX TARGET for afterwards"
        )


def _switch(cloud: Cloud, hosting: Hosting, rollout: Rollout, before: _Before, tell: Tell) -> None:
    alarm_names = rollout.prepare(cloud, hosting.endpoint)
    if before.moves(hosting):
        auto_scaling.remove(cloud, hosting.endpoint)
    tell(f"Updating Endpoint {hosting.endpoint}")
    cloud.call(
        SAGEMAKER,
        "UpdateEndpoint",
        EndpointName=hosting.endpoint,
        EndpointConfigName=hosting.config_name,
        DeploymentConfig=rollout.request(alarm_names),
        RetainAllVariantProperties=before.retained > 0,
    )


def _current(cloud: Cloud, hosting: Hosting) -> dict[str, Any]:
    endpoint = hosting.endpoint
    if not endpoint_exists(cloud, endpoint, assumed=True):
        raise MarqueeError(
            f"there is no endpoint {endpoint} in this region; create it with: marquee sagemaker "
            "deploy"
        )
    variant = {"VariantName": VARIANT, "DesiredInstanceCount": hosting.count}
    assumed = {"EndpointConfigName": unknown_name(endpoint), "ProductionVariants": [variant]}
    found = describe(cloud, endpoint, **assumed)
    if found["EndpointStatus"] != IN_SERVICE:
        raise MarqueeError(
            f"the endpoint {endpoint} is {found['EndpointStatus']}; an update needs it InService: "
            "wait, or delete it if it has failed"
        )
    return found


def _variants(cloud: Cloud, name: str, hosting: Hosting) -> list[dict[str, Any]]:
    variant = {
        "VariantName": VARIANT,
        "InstanceType": hosting.instance_type,
        "ModelName": unknown_name(hosting.endpoint),
    }
    assumed = {"ProductionVariants": [variant]}
    config = cloud.call(SAGEMAKER, "DescribeEndpointConfig", assumed, EndpointConfigName=name)
    variants: list[dict[str, Any]] = config["ProductionVariants"]
    return variants


def _wait(cloud: Cloud, hosting: Hosting, tell: Tell, timeout: float) -> None:
    assumed = {"EndpointConfigName": hosting.config_name}
    found = until_in_service(cloud, hosting.endpoint, tell, timeout, **assumed)
    if found["EndpointConfigName"] != hosting.config_name:
        reason = " ".join(str(found.get("FailureReason", "no reason given")).split()).rstrip(".")
        raise MarqueeError(
            f"the update of {hosting.endpoint} was rolled back: {reason}; the configuration "
            f"{found['EndpointConfigName']} serves on. Look at the alarms and at the CloudWatch "
            f"group /aws/sagemaker/Endpoints/{hosting.endpoint}"
        )


def _remove_old(cloud: Cloud, hosting: Hosting, before: _Before) -> None:
    """Delete the old configuration and its model, if they were made here."""
    if not is_ours(hosting.endpoint, before.config_name):
        return
    cloud.call(SAGEMAKER, "DeleteEndpointConfig", EndpointConfigName=before.config_name)
    model = before.variants[0]["ModelName"]
    if is_ours(hosting.endpoint, model) and model != hosting.model_name:
        cloud.call(SAGEMAKER, "DeleteModel", ModelName=model)

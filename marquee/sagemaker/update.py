"""A new configuration for an endpoint in service: blue/green, with a way back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from marquee.errors import MarqueeError
from marquee.sagemaker import alarms, endpoints
from marquee.sagemaker import scaling as auto_scaling
from marquee.sagemaker.account import Account, Answer, Call, unread
from marquee.sagemaker.deploy import make_parts, parts, reads_of_parts
from marquee.sagemaker.endpoints import CONFIG, ENDPOINT, IN_SERVICE, MODEL, SAGEMAKER
from marquee.sagemaker.hosting import VARIANT, Hosting, is_ours
from marquee.sagemaker.rollout import Rollout
from marquee.sagemaker.scaling import Scaling


@dataclass(frozen=True)
class Current:
    """The endpoint as it is.

    Attributes:
        scales: whether by itself.
        retained: instances to keep: what it has scaled to counts for more than what it started
            with.
        removable: kind and name of those of its parts that were made here.
    """

    config_name: str
    instance_type: str
    scales: bool
    retained: int
    removable: tuple[tuple[str, str], ...]

    def moves(self, hosting: Hosting) -> bool:
        """Whether scaling must end for the update: the type of a scaling instance changes."""
        return self.scales and self.instance_type != hosting.instance_type


def dry_run(
    hosting: Hosting, rollout: Rollout, scaling: Scaling | None, *, keep: bool
) -> list[Call]:
    """Return the calls of an update of an endpoint that scales, to the same type of instances."""
    endpoint, config_name = hosting.endpoint, unread("EndpointConfigName", "DescribeEndpoint")
    removable = ((CONFIG, config_name), (MODEL, unread("ModelName", "DescribeEndpointConfig")))
    current = Current(config_name, hosting.instance_type, True, hosting.count, removable)
    rollout.check_fleet(current.retained)
    return [
        endpoints.listed(ENDPOINT, endpoint),
        endpoints.described(ENDPOINT, endpoint),
        endpoints.described(CONFIG, config_name),
        auto_scaling.described(endpoint),
        *([alarms.described([*rollout.alarms])] if rollout.alarms else []),
        *reads_of_parts(hosting),
        *parts(hosting),
        *_switch(hosting, rollout, current),
        *(scaling.calls(endpoint) if scaling else []),
        *([] if keep else _removal(hosting, current)),
    ]


def update(
    account: Account,
    hosting: Hosting,
    rollout: Rollout,
    scaling: Scaling | None = None,
    *,
    keep: bool = False,
    timeout: float = 7200,
) -> bool:
    """Move an endpoint to the configuration that ``hosting`` describes, as a whole.

    The old model and configuration go after a success, unless ``keep`` is true.

    Returns:
        Whether there was anything to change.

    Raises:
        MarqueeError: AWS refused something, or the update was rolled back; the old
            configuration then serves on.
    """
    endpoint = hosting.endpoint
    current = _read(account, endpoint)
    changes = current.config_name != hosting.config_name
    if changes:
        _check(current, hosting, rollout, scaling)
        alarms.check_exist(account, [*rollout.alarms])
        make_parts(account, hosting)
        try:
            account.make_all(_switch(hosting, rollout, current), timeout)
        except MarqueeError:
            if current.moves(hosting) and scaling is not None:
                scaling.apply(account, endpoint)  # it was taken away before
            raise
    if scaling is not None:
        scaling.apply(account, endpoint)
    if changes and not keep:
        account.make_all(_removal(hosting, current))
    return changes


def _read(account: Account, endpoint: str) -> Current:
    found = _endpoint(account, endpoint)
    config_name = found["EndpointConfigName"]
    variants = account.make(endpoints.described(CONFIG, config_name))["ProductionVariants"]
    names = [variant["VariantName"] for variant in variants]
    if names != [VARIANT]:
        raise MarqueeError(
            f"{endpoint} has the production variants {', '.join(names)}; only endpoints with the "
            f"one that deploy makes, {VARIANT}, can be updated here"
        )
    parts = ((CONFIG, config_name), (MODEL, variants[0]["ModelName"]))
    ours = is_ours(endpoint, config_name)
    scales = auto_scaling.registered(account, endpoint)
    instances = int(found["ProductionVariants"][0].get("DesiredInstanceCount", 0))
    return Current(
        config_name,
        variants[0].get("InstanceType", ""),
        scales,
        instances if scales else 0,
        tuple(part for part in parts if ours and is_ours(endpoint, part[1])),
    )


def _endpoint(account: Account, endpoint: str) -> Answer:
    found = endpoints.find(account, endpoint)
    if found is None:
        raise MarqueeError(
            f"there is no endpoint {endpoint} in this region; create it with: marquee sagemaker "
            "deploy"
        )
    if found["EndpointStatus"] != IN_SERVICE:
        raise MarqueeError(
            f"the endpoint {endpoint} is {found['EndpointStatus']}; an update needs it InService: "
            "wait, or delete it if it has failed"
        )
    return found


def _check(current: Current, hosting: Hosting, rollout: Rollout, scaling: Scaling | None) -> None:
    rollout.check_fleet(current.retained or hosting.count)
    if current.moves(hosting) and scaling is None:
        raise MarqueeError(
            f"{hosting.endpoint} scales by itself, which must end while the instance type changes "
            f"to {hosting.instance_type}; say --scaling MIN MAX TARGET for afterwards"
        )


def _switch(hosting: Hosting, rollout: Rollout, current: Current) -> Iterator[Call]:
    endpoint = hosting.endpoint
    yield from rollout.alarm_calls(endpoint)
    if current.moves(hosting):
        yield auto_scaling.removal(endpoint)
    request = {
        "EndpointName": endpoint,
        "EndpointConfigName": hosting.config_name,
        "DeploymentConfig": rollout.request(endpoint),
        "RetainAllVariantProperties": current.retained > 0,
    }
    yield Call(SAGEMAKER, "UpdateEndpoint", request, f"Updating Endpoint {endpoint}")
    yield endpoints.in_service(endpoint, hosting.config_name)


def _removal(hosting: Hosting, current: Current) -> Iterator[Call]:
    for kind, name in current.removable:
        if name != hosting.model_name:
            yield endpoints.deletion(kind, name)

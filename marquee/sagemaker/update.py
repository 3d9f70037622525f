"""A new configuration for an endpoint in service: blue/green, with a way back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from marquee.errors import MarqueeError
from marquee.sagemaker import alarms, endpoints
from marquee.sagemaker import scaling as auto_scaling
from marquee.sagemaker.account import Account, Call, unread
from marquee.sagemaker.capacity import Instances
from marquee.sagemaker.deploy import make_parts, parts, reads_of_parts
from marquee.sagemaker.endpoints import CONFIG, ENDPOINT, MODEL, SAGEMAKER
from marquee.sagemaker.hosting import Hosting, is_ours
from marquee.sagemaker.rollout import ALL_AT_ONCE, Rollout
from marquee.sagemaker.scaling import Scaling


@dataclass(frozen=True)
class Current:
    """The endpoint as it is.

    Attributes:
        kinds: its variants' instance types by their names; nothing where they are serverless.
        scaled: the variants that scale by themselves, and to how many instances they have: that
            counts for more than what they started with.
        removable: kind and name of those of its parts that were made here.
    """

    config_name: str
    kinds: Mapping[str, str]
    scaled: Mapping[str, int]
    removable: tuple[tuple[str, str], ...]

    def moving(self, hosting: Hosting) -> list[str]:
        """Return the variants whose scaling must end: their instance type changes."""
        new = {variant.name: variant.capacity.kind for variant in hosting.variants}
        return [name for name in self.scaled if self.kinds[name] != new[name]]


def dry_run(
    hosting: Hosting, rollout: Rollout, scaling: Scaling | None, *, keep: bool
) -> list[Call]:
    """Return the calls of an update of an endpoint that scales, to the same type of instances."""
    endpoint, config_name = hosting.endpoint, unread("EndpointConfigName", "DescribeEndpoint")
    removable = ((CONFIG, config_name), (MODEL, unread("ModelName", "DescribeEndpointConfig")))
    kinds = {variant.name: variant.capacity.kind for variant in hosting.variants}
    current = Current(config_name, kinds, _counts(hosting), removable)
    _check(current, hosting, rollout, scaling)
    return [
        endpoints.listed(ENDPOINT, endpoint),
        endpoints.described(ENDPOINT, endpoint),
        endpoints.described(CONFIG, config_name),
        auto_scaling.described(),
        *([alarms.described([*rollout.alarms])] if rollout.alarms else []),
        *reads_of_parts(hosting),
        *parts(hosting),
        *_switch(hosting, rollout, current),
        *(scaling.calls(endpoint, hosting.variant_names) if scaling else []),
        *([] if keep else _removal(hosting, current)),
    ]


def _counts(hosting: Hosting) -> dict[str, int]:
    """Return how many instances the variants start with, but for the serverless."""
    hosts = ((variant.name, variant.capacity) for variant in hosting.variants)
    return {name: capacity.count for name, capacity in hosts if isinstance(capacity, Instances)}


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

    The old models and configuration go after a success, unless ``keep`` is true.

    Returns:
        Whether there was anything to change.

    Raises:
        MarqueeError: AWS refused something, or the update was rolled back; the old
            configuration then serves on.
    """
    endpoint, variants = hosting.endpoint, hosting.variant_names
    current = _read(account, endpoint)
    changes = current.config_name != hosting.config_name
    if changes:
        _check(current, hosting, rollout, scaling)
        alarms.check_exist(account, [*rollout.alarms])
        make_parts(account, hosting)
        try:
            account.make_all(_switch(hosting, rollout, current), timeout)
        except MarqueeError:
            if current.moving(hosting) and scaling is not None:
                scaling.apply(account, endpoint, variants)  # it was taken away before
            raise
    if scaling is not None:
        scaling.apply(account, endpoint, variants)
    if changes and not keep:
        account.make_all(_removal(hosting, current))
    return changes


def _read(account: Account, endpoint: str) -> Current:
    found = endpoints.serving(account, endpoint)
    config_name = found["EndpointConfigName"]
    variants = account.make(endpoints.described(CONFIG, config_name))["ProductionVariants"]
    now = {
        one["VariantName"]: one.get("DesiredInstanceCount", 0)
        for one in found["ProductionVariants"]
    }
    registered = auto_scaling.registered(account, endpoint)
    scaled = {name: int(now[name] or 0) for name in registered if name in now}
    kinds = {one["VariantName"]: one.get("InstanceType", "") for one in variants}
    models = dict.fromkeys((MODEL, one["ModelName"]) for one in variants)
    made = [(CONFIG, config_name), *models] if is_ours(endpoint, config_name) else []
    removable = tuple((kind, name) for kind, name in made if is_ours(endpoint, name))
    return Current(config_name, kinds, scaled, removable)


def _check(current: Current, hosting: Hosting, rollout: Rollout, scaling: Scaling | None) -> None:
    endpoint = hosting.endpoint
    if {*current.kinds} != {*hosting.variant_names}:
        raise MarqueeError(
            f"{endpoint} has the production variants {', '.join(current.kinds)}, and this update "
            f"{', '.join(hosting.variant_names)}; SageMaker keeps an endpoint's variants: name the "
            "same ones with --variant, or deploy the others as another --endpoint"
        )
    _check_serverless(current, hosting, rollout)
    rollout.check_fleet(min((_counts(hosting) | {**current.scaled}).values(), default=1))
    rollout.check_alarms(hosting)
    if scaling is None and (moving := current.moving(hosting)):
        kinds = {variant.name: variant.capacity.kind for variant in hosting.variants}
        raise MarqueeError(
            f"{endpoint} scales by itself, which must end while the instance type changes "
            f"to {kinds[moving[0]]}; say --scaling MIN MAX TARGET for afterwards"
        )


def _check_serverless(current: Current, hosting: Hosting, rollout: Rollout) -> None:
    """Refuse what SageMaker cannot do to, or make of, a serverless endpoint."""
    if hosting.is_serverless and any(current.kinds.values()):
        raise MarqueeError(
            f"{hosting.endpoint} runs on instances, and SageMaker makes no such endpoint "
            "serverless; deploy it as another --endpoint, and delete this one"
        )
    if _is_serverless(current, hosting) and (rollout.traffic != ALL_AT_ONCE or rollout.alarms):
        raise MarqueeError(
            "--traffic and --alarm are for instances: SageMaker updates a serverless endpoint at "
            "once and watches nothing; leave them away"
        )


def _is_serverless(current: Current, hosting: Hosting) -> bool:
    return hosting.is_serverless or not all(current.kinds.values())


def _switch(hosting: Hosting, rollout: Rollout, current: Current) -> Iterator[Call]:
    endpoint = hosting.endpoint
    request: dict[str, Any] = {
        "EndpointName": endpoint,
        "EndpointConfigName": hosting.config_name,
    }
    if not _is_serverless(current, hosting):  # which SageMaker neither bakes nor rolls back
        yield from rollout.alarm_calls(hosting)
        request["DeploymentConfig"] = rollout.request(hosting)
    yield from (auto_scaling.removal(endpoint, name) for name in current.moving(hosting))
    retains = any(current.scaled.values())
    request["RetainAllVariantProperties"] = retains
    if retains:  # the instances, but the weights that were said
        request["ExcludeRetainedVariantProperties"] = [{"VariantPropertyType": "DesiredWeight"}]
    yield Call(SAGEMAKER, "UpdateEndpoint", request, f"Updating Endpoint {endpoint}")
    yield endpoints.in_service(endpoint, hosting.config_name)


def _removal(hosting: Hosting, current: Current) -> Iterator[Call]:
    for kind, name in current.removable:
        if name not in hosting.model_requests():
            yield endpoints.deletion(kind, name)

"""Which part of an endpoint's requests each of its production variants gets."""

from __future__ import annotations

from collections.abc import Mapping

from marquee.errors import MarqueeError
from marquee.sagemaker import endpoints
from marquee.sagemaker.account import Account, Answer, Call, unread
from marquee.sagemaker.endpoints import ENDPOINT, SAGEMAKER


def dry_run(endpoint: str, weights: Mapping[str, float]) -> list[Call]:
    """Return the calls of :func:`shift`."""
    return [
        endpoints.listed(ENDPOINT, endpoint),
        endpoints.described(ENDPOINT, endpoint),
        *_plan(endpoint, weights, unread("EndpointConfigName", "DescribeEndpoint")),
    ]


def shift(
    account: Account, endpoint: str, weights: Mapping[str, float], *, timeout: float = 7200
) -> dict[str, float]:
    """Give variants new weights, 0 or more; those that are not named keep theirs.

    Nothing is started or stopped, and it lasts until the next shift or update.

    Returns:
        Each variant's share of the requests, 0 to 1.

    Raises:
        MarqueeError: there is no such variant, nothing would get requests, or AWS refused it.
    """
    found = endpoints.serving(account, endpoint)
    _check(found, endpoint, weights)
    plan = _plan(endpoint, weights, found["EndpointConfigName"])
    now = _weights(account.make_all(plan, timeout))
    return {name: weight / sum(now.values()) for name, weight in now.items()}


def _weights(found: Answer) -> dict[str, float]:
    return {
        one["VariantName"]: float(one.get("CurrentWeight", 0))
        for one in found["ProductionVariants"]
    }


def _check(found: Answer, endpoint: str, weights: Mapping[str, float]) -> None:
    now = _weights(found)
    unknown = sorted({*weights} - {*now})
    if unknown:
        raise MarqueeError(
            f"{endpoint} has no variant {', '.join(unknown)}; it has {', '.join(now)}"
        )
    if not any((now | dict(weights)).values()):
        raise MarqueeError(
            f"no variant of {endpoint} would get requests; give one a weight above 0"
        )


def _plan(endpoint: str, weights: Mapping[str, float], config_name: str) -> list[Call]:
    wanted = [{"VariantName": name, "DesiredWeight": weight} for name, weight in weights.items()]
    request = {"EndpointName": endpoint, "DesiredWeightsAndCapacities": wanted}
    step = f"Shifting the traffic of {endpoint}"
    return [
        Call(SAGEMAKER, "UpdateEndpointWeightsAndCapacities", request, step),
        endpoints.in_service(endpoint, config_name),
    ]

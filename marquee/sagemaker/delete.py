"""Everything of an endpoint goes: scaling, alarms, endpoint, configurations, models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from marquee.sagemaker import alarms, endpoints
from marquee.sagemaker import scaling as auto_scaling
from marquee.sagemaker.account import Account, Call, unread
from marquee.sagemaker.alarms import BACKLOG, ERRORS, LATENCY, alarm_name
from marquee.sagemaker.endpoints import CONFIG, ENDPOINT, MODEL
from marquee.sagemaker.hosting import VARIANT, is_ours
from marquee.sagemaker.values import check_endpoint_name

SCALING, ALARM = "scaling of", "alarm"


def dry_run(endpoint: str) -> list[Call]:
    """Return the calls of a deletion where everything is there that there can be."""
    check_endpoint_name(endpoint)
    made = [alarm_name(endpoint, kind) for kind in (ERRORS, LATENCY, BACKLOG)]
    remains = {SCALING: [VARIANT], ALARM: made, ENDPOINT: [endpoint]}
    remains |= {kind: [unread(f"each {kind}Name", f"List{kind}s")] for kind in (CONFIG, MODEL)}
    return [
        auto_scaling.described(),
        alarms.all_of(endpoint),
        endpoints.listed(ENDPOINT, endpoint),
        *(endpoints.listed(kind, f"{endpoint}-") for kind in (CONFIG, MODEL)),
        *_plan(endpoint, remains),
    ]


def delete(account: Account, endpoint: str, *, timeout: float = 1800) -> list[str]:
    """Delete what there is, and return what was deleted; what is not there is no error.

    Only what deploy and update have made goes; the model data in S3 stays.

    Raises:
        MarqueeError: AWS refused something; run it again to go on.
    """
    check_endpoint_name(endpoint)
    remains = _remains(account, endpoint)
    account.make_all(_plan(endpoint, remains), timeout)
    return [f"{kind} {name}" for kind, names in remains.items() for name in names]


def _remains(account: Account, endpoint: str) -> dict[str, list[str]]:
    """Return the names of what there is of the endpoint, in the order in which it goes."""
    remains = {
        SCALING: auto_scaling.registered(account, endpoint),
        ALARM: alarms.names(account, endpoint),
        ENDPOINT: [endpoint] * (endpoint in endpoints.names(account, ENDPOINT, endpoint)),
    }
    for kind in (CONFIG, MODEL):  # those of earlier updates as well
        listed = endpoints.names(account, kind, f"{endpoint}-")
        remains[kind] = [name for name in listed if is_ours(endpoint, name)]
    return remains


def _plan(endpoint: str, remains: Mapping[str, list[str]]) -> Iterator[Call]:
    yield from (auto_scaling.removal(endpoint, variant) for variant in remains[SCALING])
    if remains[ALARM]:
        yield alarms.deletion(remains[ALARM])
    if remains[ENDPOINT]:
        yield endpoints.deletion(ENDPOINT, endpoint)
        yield endpoints.gone(endpoint)
    for kind in (CONFIG, MODEL):
        yield from (endpoints.deletion(kind, name) for name in remains[kind])

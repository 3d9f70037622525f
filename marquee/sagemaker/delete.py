"""Everything of an endpoint goes: scaling, alarms, endpoint, configurations, models."""

from __future__ import annotations

import time

from marquee.errors import MarqueeError
from marquee.sagemaker import alarms
from marquee.sagemaker import scaling as auto_scaling
from marquee.sagemaker.cloud import Cloud
from marquee.sagemaker.deploy import endpoint_exists, names
from marquee.sagemaker.hosting import check_endpoint_name, is_ours, unknown_name
from marquee.sagemaker.waiting import POLL_SECONDS, SAGEMAKER, Tell


def delete(
    cloud: Cloud, endpoint: str, *, tell: Tell = lambda _text: None, timeout: float = 1800
) -> list[str]:
    """Delete what there is, and return what was deleted; what is not there is no error.

    Only what deploy and update have made goes; the model data in S3 stays.

    Raises:
        MarqueeError: AWS refused something; run it again to go on.
    """
    check_endpoint_name(endpoint)
    deleted = []
    if auto_scaling.registered(cloud, endpoint, assumed=True):
        auto_scaling.remove(cloud, endpoint)
        deleted.append("scaling")
    deleted += _alarms(cloud, endpoint)
    if endpoint_exists(cloud, endpoint, assumed=True):
        tell(f"Deleting Endpoint {endpoint}")
        cloud.call(SAGEMAKER, "DeleteEndpoint", EndpointName=endpoint)
        _until_gone(cloud, endpoint, timeout)
        deleted.append(f"Endpoint {endpoint}")
    for kind in ("EndpointConfig", "Model"):
        deleted += _parts(cloud, kind, endpoint)
    return deleted


def _alarms(cloud: Cloud, endpoint: str) -> list[str]:
    found = alarms.existing(cloud, alarms.names(endpoint))
    if found:
        cloud.call("cloudwatch", "DeleteAlarms", AlarmNames=found)
    return [f"alarm {name}" for name in found]


def _parts(cloud: Cloud, kind: str, endpoint: str) -> list[str]:
    """Delete the endpoint's configurations or models, those of earlier updates as well."""
    listed = names(cloud, kind, endpoint, [unknown_name(endpoint)])
    found = [name for name in listed if is_ours(endpoint, name)]
    for name in found:
        cloud.call(SAGEMAKER, f"Delete{kind}", **{f"{kind}Name": name})
    return [f"{kind} {name}" for name in found]


def _until_gone(cloud: Cloud, endpoint: str, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while endpoint_exists(cloud, endpoint, assumed=False):
        if time.monotonic() > deadline:
            raise MarqueeError(
                f"the endpoint {endpoint} is still being deleted after {timeout:.0f} s; run the "
                "same command again for the rest"
            )
        time.sleep(POLL_SECONDS)

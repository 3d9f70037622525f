"""A new endpoint: upload, model, endpoint configuration, endpoint, scaling."""

from __future__ import annotations

import re
from typing import Any

from marquee.errors import MarqueeError
from marquee.sagemaker import scaling as auto_scaling
from marquee.sagemaker.cloud import Cloud, every
from marquee.sagemaker.hosting import Hosting, split_s3
from marquee.sagemaker.scaling import Scaling
from marquee.sagemaker.tarball import Packed
from marquee.sagemaker.waiting import SAGEMAKER, Tell, describe, until_in_service

GZIP = "application/gzip"
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def data_address(packed: Packed, bucket: str, prefix: str, name: str) -> str:
    """Return where a model.tar.gz belongs: the same bytes always at the same address.

    Raises:
        MarqueeError: no bucket can have that name.
    """
    if not BUCKET.fullmatch(bucket):
        raise MarqueeError(
            f"--bucket is {bucket!r}; expected a bucket's name alone: 3 to 63 lower-case letters, "
            "digits, dashes and dots, a letter or a digit at both ends"
        )
    key = "/".join(filter(None, [prefix.strip("/"), name, packed.sha256[:16], "model.tar.gz"]))
    return f"s3://{bucket}/{key}"


def upload(cloud: Cloud, packed: Packed, address: str, tell: Tell) -> None:
    """Upload a model.tar.gz, unless it is there already."""
    bucket, key = split_s3(address, "--bucket")
    size = packed.path.stat().st_size
    found = stored_size(cloud, bucket, key, assumed=None)
    if found == size:
        tell(f"{address} is there already")
        return
    tell(f"Uploading {size / 1e6:.1f} MB to {address}")
    cloud.upload(packed.path, bucket, key, GZIP)


def stored_size(cloud: Cloud, bucket: str, key: str, *, assumed: int | None) -> int | None:
    """Return the bytes of an object in a bucket, or None if it is not there."""
    taken = [] if assumed is None else [{"Key": key, "Size": assumed}]
    # Not HeadObject: where listing is not allowed it says "forbidden" for what is not there.
    answer = cloud.call("s3", "ListObjectsV2", {"Contents": taken}, Bucket=bucket, Prefix=key)
    return next((one["Size"] for one in answer.get("Contents", []) if one["Key"] == key), None)


def endpoint_exists(cloud: Cloud, endpoint: str, *, assumed: bool) -> bool:
    """Return whether there is an endpoint of this name."""
    return endpoint in _names(cloud, "Endpoint", endpoint, [endpoint] if assumed else [])


def _names(cloud: Cloud, kind: str, part: str, assumed: list[str]) -> list[str]:
    """Return the names of all endpoints, endpoint configurations or models that hold ``part``."""
    field, taken = f"{kind}s", [{f"{kind}Name": name} for name in assumed]
    found = every(cloud, SAGEMAKER, f"List{field}", field, taken, NameContains=part)
    return [item[f"{kind}Name"] for item in found]


def names(cloud: Cloud, kind: str, endpoint: str, assumed: list[str]) -> list[str]:
    """Return the names of endpoint configurations or models that may be the endpoint's."""
    return _names(cloud, kind, f"{endpoint}-", assumed)


def create_parts(cloud: Cloud, hosting: Hosting, tell: Tell) -> None:
    """Create the model and the endpoint configuration, as far as they are not there."""
    parts: list[tuple[str, str, dict[str, Any]]] = [
        ("Model", hosting.model_name, hosting.model_request()),
        ("EndpointConfig", hosting.config_name, hosting.config_request()),
    ]
    for kind, name, request in parts:
        # The same name means the same contents: an earlier try got this far.
        if name in names(cloud, kind, hosting.endpoint, []):
            tell(f"{kind} {name} is there already")
            continue
        tell(f"Creating {kind} {name}")
        cloud.call(SAGEMAKER, f"Create{kind}", **request)


def deploy(
    cloud: Cloud,
    hosting: Hosting,
    *,
    packed: Packed | None = None,
    scaling: Scaling | None = None,
    tell: Tell = lambda _text: None,
    timeout: float = 3600,
) -> None:
    """Create an endpoint and wait until it is in service; a second try goes on where one ended.

    Args:
        packed: the model.tar.gz to upload to ``hosting.model_data``; None if it is there.

    Raises:
        MarqueeError: an endpoint of the name exists and is another, AWS refused something, or
            the endpoint failed.
    """
    endpoint = hosting.endpoint
    if not _begun(cloud, hosting):
        if packed is not None:
            upload(cloud, packed, hosting.model_data, tell)
        create_parts(cloud, hosting, tell)
        tell(f"Creating Endpoint {endpoint}")
        created = {"EndpointName": endpoint, "EndpointConfigName": hosting.config_name}
        cloud.call(SAGEMAKER, "CreateEndpoint", **created)
    until_in_service(cloud, endpoint, tell, timeout)
    if scaling is not None:
        auto_scaling.apply(cloud, endpoint, scaling)


def _begun(cloud: Cloud, hosting: Hosting) -> bool:
    """Return whether an earlier try got as far as the endpoint."""
    if not endpoint_exists(cloud, hosting.endpoint, assumed=False):
        return False
    found = describe(cloud, hosting.endpoint)
    if found["EndpointConfigName"] != hosting.config_name:
        raise MarqueeError(
            f"the endpoint {hosting.endpoint} exists with another configuration and is "
            f"{found['EndpointStatus']}; change it with: marquee sagemaker update, name another "
            "with --endpoint, or delete it first"
        )
    return True

"""A new endpoint: upload, model, endpoint configuration, endpoint, scaling."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from marquee.errors import MarqueeError
from marquee.sagemaker import endpoints, objects
from marquee.sagemaker.account import Account, Call
from marquee.sagemaker.endpoints import CONFIG, ENDPOINT, MODEL, SAGEMAKER
from marquee.sagemaker.hosting import Hosting
from marquee.sagemaker.scaling import Scaling
from marquee.sagemaker.tarball import Packed

GZIP = "application/gzip"
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# What an endpoint is made of; a batch transform needs models alone.
KINDS = (MODEL, CONFIG)


def data_address(packed: Packed, bucket: str, prefix: str, name: str) -> str:
    """Return where a model.tar.gz belongs: the same bytes always at the same address."""
    if not BUCKET.fullmatch(bucket):
        raise MarqueeError(
            f"--bucket is {bucket!r}; expected a bucket's name alone: 3 to 63 lower-case letters, "
            "digits, dashes and dots, a letter or a digit at both ends"
        )
    key = "/".join(filter(None, [prefix.strip("/"), name, packed.sha256[:16], "model.tar.gz"]))
    return f"s3://{bucket}/{key}"


def dry_run(hosting: Hosting, scaling: Scaling | None) -> list[Call]:
    """Return the calls of a deployment where nothing is there yet."""
    endpoint = hosting.endpoint
    return [
        endpoints.listed(ENDPOINT, endpoint),
        *reads_of_parts(hosting),
        *parts(hosting),
        _creation(hosting),
        endpoints.in_service(endpoint, hosting.config_name),
        *(scaling.calls(endpoint, hosting.variant_names) if scaling else ()),
    ]


def deploy(
    account: Account, hosting: Hosting, scaling: Scaling | None = None, *, timeout: float = 3600
) -> None:
    """Create an endpoint and wait until it is in service; a second try goes on where one ended.

    Raises:
        MarqueeError: an endpoint of the name exists and is another, AWS refused something, or
            the endpoint failed.
    """
    found = endpoints.find(account, hosting.endpoint)
    if found is None:
        make_parts(account, hosting)
        account.make_all([_creation(hosting)])
    elif found["EndpointConfigName"] != hosting.config_name:
        raise MarqueeError(
            f"the endpoint {hosting.endpoint} exists with another configuration and is "
            f"{found['EndpointStatus']}; change it with: marquee sagemaker update, name another "
            "with --endpoint, or delete it first"
        )
    account.make_all([endpoints.in_service(hosting.endpoint, hosting.config_name)], timeout)
    if scaling is not None:
        scaling.apply(account, hosting.endpoint, hosting.variant_names)


def reads_of_parts(hosting: Hosting, kinds: Sequence[str] = KINDS) -> list[Call]:
    """Return the calls by which :func:`make_parts` finds what is there."""
    data = [objects.listed(address) for address in hosting.uploads]
    return data + [endpoints.listed(kind, f"{hosting.endpoint}-") for kind in kinds]


def make_parts(account: Account, hosting: Hosting, kinds: Sequence[str] = KINDS) -> None:
    """Upload, and make what is of these kinds, as far as an earlier try has not."""
    there = [
        address
        for address, packed in hosting.uploads.items()
        if objects.size(account, address) == packed.size
    ]
    wanted = {MODEL: [*hosting.model_requests()], CONFIG: [hosting.config_name]}
    for kind in kinds:
        found = endpoints.names(account, kind, f"{hosting.endpoint}-")
        # The same name means the same contents.
        there += [f"{kind} {name}" for name in wanted[kind] if name in found]
    for part in there:
        account.report(f"{part} is there already")
    account.make_all(parts(hosting, there, kinds))


def parts(
    hosting: Hosting, there: Collection[str] = (), kinds: Sequence[str] = KINDS
) -> Iterator[Call]:
    """Yield the calls that make the parts of these kinds, but for those that are there already."""
    for address, packed in hosting.uploads.items():
        if address not in there:
            step = f"Uploading {packed.size / 1e6:.1f} MB to {address}"
            yield objects.upload(packed.path, address, GZIP, step)
    requests = [(MODEL, request) for request in hosting.model_requests().values()]
    for kind, request in [*requests, (CONFIG, hosting.config_request())]:
        part = f"{kind} {request[f'{kind}Name']}"
        if kind in kinds and part not in there:
            yield Call(SAGEMAKER, f"Create{kind}", request, f"Creating {part}")


def _creation(hosting: Hosting) -> Call:
    request: dict[str, Any] = {
        "EndpointName": hosting.endpoint,
        "EndpointConfigName": hosting.config_name,
    }
    request |= hosting.tagging
    return Call(SAGEMAKER, "CreateEndpoint", request, f"Creating Endpoint {hosting.endpoint}")

"""The options of ``marquee sagemaker deploy`` and ``update``, and the endpoint that they make."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from marquee.cli.params import group, pairs
from marquee.cli.sagemaker_variants import OF_INSTANCES, read_variants, refuse, variant
from marquee.scratch import scratch

if TYPE_CHECKING:
    from marquee.sagemaker.hosting import Hosting
    from marquee.sagemaker.scaling import Scaling
    from marquee.sagemaker.settings import AsyncSettings, Capture, VpcSettings

_pairs = partial(click.option, multiple=True, callback=pairs, metavar="NAME=VALUE")

container = group(
    click.option("--role", required=True, metavar="ARN", help="What SageMaker assumes."),
    click.option("--image", required=True, metavar="URI", help="See docker/build_and_push.sh."),
    click.option("--bucket", help="Pack the model and upload it there."),
    click.option("--prefix", default="marquee", show_default=True, help="In the bucket."),
)

network = group(
    click.option("--isolated", is_flag=True, help="No network for the container."),
    click.option(
        "--subnet", "subnets", multiple=True, metavar="ID", help="Of a VPC, for the container."
    ),
    click.option("--security-group", "groups", multiple=True, metavar="ID", help="With --subnet."),
)

hosting = group(
    container,
    click.option(
        "--model-data",
        metavar="S3-URI",
        help="A model.tar.gz that is uploaded already; with --multi-model a folder of them, with "
        "a / last.",
    ),
    click.option("--endpoint", metavar="NAME", help="If not the model's name."),
    click.option(
        "--variant",
        "variants",
        multiple=True,
        type=variant,
        metavar="NAME=MODEL[,weight=N][,type=TYPE][,count=N]",
        help="One of several production variants; MODEL is a version to pack, or an S3 URI.",
    ),
    click.option("--instance-type", show_default="ml.c5.xlarge"),
    click.option(
        "--ami",
        metavar="NAME",
        help="The host image of GPU instances, for a container of your own; by default the one "
        "with the driver that CUDA 13 wants.",
    ),
    click.option("--count", type=click.IntRange(1), show_default="1"),
    _pairs("--env", "environment", help="Of the container."),
    click.option(
        "--startup-timeout",
        "startup_seconds",
        type=click.IntRange(60, 3600),
        show_default="600",
        metavar="SECONDS",
        help="Until the container answers /ping.",
    ),
    click.option("--serverless", is_flag=True, help="No instances, and no GPU: paid by request."),
    click.option(
        "--memory",
        type=int,
        show_default="4096",
        metavar="MB",
        help="With --serverless: 1024 to 6144 in steps of 1024.",
    ),
    click.option(
        "--provisioned",
        type=click.IntRange(1),
        metavar="N",
        help="With --serverless: containers that are always there.",
    ),
    click.option(
        "--multi-model", is_flag=True, help="Requests name a model.tar.gz below --model-data."
    ),
    click.option(
        "--no-model-cache", is_flag=True, help="With --multi-model: load for each request."
    ),
    click.option("--async", "asynchronous", is_flag=True, help="An asynchronous endpoint."),
    click.option("--output", metavar="S3-URI", help="With --async: where answers go."),
    click.option("--failure", metavar="S3-URI", help="With --async: where failures go."),
    click.option("--success-topic", metavar="ARN", help="With --async: an SNS topic."),
    click.option("--error-topic", metavar="ARN", help="With --async: an SNS topic."),
    click.option(
        "--max-concurrent",
        type=click.IntRange(1, 1000),
        help="With --async: requests that an instance gets at once. With --serverless: containers "
        "at once, of a request each; 5 by default.",
    ),
    click.option("--kms-key", "volume_key", metavar="KEY", help="Encrypts the instances' volumes."),
    click.option(
        "--output-kms-key",
        "output_key",
        metavar="KEY",
        help="Encrypts what --async and --data-capture write.",
    ),
    network,
    _pairs("--tag", "tags", help="Of models, configuration and endpoint."),
    click.option(
        "--data-capture", "capture", metavar="S3-URI", help="Keep requests and answers there."
    ),
    click.option(
        "--capture-percent",
        type=click.IntRange(1, 100),
        show_default="100",
        metavar="N",
        help="With --data-capture: of the requests.",
    ),
)

scaling = click.option(
    "--scaling",
    type=(int, int, float),
    metavar="MIN MAX TARGET",
    help="Instances, and invocations a minute and instance; with --async waiting requests an "
    "instance, and MIN may be 0.",
)


@contextmanager
def hosted(model: str, given: dict[str, Any]) -> Iterator[tuple[Hosting, Scaling | None]]:
    """Give the endpoint that the options describe, and its scaling; they are all taken."""
    from marquee.sagemaker.hosting import Hosting
    from marquee.sagemaker.scaling import Scaling

    if given["serverless"]:
        refuse(
            given,
            OF_INSTANCES,
            "is for instances, and --serverless has none (and no GPU); leave it away",
        )
    bounds: tuple[int, int, float] | None = given.pop("scaling")
    with scratch() as folder:
        made: dict[str, Any] = {
            "asynchronous": _asynchronous(given),
            "capture": _capture(given),
            "network": read_network(given),
            "model_cache": not given.pop("no_model_cache"),
            "endpoint": given.pop("endpoint") or model,
            "variants": read_variants(model, given, folder),
        }
        if not made["model_cache"] and not given["multi_model"]:
            raise click.UsageError("--no-model-cache is for --multi-model")
        described = Hosting(**made, **given)
        is_queue = described.asynchronous is not None
        yield described, None if bounds is None else Scaling(*bounds, asynchronous=is_queue)


def _asynchronous(given: dict[str, Any]) -> AsyncSettings | None:
    """Take the options of ``--async`` out of ``given``, but what other kinds share."""
    from marquee.sagemaker.settings import AsyncSettings

    own = {name: given.pop(name) for name in ("output", "failure", "success_topic", "error_topic")}
    if not given.pop("asynchronous"):
        refuse(own, tuple(own), "is for --async")
        if given["max_concurrent"] is not None and not given["serverless"]:
            raise click.UsageError("--max-concurrent is for --async, and for --serverless")
        if given["output_key"] is not None and given["capture"] is None:
            raise click.UsageError("--output-kms-key is for --async and --data-capture")
        return None
    if own["output"] is None:
        raise click.UsageError("--async needs --output s3://BUCKET/PATH for the answers")
    return AsyncSettings(**own, max_concurrent=given["max_concurrent"], key=given["output_key"])


def _capture(given: dict[str, Any]) -> Capture | None:
    from marquee.sagemaker.settings import Capture

    destination, percent, key = (
        given.pop(name) for name in ("capture", "capture_percent", "output_key")
    )
    if destination is None:
        if percent is not None:
            raise click.UsageError("--capture-percent is for --data-capture")
        return None
    return Capture(destination, percent or 100, key)


def read_network(given: dict[str, Any]) -> VpcSettings | None:
    """Take the VPC out of ``given``."""
    from marquee.sagemaker.settings import VpcSettings

    subnets, groups = given.pop("subnets"), given.pop("groups")
    return VpcSettings(subnets, groups) if subnets or groups else None

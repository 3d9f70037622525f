"""The options of ``marquee sagemaker``, in groups, and what is made of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from marquee.cli.params import Number, duration, group, pairs

if TYPE_CHECKING:
    from marquee.sagemaker.hosting import AsyncSettings, Hosting
    from marquee.sagemaker.invoke import EndpointRequest
    from marquee.sagemaker.rollout import Rollout

_duration = partial(click.option, type=duration, show_default=True, metavar="SECONDS")
_pairs = partial(click.option, multiple=True, callback=pairs, metavar="NAME=VALUE")

source = group(
    click.option(
        "--version",
        "versions",
        multiple=True,
        metavar="VERSION",
        help="Pack this version; again for more, 'all' for all. By default the model's default.",
    ),
    click.option(
        "--script",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="Pack a SageMaker model folder, or the model.tar.gz of one, instead.",
    ),
    click.option("--program", metavar="FILE", help="With --script: if not inference.py."),
)

account = group(
    click.option("--region", help="If not the one of your AWS configuration."),
    click.option("--profile", help="Of your AWS configuration."),
    _duration("--timeout", default=7200, help="How long to wait."),
    click.option("--dry-run", is_flag=True, help="Print every API call as JSON; make none."),
)

hosting = group(
    click.option("--role", required=True, metavar="ARN", help="What SageMaker assumes."),
    click.option("--image", required=True, metavar="URI", help="See docker/build_and_push.sh."),
    click.option("--bucket", help="Pack the model and upload it there."),
    click.option("--prefix", default="marquee", show_default=True, help="In the bucket."),
    click.option("--model-data", metavar="S3-URI", help="A model.tar.gz that is uploaded already."),
    click.option("--endpoint", metavar="NAME", help="If not the model's name."),
    click.option("--instance-type", default="ml.c5.xlarge", show_default=True),
    click.option(
        "--ami",
        metavar="NAME",
        help="The host image of GPU instances, for a container of your own; by default the one "
        "with the driver that CUDA 13 wants.",
    ),
    click.option("--count", type=click.IntRange(1), default=1, show_default=True),
    _pairs("--env", "environment", help="Of the container."),
    click.option(
        "--startup-timeout",
        "startup_seconds",
        type=click.IntRange(60, 3600),
        default=600,
        show_default=True,
        metavar="SECONDS",
        help="Until the container answers /ping.",
    ),
    click.option("--isolated", is_flag=True, help="No network for the container."),
    click.option("--async", "asynchronous", is_flag=True, help="An asynchronous endpoint."),
    click.option("--output", metavar="S3-URI", help="With --async: where answers go."),
    click.option("--failure", metavar="S3-URI", help="With --async: where failures go."),
    click.option("--success-topic", metavar="ARN", help="With --async: an SNS topic."),
    click.option("--error-topic", metavar="ARN", help="With --async: an SNS topic."),
    click.option(
        "--max-concurrent",
        type=click.IntRange(1, 1000),
        help="With --async: requests that an instance gets at once.",
    ),
)

scaling = click.option(
    "--scaling",
    type=(int, int, float),
    metavar="MIN MAX TARGET",
    help="Instances, and invocations a minute and instance; with --async waiting requests an "
    "instance, and MIN may be 0.",
)

rollout = group(
    click.option(
        "--traffic",
        type=click.Choice(["all-at-once", "canary", "linear"]),
        default="all-at-once",
        show_default=True,
    ),
    click.option("--step", type=int, default=10, show_default=True, help="Percent of the fleet."),
    _duration("--bake", default=300, help="Watch the alarms this long after each step."),
    _duration("--termination-wait", "termination", default=0, help="Until the old instances go."),
    _duration("--limit", default=3600, help="Rolled back when it takes longer."),
    click.option("--alarm", "alarms", multiple=True, metavar="NAME", help="Rolls back; repeat."),
    click.option(
        "--alarm-errors",
        "errors",
        type=click.IntRange(1),
        metavar="N",
        help="Make an alarm: N answers of 5xx in a minute.",
    ),
    click.option(
        "--alarm-latency",
        "latency",
        type=Number(0, min_open=True),
        metavar="MS",
        help="Make an alarm: p95 of the model's time in a minute.",
    ),
    click.option("--keep", is_flag=True, help="Keep the old model and configuration."),
)

request = group(
    click.option("--content-type", help="If not the one of the file's name."),
    click.option("--accept", help="A media type, or json, png, jpg, npy."),
    _pairs("--param", "parameters", help="A parameter; repeat."),
    click.option("--model", help="Which, where the container holds several."),
    click.option("--inference-id", help="A name for the request."),
    click.option("-o", "--output", metavar="FILE", help="Save the answer; - for stdout."),
    click.option("--async", "asynchronous", is_flag=True, help="Of an asynchronous endpoint."),
    click.option("--input", "inputs", metavar="S3-URI", help="With --async: where the input goes."),
    click.option(
        "--request-seconds",
        type=click.IntRange(1, 3600),
        help="With --async: the model's time for it.",
    ),
)


def read_hosting(model: str, given: dict[str, Any]) -> Hosting:
    """Return the endpoint that the options describe; they are named as its fields are."""
    from marquee.sagemaker.hosting import Hosting

    asynchronous = _async_settings(given)
    return Hosting(endpoint=given.pop("endpoint") or model, asynchronous=asynchronous, **given)


def _async_settings(given: dict[str, Any]) -> AsyncSettings | None:
    """Take the options of ``--async`` out of ``given``."""
    from marquee.sagemaker.hosting import AsyncSettings

    names = ("output", "failure", "success_topic", "error_topic", "max_concurrent")
    own = {name: given.pop(name) for name in names}
    if given.pop("asynchronous"):
        if own["output"] is None:
            raise click.UsageError("--async needs --output s3://BUCKET/PATH for the answers")
        return AsyncSettings(**own)
    for name, value in own.items():
        if value is not None:
            raise click.UsageError(f"--{name.replace('_', '-')} is for --async")
    return None


def read_rollout(given: dict[str, Any]) -> Rollout:
    """Take the rollout's options out of ``given``."""
    from marquee.sagemaker.rollout import Rollout

    names = ("traffic", "step", "bake", "termination", "limit", "alarms", "errors", "latency")
    chosen = {name: given.pop(name) for name in names}
    seconds = {name: int(chosen[name]) for name in ("bake", "termination", "limit")}
    return Rollout(**chosen | seconds)


def read_request(file: Path, output: str | None, given: dict[str, Any]) -> EndpointRequest:
    """Return the request that the options describe; types by the files where none is said."""
    from marquee.media import ANSWERS, accepted, type_of, type_of_file
    from marquee.sagemaker.invoke import EndpointRequest

    accept = given["accept"]
    if accept is None and output and Path(output).suffix.lower() in ANSWERS:
        accept = type_of(Path(output))
    typed = type_of_file if file.is_file() else type_of
    content_type = given["content_type"] or typed(file)
    types = {"content_type": content_type, "accept": None if accept is None else accepted(accept)}
    return EndpointRequest(file, **given | types)

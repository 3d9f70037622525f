"""The options of ``marquee sagemaker`` but what an endpoint is, and what is made of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from marquee.cli.params import Number, duration, group, pairs, percent, whole_seconds

if TYPE_CHECKING:
    from marquee.sagemaker.invoke import EndpointRequest
    from marquee.sagemaker.rollout import Rollout

_duration = partial(click.option, type=duration, show_default=True, metavar="SECONDS")
_whole = partial(_duration, type=whole_seconds)
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

access = group(
    click.option("--region", help="If not the one of your AWS configuration."),
    click.option("--profile", help="Of your AWS configuration."),
    click.option("--dry-run", is_flag=True, help="Print every API call as JSON; make none."),
)
account = group(access, _duration("--timeout", default=7200, help="How long to wait."))

rollout = group(
    click.option(
        "--traffic",
        type=click.Choice(["all-at-once", "canary", "linear"]),
        default="all-at-once",
        show_default=True,
    ),
    click.option("--step", type=int, default=10, show_default=True, help="Percent of the fleet."),
    _whole("--bake", default=600, help="Watch the alarms this long after each step."),
    _whole("--termination-wait", "termination", default=0, help="Until the old instances go."),
    _whole("--limit", default=7200, help="Rolled back when it takes longer."),
    click.option("--alarm", "alarms", multiple=True, metavar="NAME", help="Rolls back; repeat."),
    click.option(
        "--alarm-errors",
        "errors",
        type=percent,
        metavar="PERCENT",
        show_default="10%",
        help="Rolled back when more of the answers of five minutes are 5xx.",
    ),
    click.option(
        "--alarm-requests",
        "requests",
        type=click.IntRange(1),
        metavar="N",
        show_default="10",
        help="With fewer requests in five minutes, errors say nothing.",
    ),
    click.option(
        "--alarm-latency",
        "latency",
        type=Number(0, min_open=True),
        metavar="MS",
        show_default="15000; with --async none",
        help="Rolled back when p95 of the model's time in five minutes is longer; with --async its "
        "mean.",
    ),
    click.option("--no-alarms", is_flag=True, help="Make no alarms; those of --alarm still count."),
    click.option("--keep", is_flag=True, help="Keep the old models and configuration."),
)

request = group(
    click.option("--content-type", help="If not the one of the file's name."),
    click.option("--accept", help="A media type, or json, png, jpg, npy."),
    _pairs("--param", "parameters", help="A parameter; repeat."),
    click.option("--model", help="Which, where the container holds several."),
    click.option("--target-model", metavar="NAME.tar.gz", help="Which, of a multi-model endpoint."),
    click.option("--variant", metavar="NAME", help="Which, of several production variants."),
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


def read_rollout(given: dict[str, Any]) -> Rollout:
    """Take the rollout's options out of ``given``."""
    from marquee.sagemaker.rollout import Rollout

    chosen = {name: given.pop(name) for name in ("traffic", "step", "alarms")}
    chosen |= {name: int(given.pop(name)) for name in ("bake", "termination", "limit")}
    limits = {name: given.pop(name) for name in ("errors", "requests", "latency")}
    said = {name: value for name, value in limits.items() if value is not None}
    makes_none = given.pop("no_alarms")
    if said and (makes_none or given["serverless"]):
        why = "--no-alarms makes none" if makes_none else "SageMaker watches none for --serverless"
        raise click.UsageError(f"--alarm-{min(said)} is for an alarm, and {why}")
    if makes_none:
        return Rollout(**chosen, errors=None, latency=None)
    if given["asynchronous"]:  # how long its requests may take is not known
        said.setdefault("latency", None)
    return Rollout(**chosen, **said)


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

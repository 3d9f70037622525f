"""``marquee sagemaker transform`` and ``stop-transform``: batch transform jobs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from marquee.cli import sagemaker_options as options
from marquee.cli.params import group, pairs
from marquee.cli.sagemaker_account import opened, print_calls
from marquee.cli.sagemaker_hosting import container, network, read_network
from marquee.cli.sagemaker_variants import read_variants
from marquee.scratch import scratch

if TYPE_CHECKING:
    from marquee.sagemaker.transform import Transform

_pairs = partial(click.option, multiple=True, callback=pairs, metavar="NAME=VALUE")

job = group(
    click.option("--name", help="Of the job; by default MODEL and the time."),
    container,
    click.option("--model-data", metavar="S3-URI", help="A model.tar.gz that is uploaded already."),
    click.option("--instance-type", show_default="ml.c5.xlarge"),
    click.option(
        "--ami",
        metavar="NAME",
        help="The host image of GPU instances, for a container of your own.",
    ),
    click.option("--count", type=click.IntRange(1, 100), show_default="1"),
    click.option("--content-type", metavar="TYPE", help="Of each request, such as image/jpeg."),
    click.option("--accept", metavar="TYPE", help="Of each answer; the model's own by default."),
    click.option(
        "--split",
        type=click.Choice(["None", "Line"]),
        default="None",
        show_default=True,
        help="Line: a request for each line of a file; None: one for each file.",
    ),
    click.option(
        "--strategy",
        type=click.Choice(["SingleRecord", "MultiRecord"]),
        help="With --split Line: a line, or as many as fit, in a request.",
    ),
    click.option(
        "--assemble",
        type=click.Choice(["None", "Line"]),
        default="None",
        show_default=True,
        help="Line: a line break behind each answer.",
    ),
    click.option(
        "--max-payload",
        type=click.IntRange(0, 100),
        metavar="MB",
        help="Of a request; 0 is no bound. The container says by default.",
    ),
    click.option(
        "--max-concurrent",
        "concurrent",
        type=click.IntRange(1, 100),
        help="Requests that an instance gets at once. The container says by default.",
    ),
    click.option(
        "--request-seconds",
        "seconds",
        type=click.IntRange(1, 3600),
        help="The model's time for a request.",
    ),
    click.option("--retries", type=click.IntRange(0, 3), help="Of a request that failed."),
    _pairs("--env", "environment", help="Of the container."),
    click.option("--kms-key", "volume_key", metavar="KEY", help="Encrypts the instances' volumes."),
    click.option("--output-kms-key", "output_key", metavar="KEY", help="Encrypts the answers."),
    network,
    _pairs("--tag", "tags", help="Of the model and the job."),
)
OF_HOSTING = ("image", "role", "isolated", "volume_key", "tags")
OF_VARIANT = ("model_data", "bucket", "prefix", "versions", "script", "program")
OF_INSTANCES = ("instance_type", "count", "ami")
# What a variant of an endpoint has besides.
NO_ENDPOINT = {"variants": (), "multi_model": False, "serverless": False, "startup_seconds": None}
NO_ENDPOINT |= {"memory": None, "provisioned": None, "max_concurrent": None}


@click.command()
@click.argument("model")
@click.argument("source", metavar="S3-INPUT")
@click.argument("target", metavar="S3-OUTPUT")
@job
@options.source
@options.account
def transform(model: str, dry_run: bool, timeout: float, **rest: Any) -> None:
    """Ask MODEL about each file below S3-INPUT, by a batch transform job, and wait for its end."""
    from marquee.sagemaker import transform as batch

    with opened(rest, dry_run) as account, _described(model, rest) as wanted:
        if account is None:
            print_calls(batch.dry_run(wanted))
            return
        batch.transform(account, wanted, timeout=timeout)
    click.echo(f"the job {wanted.name} is Completed; its answers are in {wanted.target}")


@click.command("stop-transform")
@click.argument("name", metavar="JOB")
@options.account
def stop_transform(name: str, dry_run: bool, timeout: float, **rest: Any) -> None:
    """Stop a batch transform job; what it has written stays."""
    from marquee.sagemaker import transform as batch

    with opened(rest, dry_run) as account:
        if account is None:
            print_calls(batch.dry_stop(name))
            return
        ended = batch.stop(account, name, timeout=timeout)
    click.echo(f"the job {name} is {ended}")


@contextmanager
def _described(model: str, given: dict[str, Any]) -> Iterator[Transform]:
    """Give the job that the options describe."""
    from marquee.sagemaker.hosting import Hosting
    from marquee.sagemaker.transform import Transform

    of_variant = {name: given.pop(name) for name in (*OF_VARIANT, *OF_INSTANCES)}
    of_hosting = {name: given.pop(name) for name in OF_HOSTING}
    name = given.pop("name") or f"{model}-{datetime.now(timezone.utc):%Y%m%d-%H%M%S}"
    vpc = read_network(given)
    with scratch() as folder:
        variants = read_variants(model, of_variant | NO_ENDPOINT, folder)
        hosting = Hosting(endpoint=model, variants=variants, network=vpc, **of_hosting)
        yield Transform(name=name, hosting=hosting, **given)

"""``marquee sagemaker``: endpoints of Amazon SageMaker, by boto3; docs/sagemaker.md."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from marquee.cli import sagemaker_options as options
from marquee.cli.sagemaker_account import opened, print_calls
from marquee.cli.sagemaker_hosting import hosted, hosting, scaling
from marquee.cli.sagemaker_models import models
from marquee.cli.sagemaker_traffic import traffic
from marquee.cli.sagemaker_transform import stop_transform, transform
from marquee.cli.sagemaker_variants import pack_model

if TYPE_CHECKING:
    from marquee.sagemaker.invoke import EndpointAnswer


@click.group()
def sagemaker() -> None:
    """Pack models for Amazon SageMaker, and drive their endpoints."""


sagemaker.add_command(models)
sagemaker.add_command(traffic)
sagemaker.add_command(transform)
sagemaker.add_command(stop_transform)


@sagemaker.command()
@click.argument("model", required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("model.tar.gz"),
    show_default=True,
)
@options.source
def pack(model: str | None, output: Path, **source: Any) -> None:
    """Write the model.tar.gz of a model's archives, or of a script folder."""
    packed = pack_model(model, output, **source)
    click.echo(f"packed  sha256:{packed.sha256}  {packed.path}")
    for name in packed.members:
        click.echo(f"  {name}")


@sagemaker.command("deploy")
@click.argument("model")
@hosting
@options.source
@scaling
@options.account
def deploy_endpoint(model: str, dry_run: bool, timeout: float, **rest: Any) -> None:
    """Create an endpoint that serves MODEL, and wait until it is in service."""
    from marquee.sagemaker import deploy

    with opened(rest, dry_run) as account, hosted(model, rest) as (wanted, bounds):
        if account is None:
            print_calls(deploy.dry_run(wanted, bounds))
            return
        deploy.deploy(account, wanted, bounds, timeout=timeout)
    click.echo(f"the endpoint {wanted.endpoint} is in service")


@sagemaker.command("update")
@click.argument("model")
@hosting
@options.source
@scaling
@options.rollout
@options.account
def update_endpoint(model: str, dry_run: bool, timeout: float, keep: bool, **rest: Any) -> None:
    """Move an endpoint to what the options say, blue/green; alarms roll it back."""
    from marquee.sagemaker import update

    rollout = options.read_rollout(rest)
    with opened(rest, dry_run) as account, hosted(model, rest) as (wanted, bounds):
        if account is None:
            print_calls(update.dry_run(wanted, rollout, bounds, keep=keep))
            return
        changed = update.update(account, wanted, rollout, bounds, keep=keep, timeout=timeout)
    done = "is updated" if changed else "has this configuration already"
    click.echo(f"the endpoint {wanted.endpoint} {done}")


@sagemaker.command("invoke")
@click.argument("endpoint")
@click.argument("file", type=click.Path(path_type=Path))
@options.request
@options.account
def invoke_endpoint(
    *,
    endpoint: str,
    file: Path,
    asynchronous: bool,
    output: str | None,
    dry_run: bool,
    timeout: float,
    **rest: Any,
) -> None:
    """Send FILE to an endpoint, and print or save the answer."""
    from marquee.sagemaker import invoke

    if not asynchronous and (rest["inputs"], rest["request_seconds"]) != (None, None):
        raise click.UsageError("--input and --request-seconds are for --async")
    with opened(rest, dry_run) as account:
        request = options.read_request(file, output, rest)
        if account is None:
            planned = invoke.dry_run_async if asynchronous else invoke.dry_run
            print_calls(planned(endpoint, request))
            return
        if asynchronous:
            answer = invoke.invoke_async(account, endpoint, request, timeout=timeout)
        else:
            answer = invoke.invoke(account, endpoint, request)
    _print_or_save(answer, file, output)


def _print_or_save(answer: EndpointAnswer, file: Path, output: str | None) -> None:
    """Print text; save anything else, and what was asked to be."""
    from marquee.media import HEAD, answer_type, is_shown, suffix_of

    content_type = answer_type(answer.content_type, answer.body[:HEAD])
    is_text = is_shown(content_type)
    if output == "-" or (output is None and is_text):
        sys.stdout.buffer.write(answer.body + (b"\n" if is_text and output is None else b""))
        sys.stdout.buffer.flush()
        return
    path = Path(output or f"{file.stem}-answer{suffix_of(content_type)}")
    path.write_bytes(answer.body)
    click.echo(f"{path}  {content_type}, {len(answer.body)} bytes")


@sagemaker.command("delete")
@click.argument("endpoint")
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.account
def delete_endpoint(endpoint: str, yes: bool, dry_run: bool, timeout: float, **rest: Any) -> None:
    """Delete an endpoint with its scaling, alarms, configurations and models."""
    from marquee.sagemaker import delete

    if not yes and not dry_run:
        click.confirm(
            f"Delete the endpoint {endpoint}, its scaling, alarms, configurations and models?",
            abort=True,
            err=True,
        )
    with opened(rest, dry_run) as account:
        if account is None:
            print_calls(delete.dry_run(endpoint))
            return
        deleted = delete.delete(account, endpoint, timeout=timeout)
    for one in deleted or ["nothing, for nothing was there"]:
        click.echo(f"deleted {one}")

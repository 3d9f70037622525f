"""``marquee sagemaker``: endpoints of Amazon SageMaker, by boto3; docs/sagemaker.md."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from marquee.cli import sagemaker_options as options
from marquee.project import Project

if TYPE_CHECKING:
    from marquee.sagemaker.account import Account, Call
    from marquee.sagemaker.hosting import Hosting
    from marquee.sagemaker.invoke import EndpointAnswer
    from marquee.sagemaker.scaling import Scaling
    from marquee.sagemaker.tarball import Packed


@click.group()
def sagemaker() -> None:
    """Pack models for Amazon SageMaker, and drive their endpoints."""


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
    packed = _pack(model, output, **source)
    click.echo(f"packed  sha256:{packed.sha256}  {packed.path}")
    for name in packed.members:
        click.echo(f"  {name}")


def _pack(
    model: str | None, output: Path, versions: tuple[str, ...], script: Path | None, program: str
) -> Packed:
    from marquee.sagemaker import tarball

    if script is not None:
        if versions:
            raise click.UsageError("a script folder has no --version")
        return tarball.pack_script(script, output, program)
    if model is None:
        raise click.UsageError("name a MODEL, or a folder with --script")
    return tarball.pack(Project.find(), model, versions, output)


@sagemaker.command("deploy")
@click.argument("model")
@options.hosting
@options.source
@options.scaling
@options.account
def deploy_endpoint(model: str, dry_run: bool, timeout: float, **rest: Any) -> None:
    """Create an endpoint that serves MODEL, and wait until it is in service."""
    from marquee.sagemaker import deploy

    with _account(rest, dry_run) as account, _hosted(model, rest) as (hosting, scaling):
        if account is None:
            _print(deploy.dry_run(hosting, scaling))
            return
        deploy.deploy(account, hosting, scaling, timeout=timeout)
    click.echo(f"the endpoint {hosting.endpoint} is in service")


@sagemaker.command("update")
@click.argument("model")
@options.hosting
@options.source
@options.scaling
@options.rollout
@options.account
def update_endpoint(model: str, dry_run: bool, timeout: float, keep: bool, **rest: Any) -> None:
    """Move an endpoint to what the options say, blue/green; alarms roll it back."""
    from marquee.sagemaker import update

    rollout = options.read_rollout(rest)
    with _account(rest, dry_run) as account, _hosted(model, rest) as (hosting, scaling):
        if account is None:
            _print(update.dry_run(hosting, rollout, scaling, keep=keep))
            return
        changed = update.update(account, hosting, rollout, scaling, keep=keep, timeout=timeout)
    done = "is updated" if changed else "has this configuration already"
    click.echo(f"the endpoint {hosting.endpoint} {done}")


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
    with _account(rest, dry_run) as account:
        request = options.read_request(file, output, rest)
        if account is None:
            planned = invoke.dry_run_async if asynchronous else invoke.dry_run
            _print(planned(endpoint, request))
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
    with _account(rest, dry_run) as account:
        if account is None:
            _print(delete.dry_run(endpoint))
            return
        deleted = delete.delete(account, endpoint, timeout=timeout)
    for one in deleted or ["nothing, for nothing was there"]:
        click.echo(f"deleted {one}")


def _print(calls: Iterable[Call]) -> None:
    from marquee.sagemaker.account import as_json

    click.echo(json.dumps(as_json(calls), indent=2))


@contextmanager
def _account(rest: dict[str, Any], dry_run: bool) -> Iterator[Account | None]:
    """Give the account, whose steps are shown on stderr; None where no call is to be made."""
    region, profile = rest.pop("region"), rest.pop("profile")
    if dry_run:
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from marquee.sagemaker.account import Account

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        task = progress.add_task("Asking AWS", total=None, step="")

        def report(step: str) -> None:
            if progress.tasks[task].fields["step"] != step:  # the same again is shown once
                console.print(step, markup=False)
                progress.update(task, description=step, step=step)

        def uploaded(count: int) -> None:  # called from boto3's own threads
            progress.advance(task, count)
            sent = progress.tasks[task].completed / 1e6
            progress.update(task, description=f"Uploaded {sent:.1f} MB")

        yield Account(region, profile, report=report, uploaded=uploaded)


@contextmanager
def _hosted(model: str, rest: dict[str, Any]) -> Iterator[tuple[Hosting, Scaling | None]]:
    """Give the endpoint that the options describe, and its scaling."""
    from marquee.sagemaker.deploy import data_address
    from marquee.sagemaker.scaling import Scaling

    source = {name: rest.pop(name) for name in ("versions", "script", "program")}
    data, bucket, prefix = (rest.pop(name) for name in ("model_data", "bucket", "prefix"))
    bounds: tuple[int, int, float] | None = rest.pop("scaling")
    packed = None
    if (data is None) == (bucket is None):
        raise click.UsageError("say either --bucket (to pack and upload) or --model-data")
    if data is not None and (source["versions"] or source["script"]):
        raise click.UsageError("--model-data is packed already: no --version, no --script")
    with tempfile.TemporaryDirectory(prefix="marquee-") as folder:
        if data is None:
            packed = _pack(model, Path(folder) / "model.tar.gz", **source)
            data = data_address(packed, bucket, prefix, model)
        hosting = options.read_hosting(model, rest | {"model_data": data, "packed": packed})
        is_queue = hosting.asynchronous is not None
        yield hosting, None if bounds is None else Scaling(*bounds, asynchronous=is_queue)

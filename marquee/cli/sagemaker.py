"""``marquee sagemaker``: endpoints of Amazon SageMaker, by boto3; docs/sagemaker.md."""

# ruff: noqa: PLC0415

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from marquee.cli import sagemaker_options as options
from marquee.cli.errors import told
from marquee.project import Project

if TYPE_CHECKING:
    from marquee.sagemaker.cloud import Cloud
    from marquee.sagemaker.hosting import Hosting
    from marquee.sagemaker.invoke import Reply
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
@told
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


@sagemaker.command()
@click.argument("model")
@options.hosting
@options.source
@options.scaling
@options.account
@told
def deploy(model: str, dry_run: bool, scaling: Any, timeout: float, **rest: Any) -> None:
    """Create an endpoint that serves MODEL, and wait until it is in service."""
    from marquee.sagemaker.deploy import deploy as create

    with _cloud(dry_run, rest) as (cloud, tell), _hosted(model, rest) as (hosting, packed):
        wanted = options.read_scaling(scaling, hosting)
        create(cloud, hosting, packed=packed, scaling=wanted, tell=tell, timeout=timeout)
    _say(dry_run, f"the endpoint {hosting.endpoint} is in service")


@sagemaker.command()
@click.argument("model")
@options.hosting
@options.source
@options.scaling
@options.rollout
@options.account
@told
def update(
    model: str, dry_run: bool, scaling: Any, timeout: float, keep: bool, **rest: Any
) -> None:
    """Move an endpoint to what the options say, blue/green; alarms roll it back."""
    from marquee.sagemaker.update import update as move

    plan = options.read_rollout(rest)
    with _cloud(dry_run, rest) as (cloud, tell), _hosted(model, rest) as (hosting, packed):
        wanted = options.read_scaling(scaling, hosting)
        more: dict[str, Any] = {"keep": keep, "tell": tell, "timeout": timeout}
        changed = move(cloud, hosting, plan, packed=packed, scaling=wanted, **more)
    done = "is updated" if changed else "has this configuration already"
    _say(dry_run, f"the endpoint {hosting.endpoint} {done}")


@sagemaker.command()
@click.argument("endpoint")
@click.argument("file", type=click.Path(path_type=Path))
@options.question
@options.account
@told
def invoke(
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
    from marquee.sagemaker import invoke as asking

    queue = {"inputs": rest.pop("input"), "request_seconds": rest.pop("request_seconds")}
    if not asynchronous and any(value is not None for value in queue.values()):
        raise click.UsageError("--input and --request-seconds are for --async")
    asked = options.read_question(file, output, rest)
    with _cloud(dry_run, rest) as (cloud, tell):
        if asynchronous:
            more: dict[str, Any] = {"tell": tell, "timeout": timeout, **queue}
            reply = asking.invoke_async(cloud, endpoint, asked, **more)
        else:
            reply = asking.invoke(cloud, endpoint, asked)
    if not dry_run:
        _show(reply, file, output)


def _show(reply: Reply, file: Path, output: str | None) -> None:
    """Print text; save anything else, and what was asked to be."""
    from marquee.media import answer_type, is_shown, suffix_of
    from marquee.signatures import HEAD

    content_type = answer_type(reply.content_type, reply.body[:HEAD])
    is_text = is_shown(content_type)
    if output == "-" or (output is None and is_text):
        sys.stdout.buffer.write(reply.body + (b"\n" if is_text and output is None else b""))
        sys.stdout.buffer.flush()
        return
    path = Path(output or f"{file.stem}-answer{suffix_of(content_type)}")
    path.write_bytes(reply.body)
    click.echo(f"{path}  {content_type}, {len(reply.body)} bytes")


@sagemaker.command()
@click.argument("endpoint")
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.account
@told
def delete(endpoint: str, yes: bool, dry_run: bool, timeout: float, **rest: Any) -> None:
    """Delete an endpoint with its scaling, alarms, configurations and models."""
    from marquee.sagemaker.delete import delete as remove

    if not yes and not dry_run:
        click.confirm(
            f"Delete the endpoint {endpoint}, its scaling, alarms, configurations and models?",
            abort=True,
            err=True,
        )
    with _cloud(dry_run, rest) as (cloud, tell):
        gone = remove(cloud, endpoint, tell=tell, timeout=timeout)
    _say(dry_run, *[f"deleted {one}" for one in gone or ["nothing, for nothing was there"]])


@contextmanager
def _cloud(dry_run: bool, rest: dict[str, Any]) -> Iterator[tuple[Cloud, Callable[[str], None]]]:
    """Give the account, or a rehearsal whose calls are printed at the end."""
    from marquee.sagemaker.cloud import Account, Rehearsal
    from marquee.sagemaker.shown import Shown

    region, profile = rest.pop("region"), rest.pop("profile")
    if dry_run:
        rehearsal = Rehearsal()
        yield rehearsal, lambda _step: None
        click.echo(json.dumps(rehearsal.calls, indent=2, default=bytes.decode))
        return
    with Shown() as shown:
        yield Account(region, profile, shown.uploaded), shown.tell


@contextmanager
def _hosted(model: str, rest: dict[str, Any]) -> Iterator[tuple[Hosting, Packed | None]]:
    """Give what the options describe, with the model.tar.gz to upload for it, if any."""
    from marquee.sagemaker.deploy import data_address

    source = {name: rest.pop(name) for name in ("versions", "script", "program")}
    data, bucket, prefix = (rest.pop(name) for name in ("model_data", "bucket", "prefix"))
    if (data is None) == (bucket is None):
        raise click.UsageError("say either --bucket (to pack and upload) or --model-data")
    if data is not None:
        if source["versions"] or source["script"]:
            raise click.UsageError("--model-data is packed already: no --version, no --script")
        yield options.read_hosting(model, data, rest), None
        return
    with tempfile.TemporaryDirectory(prefix="marquee-") as folder:
        packed = _pack(model, Path(folder) / "model.tar.gz", **source)
        address = data_address(packed, bucket, prefix, model)
        yield options.read_hosting(model, address, rest), packed


def _say(dry_run: bool, *lines: str) -> None:
    if not dry_run:
        for line in lines:
            click.echo(line)

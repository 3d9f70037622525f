"""``marquee cloud``: the pipelines of the five systems on this machine."""

# ruff: noqa: PLC0415

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from marquee.cli.errors import told
from marquee.errors import MarqueeError
from marquee.project import Project

if TYPE_CHECKING:
    from deploy.local.state import State


@click.group()
@told
def cloud() -> None:
    """Run the AWS stack, its functions and SageMaker's runtime on this machine."""
    clone = Path(__file__).parents[2]
    if not (clone / "deploy" / "local").is_dir():
        raise MarqueeError(
            f"the cloud on this machine is a part of marquee's repository, deploy/local/, and "
            f"{clone} has none: install marquee from a clone of it, as its README tells"
        )
    if str(clone) not in sys.path:
        sys.path.append(str(clone))


@cloud.command()
@click.option("--port", default=4566, show_default=True, help="Of all services; 0 for any.")
@click.option("--api-port", default=4567, show_default=True, help="Of the stack's API.")
@click.option("--stack", default="marquee", show_default=True, help="The stack's name.")
@click.option(
    "--parameter",
    multiple=True,
    metavar="NAME=VALUE",
    help="Of the template, such as PayloadBytes=26214400.",
)
@click.option(
    "--endpoint",
    multiple=True,
    metavar="NAME=MODEL[/VERSION]",
    help="The model that an endpoint of your own stands for. One that is not created answers "
    "InvokeEndpoint and InvokeEndpointAsync.",
)
@click.option("--detach", is_flag=True, help="Return when it is up, and leave it running.")
@told
def up(
    parameter: tuple[str, ...], endpoint: tuple[str, ...], *, detach: bool, **options: Any
) -> None:
    """Start everything; Ctrl-C, or `marquee cloud down`, stops it and leaves nothing."""
    from deploy.local.account import needed

    needed()
    from deploy.local import up as foreground
    from deploy.local.cloud import Options
    from deploy.local.torchserve import Target

    models = {name: Target.of(text) for name, text in map(_pair, endpoint)}
    chosen = Options(parameters=dict(map(_pair, parameter)), endpoints=models, **options)
    if detach:
        words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        words += [f"--parameter={text}" for text in parameter]
        words += [f"--endpoint={text}" for text in endpoint]
        foreground.detach(Project.find(), words)
    else:
        sys.exit(foreground.run(Project.find(), chosen))


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise click.UsageError(f"'{text}' is not NAME=VALUE")
    return name, value


@cloud.command()
@told
def down() -> None:
    """Stop the cloud, wherever it was started, and remove what it has left."""
    from deploy.local.state import down as stop

    stopped = stop(Project.find())
    click.echo("stopped" if stopped else "no cloud of this project is running")


@cloud.command()
@told
def env() -> None:
    """Print shell exports that point AWS's SDK and CLI, and you, at the running cloud.

    They hold the API's key: it opens this cloud alone.
    """
    from deploy.local.up import exports

    click.echo(exports(_running()))


@cloud.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("cloud-demo"),
    show_default=True,
    help="Folder for the pictures.",
)
@told
def demo(output: Path) -> None:
    """Put the five examples through the five pipelines, and show what came out.

    Starts a cloud, and stops it again, if none is running. Exit code 1 when a pipeline fails.
    """
    from deploy.local.account import needed

    needed()
    from deploy.local.show import run

    sys.exit(run(Project.find(), output))


def _running() -> State:
    from deploy.local.state import running

    known = running(Project.find())
    if known is None:
        raise MarqueeError("no cloud of this project is running; start it: marquee cloud up")
    return known

"""The commands of ``marquee cloud``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from marquee.cli.params import pairs
from marquee.errors import MarqueeError
from marquee.project import Project

if TYPE_CHECKING:
    from deploy.local.state import RunningCloud


@click.group()
def commands() -> None:
    """Hold the commands; marquee/cli/cloud.py is what users see."""


@commands.command()
@click.option("--port", default=4566, show_default=True, help="Of all services; 0 for any.")
@click.option("--api-port", default=4567, show_default=True, help="Of the stack's API.")
@click.option("--stack", default="marquee", show_default=True, help="The stack's name.")
@click.option(
    "--parameter",
    multiple=True,
    callback=pairs,
    metavar="NAME=VALUE",
    help="Of the template, such as PayloadBytes=26214400.",
)
@click.option(
    "--endpoint",
    multiple=True,
    callback=pairs,
    metavar="NAME=MODEL[/VERSION]",
    help="The model that an endpoint of your own stands for. One that is not created answers "
    "InvokeEndpoint and InvokeEndpointAsync.",
)
@click.option("--detach", is_flag=True, help="Return when it is up, and leave it running.")
def up(
    parameter: dict[str, str], endpoint: dict[str, str], *, detach: bool, **options: Any
) -> None:
    """Start everything; Ctrl-C, or `marquee cloud down`, stops it and leaves nothing."""
    from deploy.local.account import needed

    needed()
    from deploy.local import up as foreground
    from deploy.local.cloud import CloudOptions
    from deploy.local.endpoints import Target

    if detach:
        words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        words += [f"--parameter={name}={value}" for name, value in parameter.items()]
        words += [f"--endpoint={name}={value}" for name, value in endpoint.items()]
        foreground.detach(Project.find(), words)
        return
    models = {name: Target.of(text) for name, text in endpoint.items()}
    chosen = CloudOptions(parameters=parameter, endpoints=models, **options)
    sys.exit(foreground.run(Project.find(), chosen))


@commands.command()
def down() -> None:
    """Stop the cloud, wherever it was started, and remove what it has left."""
    from deploy.local import state

    stopped = state.down(Project.find())
    click.echo("stopped" if stopped else "no cloud of this project is running")


@commands.command()
def env() -> None:
    """Print shell exports that point AWS's SDK and CLI, and you, at the running cloud.

    They hold the API's key: it opens this cloud alone.
    """
    for name, value in _running().environment.items():
        click.echo(f"export {name}={shlex.quote(value)}")


@commands.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("cloud-demo"),
    show_default=True,
    help="Folder for the pictures.",
)
def demo(output: Path) -> None:
    """Put the five examples through the five pipelines, and show what came out.

    Starts a cloud, and stops it again, if none is running. Exit code 1 when a pipeline fails.
    """
    from deploy.local.account import needed

    needed()
    from examples.demo import run

    sys.exit(run(Project.find(), output))


def _running() -> RunningCloud:
    from deploy.local import state

    cloud = state.running(Project.find())
    if cloud is None:
        raise MarqueeError("no cloud of this project is running; start it: marquee cloud up")
    return cloud

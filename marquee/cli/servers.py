"""``marquee serve``, ``stop``, ``token`` and ``env``: one server, from start to stop."""

from __future__ import annotations

import shlex

import click

from marquee.errors import MarqueeError
from marquee.project import Project


@click.command()
@click.option("--front", is_flag=True, help="Put HAProxy before it: see docs/operations.md.")
def serve(front: bool) -> None:
    """Start TorchServe, wait until every model answers, and stop it with Ctrl-C."""
    from marquee.serving.serve import run

    run(Project.find(), front=front)


@click.command()
def stop() -> None:
    """Stop the project's server, wherever it was started."""
    from marquee.front import rayserver
    from marquee.front.process import running as front_of
    from marquee.torchserve.server import running_pid, wait_ended
    from marquee.torchserve.server import stop as stop_server

    project = Project.find()
    pid, front, ray = running_pid(project), front_of(project), rayserver.running(project)
    if ray is not None:
        ray.stop()
    if front is not None:
        front.close(lambda count: click.echo(f"answering {count} requests in flight"))
    stop_server(project)
    if pid is not None:
        # `marquee serve` ends it as well, once the front door is closed, and may be quicker.
        wait_ended(pid)
    some = any(one is not None for one in (pid, front, ray))
    click.echo("stopped" if some else "no server of this project is running")


@click.command()
@click.argument("kind", type=click.Choice(["inference", "management"]), default="inference")
def token(kind: str) -> None:
    """Print a valid token of the running server, renewed if it is about to expire."""
    from marquee.torchserve.connection import keys_of

    keys = keys_of(Project.find())
    if keys is None:
        raise MarqueeError(
            "tokens are turned off (disable_token_authorization=true): send requests without one"
        )
    click.echo(keys.get(kind))


@click.command()
def env() -> None:
    """Print shell exports that make plain torchserve commands use this project."""
    from marquee.torchserve.server import variables

    for name, value in variables(Project.find()).items():
        click.echo(f"export {name}={shlex.quote(value)}")

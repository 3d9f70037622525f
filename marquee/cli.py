"""The ``marquee`` command."""

from __future__ import annotations

import errno
import functools
import sys
from collections.abc import Callable
from typing import Any

import click

from marquee.errors import MarqueeError
from marquee.project import Project

# Imported inside the commands: `marquee token` and `marquee env` must be quick.
# ruff: noqa: PLC0415


def _told(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn our errors into one line on stderr and exit code 1."""

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except MarqueeError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise click.ClickException(
                f"the disk is full ({error.filename}); free some space and try again"
            ) from error

    return wrapper


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="marquee")
def main() -> None:
    """Package PyTorch vision models as TorchServe archives and serve them."""


@main.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--force", is_flag=True, help="Build also what is up to date.")
@_told
def archive(models: tuple[str, ...], force: bool) -> None:
    """Build the archives that are out of date, of all models or those named."""
    from marquee import rooms
    from marquee.archive import build

    project = Project.find()
    for name in models or rooms.names(project):
        for model in rooms.versions(project, name):
            built = build(project, model, force=force)
            state = "built     " if built.fresh else "up to date"
            click.echo(f"{state}  sha256:{built.sha256}  {built.path.name}")


@main.command()
@_told
def serve() -> None:
    """Start TorchServe, wait until every model answers, and stop it with Ctrl-C."""
    from marquee.serve import run

    sys.exit(run(Project.find()))


@main.command()
@_told
def stop() -> None:
    """Stop the project's server, wherever it was started."""
    from marquee.server import stop as stop_server

    was_running = stop_server(Project.find())
    click.echo("stopped" if was_running else "no server of this project is running")


@main.command()
@click.argument("kind", type=click.Choice(["inference", "management"]), default="inference")
@_told
def token(kind: str) -> None:
    """Print a valid token of the running server, renewed if it is about to expire."""
    from marquee.management import keys_of

    keys = keys_of(Project.find())
    if keys is None:
        raise MarqueeError(
            "tokens are turned off (disable_token_authorization=true): send requests without one"
        )
    click.echo(keys.get(kind))


@main.command()
@_told
def env() -> None:
    """Print shell exports that make plain torchserve commands use this project."""
    from marquee.environment import exports, variables

    click.echo(exports(variables(Project.find())))


if __name__ == "__main__":
    main()

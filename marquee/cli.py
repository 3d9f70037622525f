"""The ``marquee`` command."""

from __future__ import annotations

import errno
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from marquee.errors import MarqueeError
from marquee.project import Project

if TYPE_CHECKING:
    from marquee.archive import Built

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
            where = f" ({error.filename})" if error.filename else ""
            raise click.ClickException(
                f"the disk is full{where}; free some space in the model store and the temporary "
                "folder, and try again"
            ) from error

    return wrapper


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="marquee")
def main() -> None:
    """Package PyTorch vision models as TorchServe archives and serve them."""


@main.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--force", is_flag=True, help="Build also what is up to date.")
@click.option(
    "--script",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Build an archive of a SageMaker model folder or model.tar.gz instead.",
)
@click.option("--name", help="With --script: the model's name.")
@click.option("--version", default="1.0", show_default=True, help="With --script: its version.")
@click.option("--program", metavar="FILE", help="With --script: its file, if not inference.py.")
@click.option(
    "--example",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --script: a request body to check and warm up the model with.",
)
@click.option(
    "--stack",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="With --script: whether several requests are predicted in one call.",
)
@click.option("--batch-size", type=click.IntRange(1), help="With --script: requests a batch.")
@click.option(
    "--skip-requirements",
    is_flag=True,
    help="With --script: do not compare code/requirements.txt with this environment.",
)
@_told
def archive(
    models: tuple[str, ...], force: bool, script: Path | None, name: str | None, **options: Any
) -> None:
    """Build the archives that are out of date, of all models or those named."""
    project = Project.find()
    if script is None:
        _archive_models(project, models, force)
        return
    if models or name is None:
        raise click.UsageError("--script needs --name, and takes no MODEL")
    from marquee import script_archive

    source = script_archive.ScriptSource(script, name, **options)
    _report(script_archive.build(project, source, force=force))


def _archive_models(project: Project, models: tuple[str, ...], force: bool) -> None:
    from marquee import rooms
    from marquee.archive import build

    for name in models or rooms.names(project):
        for model in rooms.versions(project, name):
            _report(build(project, model, force=force))


def _report(built: Built) -> None:
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

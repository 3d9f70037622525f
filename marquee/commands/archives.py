"""``marquee archive``: build what goes into the model store."""

# ruff: noqa: PLC0415

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from marquee.commands.told import told
from marquee.project import Project

if TYPE_CHECKING:
    from marquee.archive import Built


@click.command()
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
@told
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

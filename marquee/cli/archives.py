"""``marquee archive``: build what goes into the model store."""

# ruff: noqa: PLC0415

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from marquee.cli.errors import printable, told
from marquee.errors import MarqueeError
from marquee.project import Project

if TYPE_CHECKING:
    from marquee.archives.build import Built


# Not 1, which Ctrl-C gives as well: `make serve` goes on with what could be built.
SOME_MISSING = 3


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
    "--example-type",
    metavar="TYPE",
    help="With --script: the example's media type, if its name does not tell.",
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
@click.option(
    "--inspect",
    "looked_at",
    metavar="ARCHIVE",
    help="Show what is in an archive, and whether it is safe, instead of building any.",
)
@click.option(
    "--diff", "compared", nargs=2, metavar="A B", help="Show what differs between two archives."
)
@click.option("--json", "as_json", is_flag=True, help="With --inspect and --diff: for machines.")
@told
def archive(
    models: tuple[str, ...],
    *,
    force: bool,
    script: Path | None,
    name: str | None,
    looked_at: str | None,
    compared: tuple[str, str] | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Build the archives that are out of date, of all models or those named.

    One that cannot be built does not hold up the others: the exit code is 3 if some are missing, 1
    if all are. Files in weights/ that go into no archive are named.
    """
    if looked_at is not None or compared is not None:
        if models or script or (looked_at and compared):
            raise click.UsageError("--inspect and --diff go alone")
        _look_at(looked_at, compared, as_json)
        return
    project = Project.find()
    if script is None:
        _archive_models(project, models, force)
        return
    if models or name is None:
        raise click.UsageError("--script needs --name, and takes no MODEL")
    from marquee.archives import script as script_archive

    source = script_archive.ScriptSource(script, name, **options)
    _report(script_archive.build(project, source, force=force))


def _archive_models(project: Project, models: tuple[str, ...], force: bool) -> None:
    from marquee.archives import rooms, unused_weights

    asked = [
        (name, version)
        for name in models or rooms.names(project)
        for version in _versions(project, name)
    ]
    missing = [named for named in asked if not _built(project, *named, force=force)]
    for line in unused_weights.warnings(project):
        click.echo(f"Warning: {printable(line)}", err=True)
    if missing:
        if len(asked) > 1:
            listed = ", ".join(" ".join(named).strip() for named in missing)
            done = len(asked) - len(missing)
            click.echo(f"Not built: {listed}; {done} of {len(asked)} are up to date", err=True)
        raise SystemExit(SOME_MISSING if len(missing) < len(asked) else 1)


def _versions(project: Project, name: str) -> list[str]:
    """Return a model's versions; none by name where its configuration is wrong."""
    from marquee.archives import rooms

    if name not in rooms.names(project):
        rooms.weight_names(project, name)  # says which there are
    try:
        return [*rooms.weight_names(project, name)]
    except MarqueeError:
        return [""]


def _built(project: Project, name: str, version: str, *, force: bool) -> bool:
    """Build one archive; what is wrong with it is told, and the others are not held up."""
    from marquee.archives import rooms
    from marquee.archives.build import build

    try:
        if not version:
            rooms.weight_names(project, name)  # says what is wrong
        model = rooms.version_of(project, name, version)
        built = build(project, model, force=force, say=lambda line: click.echo(line, err=True))
    except (MarqueeError, OSError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        named = f"{name} {version}: " if isinstance(error, OSError) else ""
        click.echo(f"Error: {named}{printable(str(error))}", err=True)
        return False
    _report(built)
    for said in built.refused:
        click.echo(
            f"Warning: {name} {version} cannot process its example {printable(said)}; put a "
            f"sample input that it can into weights/{name}/, as example.png or the like",
            err=True,
        )
    return True


def _report(built: Built) -> None:
    from marquee.archives.build import weights_of

    state = "built     " if built.fresh else "up to date"
    weights = weights_of(built.path)
    said = "" if weights is None else f"  weights: {weights}"
    click.echo(f"{state}  sha256:{built.sha256}  {built.path.name}{said}")


def _look_at(looked_at: str | None, compared: tuple[str, str] | None, as_json: bool) -> None:
    from marquee.cli import archive_texts as texts

    if compared is not None:
        from marquee.archives.diff import diff
        from marquee.archives.inspection import inspect

        before, after = (inspect(_find(named)) for named in compared)
        found = diff(before, after)
        click.echo(texts.difference_json(found) if as_json else texts.difference(found))
    elif looked_at is not None:
        click.echo(_inspected(_find(looked_at), as_json))


def _inspected(path: Path, as_json: bool) -> str:
    from marquee.archives.inspection import inspect
    from marquee.cli import archive_texts as texts

    try:
        found = inspect(path)
    except MarqueeError as error:
        if not as_json:
            raise
        click.echo(texts.unsafe_json(path, str(error)))
        raise SystemExit(1) from error
    return texts.inspection_json(found) if as_json else texts.inspection(found)


def _find(named: str) -> Path:
    """Return an archive by its path, which needs no project, or by its name in the store."""
    from marquee.archives.store import find_archive

    path = Path(named)
    return path if path.exists() else find_archive(Project.find().model_store, named)

"""``marquee archive``: build what goes into the model store, look into archives, compare them."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from marquee.cli.errors import printable
from marquee.cli.params import AS_JSON
from marquee.errors import MarqueeError
from marquee.files import replacing
from marquee.project import Project

if TYPE_CHECKING:
    from marquee.archives.build import BuiltArchive
    from marquee.archives.inspection import ArchiveDiff, FileChange, Inspection

NO_DIGEST = "its manifest states no content digest: not made by marquee, or by an early one"
# Not 1, which Ctrl-C gives as well: `make serve` goes on with what could be built.
SOME_MISSING = 3
# What were options of the command before it had subcommands.
MOVED = {"--script": "script FOLDER", "--inspect": "inspect ARCHIVE", "--diff": "diff A B"}


class ArchiveGroup(click.Group):
    """A group that builds where no subcommand is named: ``marquee archive cifar --force``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``build`` before what names no subcommand and asks for no help."""
        if not args or args[0] not in {*self.commands, *ctx.help_option_names}:
            for option in (word.partition("=")[0] for word in args):
                if option in MOVED:
                    moved = f"{option} is a subcommand now: marquee archive {MOVED[option]}"
                    raise click.UsageError(moved, ctx)
            args = ["build", *args]
        return super().parse_args(ctx, args)


@click.group(cls=ArchiveGroup, options_metavar="", subcommand_metavar="[COMMAND] [ARGS]...")
def archive() -> None:
    """Build archives, or look into them.

    Without a COMMAND it builds: `marquee archive` all models, `marquee archive cifar` one.
    """


@archive.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--force", is_flag=True, help="Build also what is up to date.")
def build(models: tuple[str, ...], force: bool) -> None:
    """Build what is out of date, of all models or those named.

    One that cannot be built does not hold up the others: the exit code is 3 if some are missing, 1
    if all are. Files in weights/ that go into no archive are named.
    """
    from marquee.archives import rooms, unused_weights

    project = Project.find()
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
    from marquee.archives import build, rooms

    try:
        if not version:
            rooms.weight_names(project, name)  # says what is wrong
        model = rooms.version_of(project, name, version)
        built = build.build(
            project, model, force=force, say=lambda line: click.echo(line, err=True)
        )
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


@archive.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="The model's name.")
@click.option("--version", default="1.0", show_default=True, help="Its version.")
@click.option("--program", metavar="FILE", help="The script's file, if not inference.py.")
@click.option(
    "--example",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A request body to check and warm up the model with.",
)
@click.option(
    "--example-type", metavar="TYPE", help="Its media type, if its file's name does not tell."
)
@click.option(
    "--stack",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Whether several requests are predicted in one call.",
)
@click.option("--batch-size", type=click.IntRange(1), help="Requests a batch.")
@click.option(
    "--skip-requirements",
    is_flag=True,
    help="Do not compare code/requirements.txt with this environment.",
)
@click.option("--force", is_flag=True, help="Build it also when it is up to date.")
def script(folder: Path, name: str, *, force: bool, **options: Any) -> None:
    """Build an archive of a SageMaker script.

    FOLDER is its model folder, or the model.tar.gz of one.
    """
    from marquee.archives.script import ScriptSource, build

    _report(build(Project.find(), ScriptSource(folder, name, **options), force=force))


def _report(built: BuiltArchive) -> None:
    from marquee.archives import reader

    state = "built     " if built.fresh else "up to date"
    weights = reader.read(built.path).weights_origin
    said = "" if weights is None else f"  weights: {weights}"
    click.echo(f"{state}  sha256:{built.sha256}  {built.path.name}{said}")


@archive.command()
@click.argument("named", metavar="ARCHIVE")
@AS_JSON
def inspect(named: str, as_json: bool) -> None:
    """Show what is in an archive, and whether it is safe.

    Nothing of it is run. ARCHIVE is a path, or a name in the model store such as cifar-2.0.
    """
    from marquee.archives import inspection

    path = _find(named)
    try:
        inspected = inspection.inspect(path)
    except MarqueeError as error:
        if not as_json:
            raise
        click.echo(json.dumps({"path": str(path), "safe": False, "why": str(error)}, indent=1))
        raise SystemExit(1) from error
    click.echo(_inspection_json(inspected) if as_json else printable(_inspection_text(inspected)))


@archive.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@AS_JSON
def diff(before: str, after: str, as_json: bool) -> None:
    """Show what differs between two archives.

    Each is a path, or a name in the model store such as cifar-2.0.
    """
    from marquee.archives import inspection

    looked_into = [inspection.inspect(_find(named)) for named in (before, after)]
    difference = inspection.diff(*looked_into)
    click.echo(_diff_json(difference) if as_json else printable(_diff_text(difference)))


@archive.command()
@click.argument("named", metavar="ARCHIVE")
@click.option(
    "--key",
    required=True,
    type=click.Path(path_type=Path),
    metavar="KEY",
    help="A private key of an elliptic curve, in PEM.",
)
def sign(named: str, key: Path) -> None:
    """Sign an archive, for servers that run signed ones only.

    The signature lies beside it: cifar-2.0.mar.sig. It is one of OpenSSF's model signing, over name
    and SHA-256 of each file. A key's password is asked for, or read from MARQUEE_KEY_PASSWORD.
    """
    from marquee.archives import trust

    path = _find(named)
    target = trust.sign(path, key, _password(key))
    click.echo(f"signed      {path.name}  in {printable(str(target))}")


def _password(key: Path) -> bytes | None:
    """Return the password of a key that has one."""
    from marquee.archives import trust

    if not trust.signatures().is_encrypted(key):
        return None
    given = os.environ.get("MARQUEE_KEY_PASSWORD")
    text: str = given or click.prompt(f"Password of {key}", hide_input=True, err=True)
    return text.encode()


@archive.command()
@click.argument("named", metavar="ARCHIVE")
@click.option(
    "--key",
    "keys",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PUBLIC",
    help="A public key in PEM; may be given several times. Without it: those of marquee.trust.",
)
def verify(named: str, keys: tuple[Path, ...]) -> None:
    """Tell whether a key that you trust has signed an archive as it is.

    Nothing of it is run. The exit code is 1 where none has.
    """
    from marquee.archives import trust

    trusted = trust.checkable(keys) or trust.keys(Project.find())
    if not trusted:
        raise click.UsageError(
            "no key is named: give --key, or set marquee.trust in config.properties"
        )
    path = _find(named)
    key = trust.verify(path, trusted)
    click.echo(f"signed      {path.name}  with {printable(str(key))}, and unchanged since")


@archive.command()
@click.argument("named", metavar="ARCHIVE")
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), metavar="FILE", help="A file to write it to."
)
def sbom(named: str, output: Path | None) -> None:
    """Print what an archive is made of, as a CycloneDX document (a bill of materials).

    Nothing of it is run. Its files with their SHA-256, weights, what its requirements ask for and
    what its code imports. The same archive gives the same document.
    """
    from marquee.archives.sbom import document

    text = json.dumps(document(_find(named)), indent=1)
    if output is None:
        click.echo(text)
        return
    with replacing(output) as part:
        part.write_text(text + "\n")


def _find(named: str) -> Path:
    """Return an archive by its path, which needs no project, or by its name in the store."""
    from marquee.archives.store import find_archive

    path = Path(named)
    return path if path.exists() else find_archive(Project.find().model_store, named)


def _inspection_text(inspection: Inspection) -> str:
    from marquee.archives import reader

    origin = reader.read(inspection.path).weights_origin
    content = f"right, {inspection.content}" if inspection.content else NO_DIGEST
    config = [] if inspection.config is None else inspection.config.splitlines()
    lines = [
        f"{inspection.model} {inspection.version}  ({inspection.path})",
        f"sha256    {inspection.sha256}",
        "safe      yes: no path, link or size that should not be",
        f"content   {content}",
        f"handler   {inspection.handler}",
        f"weights   {inspection.weights or 'none'}{f' ({origin})' if origin else ''}",
        f"golden    {', '.join(inspection.golden) or 'no golden requests'}",
        "config    none" if inspection.config is None else "config",
        *(f"  {line}" for line in config),
        f"files     {len(inspection.entries)}, {inspection.unpacked_size} bytes",
        *(
            f"  {entry.size:>12}  {entry.sha256[:12]}  {name}"
            for name, entry in inspection.entries.items()
        ),
    ]
    return "\n".join(lines)


def _inspection_json(inspection: Inspection) -> str:
    plain = asdict(inspection) | {"path": str(inspection.path), "safe": True}
    return json.dumps(plain | {"unpacked_size": inspection.unpacked_size}, indent=1)


def _diff_text(difference: ArchiveDiff) -> str:
    content, golden = difference.content, difference.golden
    if content == "same" and difference.changes:
        content = "same; only manifest or golden answers differ"
    if golden == "alike":
        golden = "alike, within their tolerance, as another kind of processor answers"
    lines = [_line(change) for change in difference.changes] or ["the same files, byte for byte"]
    lines += [f"weights: {difference.weights}", f"content: {content}", f"golden: {golden}"]
    texts = [change.text.rstrip("\n") for change in difference.changes if change.text]
    return "\n".join([*lines, *texts])


def _line(change: FileChange) -> str:
    sizes = [str(entry.size) for entry in (change.before, change.after) if entry is not None]
    return f"{change.verb:<8} {change.name}  ({' -> '.join(sizes)} bytes)"


def _diff_json(difference: ArchiveDiff) -> str:
    states = {name: getattr(difference, name) for name in ("weights", "content", "golden")}
    changes = [{"change": change.verb} | asdict(change) for change in difference.changes]
    return json.dumps(states | {"changes": changes}, indent=1)

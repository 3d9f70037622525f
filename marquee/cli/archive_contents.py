"""``marquee archive inspect`` and ``diff``: what is in an archive, and how two differ."""

# ruff: noqa: PLC0415

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from marquee.cli.errors import printable, report_errors
from marquee.cli.params import AS_JSON
from marquee.errors import MarqueeError
from marquee.project import Project

if TYPE_CHECKING:
    from marquee.archives.inspection import ArchiveDiff, FileChange, Inspection

NO_DIGEST = "its manifest states no content digest: not made by marquee, or by an early one"


@click.command()
@click.argument("archive")
@AS_JSON
@report_errors
def inspect(archive: str, as_json: bool) -> None:
    """Show what is in an archive, and whether it is safe.

    Nothing of it is run. ARCHIVE is a path, or a name in the model store such as cifar-2.0.
    """
    from marquee.archives import inspection

    path = _find(archive)
    try:
        inspected = inspection.inspect(path)
    except MarqueeError as error:
        if not as_json:
            raise
        click.echo(json.dumps({"path": str(path), "safe": False, "why": str(error)}, indent=1))
        raise SystemExit(1) from error
    click.echo(_inspection_json(inspected) if as_json else printable(_inspection_text(inspected)))


@click.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@AS_JSON
@report_errors
def diff(before: str, after: str, as_json: bool) -> None:
    """Show what differs between two archives.

    Each is a path, or a name in the model store such as cifar-2.0.
    """
    from marquee.archives import inspection

    looked_into = [inspection.inspect(_find(named)) for named in (before, after)]
    difference = inspection.diff(*looked_into)
    click.echo(_diff_json(difference) if as_json else printable(_diff_text(difference)))


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

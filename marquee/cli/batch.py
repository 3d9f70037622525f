"""``marquee batch``: many files through a model, without a server."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import marquee
from marquee.cli.errors import printable
from marquee.cli.params import AS_JSON, PARAMETERS
from marquee.project import Project

if TYPE_CHECKING:
    from marquee.bulk.run import BatchReport

# What shells say of a command that Ctrl-C ended: 128 and the signal's number.
INTERRUPTED = 130
# Between two lines of progress where nobody looks at a bar.
LINE_SECONDS = 10.0


@click.command()
@click.argument("model")
@click.argument("source", metavar="INPUT")
@click.argument("output", type=click.Path(path_type=Path, file_okay=False))
@click.option("--version", help="Which version is asked.  [default: the default one]")
@click.option(
    "--accept",
    metavar="TYPE",
    help="json, png, jpg, npy or a media type.  [default: the model's]",
)
@click.option(
    "--content-type",
    metavar="TYPE",
    help="What the inputs are, in the same words.  [default: by their bytes, else names]",
)
@PARAMETERS
@click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    help="Processes with the model.  [default: maxWorkers of its model-config.yaml]",
)
@click.option(
    "--address",
    metavar="CLUSTER",
    help="Ask on a Ray cluster: HOST:PORT, auto for the one that runs here, local to start one.",
)
@click.option("--again", is_flag=True, help="Ask those once more that have no answer.")
@AS_JSON
def batch(model: str, source: str, output: Path, as_json: bool, **options: Any) -> None:
    """Ask MODEL, of the model store, about each of many files, without a server.

    INPUT is a folder, a glob in quotes ('photos/**/*.png'), a list of files (list.txt), a column of
    a table (photos.parquet:image), or s3://BUCKET/PREFIX. OUTPUT gets results.jsonl, a row for each
    input, and answers/ with pictures and arrays. What fails is a row with its error, and the exit
    code is then 1. The same command goes on where a killed one was.
    """
    with _progress() as shown:
        report = marquee.batch(Project.find(), model, source, output, progress=shown, **options)
    if as_json:
        click.echo(json.dumps(_plain(report), indent=1))
    else:
        _show(report)
    if report.interrupted:
        sys.exit(INTERRUPTED)
    sys.exit(1 if report.failed else 0)


@contextmanager
def _progress() -> Iterator[Callable[[BatchReport], None]]:
    """Lend what shows how far it is: a bar on stderr where someone looks at it, else lines."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    from rich.progress import BarColumn, Progress, TextColumn

    words = TextColumn("{task.description}")
    with Progress(BarColumn(), words, console=console, transient=True) as bar:
        task = bar.add_task("loading the model", total=None)
        yield lambda report: bar.update(
            task, total=report.total, completed=report.inputs, description=_line(report)
        )


class _Lines:
    """Says from time to time how far it is."""

    def __init__(self) -> None:
        self._next = time.monotonic() + LINE_SECONDS

    def __call__(self, report: BatchReport) -> None:
        """Print a line, if it is time to."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_SECONDS
            click.echo(_line(report), err=True)


def _line(report: BatchReport) -> str:
    of = "" if report.total is None else f" of {report.total}"
    words = [f"{report.inputs}{of} are done", f"{report.rate:.4g} a second"]
    words += [f"{report.failed} failed"] if report.failed else []
    if report.total is not None and report.rate:
        left = max(0, report.total - report.inputs) / report.rate
        words.append(f"{left:.0f} s left")
    return ", ".join(words)


def _plain(report: BatchReport) -> dict[str, Any]:
    answered = report.inputs - report.failed
    more = {"table": str(report.table), "answered": answered, "rate": report.rate}
    return asdict(report) | more


def _show(report: BatchReport) -> None:
    ended = "stopped: the same command goes on; " if report.interrupted else ""
    click.echo(
        f"{ended}{report.inputs - report.failed} of {report.inputs} have an answer, "
        f"{report.rate:.4g} a second; the rows are in {report.table}"
    )
    if report.failed:
        click.echo(f"Error: {report.failed} of {report.inputs} have no answer:", err=True)
        for failure in report.failures:
            click.echo(f"  {printable(failure)}", err=True)
        if report.failed > len(report.failures):
            click.echo("  ...; their rows say why", err=True)

"""``marquee swap``, ``rollback``, ``register``, ``retire``, ``scale`` and ``history``."""

# ruff: noqa: PLC0415

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from marquee.cli.errors import told
from marquee.project import Project

if TYPE_CHECKING:
    from marquee.versions.judgement import Options
    from marquee.versions.steps import Note, Report

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
Command = Callable[..., Any]


def duration(value: str) -> float:
    """Return seconds; written as 30s, 500ms, 2m, 1h or plain 30."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|)", value)
    if found is None:
        raise click.BadParameter(f"'{value}' is no duration; expected one such as 30s or 2m")
    return float(found[1]) * UNITS[found[2]]


def share(value: str) -> float:
    """Return a number from 0 to 1; written as 1% or 0.01."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", value)
    number = float(found[1]) / (100 if found[2] else 1) if found else -1.0
    if not 0 <= number <= 1:
        raise click.BadParameter(f"'{value}' is no share; expected one such as 1% or 0.01")
    return number


OPTIONS = (
    click.option(
        "--watch",
        "watch_seconds",
        type=duration,
        default="30s",
        show_default=True,
        help="How long live traffic is watched before the old version may go.",
    ),
    click.option("--keep", is_flag=True, help="Leave the old version its workers."),
    click.option(
        "--max-slowdown",
        type=click.FloatRange(1),
        default=3.0,
        show_default=True,
        help="How many times slower than the old version the new one may be.",
    ),
    click.option(
        "--max-errors",
        type=share,
        default="1%",
        show_default=True,
        help="What share of live requests may fail beyond the share that did before.",
    ),
)
LIMITS = (
    click.option(
        "--load-timeout",
        "load_seconds",
        type=duration,
        default="180s",
        show_default=True,
        help="Until the new version's workers must have loaded.",
    ),
    click.option(
        "--answer-timeout",
        "answer_seconds",
        type=duration,
        default="30s",
        show_default=True,
        help="Until a golden request must have been answered.",
    ),
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")


def with_options(*groups: tuple[Callable[[Command], Command], ...]) -> Callable[[Command], Command]:
    """Add options to a command, in their order."""

    def add(command: Command) -> Command:
        for option in reversed([option for group in groups for option in group]):
            command = option(command)
        return command

    return add


@click.command()
@click.argument("model")
@click.argument("target", metavar="ARCHIVE|VERSION")
@with_options(OPTIONS, LIMITS, (JSON,))
@told
def swap(model: str, target: str, as_json: bool, **options: Any) -> None:
    """Let another version of MODEL serve, without losing a request.

    The new version is loaded beside the old one, asked its golden requests, compared in speed,
    made the default and watched under live traffic; then the old one is drained and gives up its
    workers. On any failure before that, and on Ctrl-C, the old version serves as before.
    """
    from marquee.versions.swap import swap as run

    with _ended(as_json) as end:
        end(run(Project.find(), model, target, _options(options), _report(as_json)))


@click.command()
@click.argument("model")
@with_options(OPTIONS, LIMITS, (JSON,))
@told
def rollback(model: str, as_json: bool, **options: Any) -> None:
    """Go back to the version of MODEL that served before the last swap, in the same way."""
    from marquee.versions.swap import rollback as run

    with _ended(as_json) as end:
        end(run(Project.find(), model, _options(options), _report(as_json)))


@click.command()
@click.argument("archive")
@with_options(LIMITS, (JSON,))
@told
def register(archive: str, as_json: bool, **options: Any) -> None:
    """Add ARCHIVE to the running server, beside the versions that serve.

    It answers at /predictions/MODEL/VERSION; 'marquee swap' makes it the default.
    """
    from marquee.versions.operate import register as run

    with _ended(as_json) as end:
        end(run(Project.find(), archive, _options(options), _report(as_json)))


@click.command()
@click.argument("model")
@click.argument("version")
@JSON
@told
def retire(model: str, version: str, as_json: bool) -> None:
    """Drain VERSION of MODEL and take its workers; it can be swapped to again."""
    from marquee.versions.operate import retire as run

    with _ended(as_json) as end:
        end(run(Project.find(), model, version, _report(as_json)))


@click.command()
@click.argument("model")
@click.option("--workers", type=click.IntRange(0, 1024), required=True, help="How many.")
@click.option("--version", help="Which version, if not the one that serves.")
@click.option("--force", is_flag=True, help="Do not wait for a moment without requests.")
@click.option(
    "--wait",
    "wait_seconds",
    type=duration,
    default="60s",
    show_default=True,
    help="Fewer workers: how long to wait for a moment without requests.",
)
@JSON
@told
def scale(model: str, workers: int, as_json: bool, **options: Any) -> None:
    """Set how many workers MODEL has.

    A worker that ends fails the requests it holds, and TorchServe cannot drain a single one:
    fewer workers are set in a moment without requests, or with --force at once.
    """
    from marquee.versions.operate import scale as run

    with _ended(as_json) as end:
        end(run(Project.find(), model, workers, report=_report(as_json), **options))


@click.command()
@click.argument("model", required=False)
@click.option("-n", "--number", type=click.IntRange(1), default=20, show_default=True)
@JSON
@told
def history(model: str | None, number: int, as_json: bool) -> None:
    """Show the last changes of MODEL, or of all models: who, when, what, how it went."""
    from marquee.versions.history import read

    records = read(Project.find(), model)[-number:]
    if as_json:
        click.echo(json.dumps(records, indent=1))
        return
    for record in records:
        click.echo(_line(record))
    if not records:
        click.echo(f"nothing has been changed{f' of {model}' if model else ''} yet")


def _line(record: dict[str, Any]) -> str:
    """Return a record in a line, and a second one with its reason."""
    versions = " -> ".join(str(record[side]) for side in ("from", "to") if side in record)
    digest = str(record.get("digest", ""))[:12]
    words = [record["when"], record["who"], record["model"], record["action"], versions]
    if "workers" in record:
        words.append(f"{record['workers']} worker(s)")
    took = sum(step["seconds"] for step in record.get("steps", []))
    line = "  ".join([*map(str, words), *filter(None, [digest]), f"{took:.1f} s"])
    reason = f"\n    {record['reason']}" if record.get("reason") else ""
    return f"{line}  {record['outcome']}{reason}"


def _options(given: dict[str, Any]) -> Options:
    from marquee.versions.judgement import Options

    return Options(**given)


@contextmanager
def _ended(as_json: bool) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Print the record that the block hands over, or failed with; tell of an interruption."""
    from marquee.errors import Failed, MarqueeError
    from marquee.interrupts import Interrupted

    def show(record: dict[str, Any]) -> None:
        if as_json:
            click.echo(json.dumps(record))

    try:
        yield show
    except Failed as error:
        show(error.record)
        raise
    except Interrupted as error:
        raise MarqueeError(str(error)) from error


def _report(as_json: bool) -> Report:
    """Tell steps as they end; on stderr where stdout is for JSON."""

    def tell(note: Note) -> None:
        click.echo(f"{note['step']:<8} {note['seconds']:6.1f} s  {note['said']}", err=as_json)

    return tell

"""``marquee swap``, ``rollback``, ``register``, ``retire``, ``scale`` and ``history``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import click

import marquee
from marquee.cli.params import AS_JSON, Number, duration, group, percent
from marquee.project import Project

if TYPE_CHECKING:
    from marquee.versions.history import Record, Step, StepListener
    from marquee.versions.judgement import SwapPolicy

_duration = partial(click.option, type=duration, show_default=True)
watch = _duration(
    "--watch",
    "watch_seconds",
    default="30s",
    help="How long live traffic is watched before the old version may go.",
)
timeouts = group(
    _duration(
        "--load-timeout",
        "load_seconds",
        default="180s",
        help="Until the new version's workers must have loaded.",
    ),
    _duration(
        "--answer-timeout",
        "answer_seconds",
        default="30s",
        help="Until a golden request must have been answered.",
    ),
)
slowdown = click.option(
    "--max-slowdown",
    type=Number(1),
    default=3.0,
    show_default=True,
    help="How many times slower than the old version the new one may be.",
)
swap_options = group(
    watch,
    click.option("--keep", is_flag=True, help="Leave the old version its workers."),
    slowdown,
    click.option(
        "--max-errors",
        type=percent,
        default="1%",
        show_default=True,
        help="What share of live requests may fail beyond the share that did before.",
    ),
    timeouts,
)


@click.command()
@click.argument("model")
@click.argument("target", metavar="ARCHIVE|VERSION")
@swap_options
@AS_JSON
def swap(model: str, target: str, as_json: bool, **options: Any) -> None:
    """Let another version of MODEL serve, without losing a request.

    The new version is loaded beside the old one, asked its golden requests, compared in speed,
    made the default and watched under live traffic; then the old one is drained and gives up its
    workers. On any failure before that, and on Ctrl-C, the old version serves as before.
    """
    with ended(as_json) as end:
        end(marquee.swap(Project.find(), model, target, policy(options), progress(as_json)))


@click.command()
@click.argument("model")
@swap_options
@AS_JSON
def rollback(model: str, as_json: bool, **options: Any) -> None:
    """Go back to the version of MODEL that served before the last swap, in the same way."""
    with ended(as_json) as end:
        end(marquee.rollback(Project.find(), model, policy(options), progress(as_json)))


@click.command()
@click.argument("archive")
@timeouts
@AS_JSON
def register(archive: str, as_json: bool, **options: Any) -> None:
    """Add ARCHIVE to the running server, beside the versions that serve.

    It answers at /predictions/MODEL/VERSION; 'marquee swap' makes it the default.
    """
    with ended(as_json) as end:
        end(marquee.register(Project.find(), archive, policy(options), progress(as_json)))


@click.command()
@click.argument("model")
@click.argument("version")
@AS_JSON
def retire(model: str, version: str, as_json: bool) -> None:
    """Drain VERSION of MODEL and take its workers; it can be swapped to again."""
    with ended(as_json) as end:
        end(marquee.retire(Project.find(), model, version, progress(as_json)))


@click.command()
@click.argument("model")
@click.option("--workers", type=click.IntRange(0, 1024), required=True, help="How many.")
@click.option("--version", help="Which version, if not the one that serves.")
@click.option("--force", is_flag=True, help="Do not wait for a moment without requests.")
@_duration(
    "--wait",
    "wait_seconds",
    default="60s",
    help="Fewer workers: how long to wait for a moment without requests.",
)
@AS_JSON
def scale(model: str, workers: int, as_json: bool, **options: Any) -> None:
    """Set how many workers MODEL has.

    A worker that ends fails the requests it holds, and TorchServe cannot drain a single one:
    fewer workers are set in a moment without requests, or with --force at once. On Ray each
    answers what it holds, so that nothing is waited for.
    """
    with ended(as_json) as end:
        end(marquee.scale(Project.find(), model, workers, listener=progress(as_json), **options))


@click.command()
@click.argument("model", required=False)
@click.option("-n", "--number", type=click.IntRange(1), default=20, show_default=True)
@AS_JSON
def history(model: str | None, number: int, as_json: bool) -> None:
    """Show the last changes of MODEL, or of all models: who, when, what, how it went."""
    records = marquee.history(Project.find(), model)[-number:]
    if as_json:
        click.echo(json.dumps(records, indent=1))
        return
    for record in records:
        click.echo(_line(record))
    if not records:
        click.echo(f"nothing has been changed{f' of {model}' if model else ''} yet")


def _line(record: Record) -> str:
    """Return a record in a line, and a second one with its reason."""
    versions = " -> ".join(filter(None, (record.get("from"), record.get("to"))))
    words = [record["when"], record["who"], record["model"], record["action"], versions]
    if "workers" in record:
        words.append(f"{record['workers']} worker(s)")
    if record.get("digest"):
        words.append(record["digest"][:12])
    took = sum(step["seconds"] for step in record.get("steps", []))
    reason = f"\n    {record['reason']}" if record.get("reason") else ""
    return f"{'  '.join(words)}  {took:.1f} s  {record['outcome']}{reason}"


def policy(options: dict[str, Any]) -> SwapPolicy:
    """Return how a version is put into service, by a command's options."""
    from marquee.versions.judgement import SwapPolicy

    return SwapPolicy(**options)


@contextmanager
def ended(as_json: bool) -> Iterator[Callable[[Record], None]]:
    """Print the record that the block hands over, or failed with."""
    from marquee.versions.change import ChangeFailed

    def show(record: Record) -> None:
        if as_json:
            click.echo(json.dumps(record))

    try:
        yield show
    except ChangeFailed as error:
        show(error.record)
        raise


def progress(as_json: bool = False) -> StepListener:
    """Tell steps as they end; on stderr where stdout is for JSON."""

    def tell(step: Step) -> None:
        click.echo(f"{step['step']:<8} {step['seconds']:6.1f} s  {step['said']}", err=as_json)

    return tell

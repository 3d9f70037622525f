"""``marquee models``, ``status`` and ``logs``: what a running server does."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

import marquee
from marquee.cli.errors import printable
from marquee.cli.params import AS_JSON
from marquee.cli.tables import show_table
from marquee.project import Project

if TYPE_CHECKING:
    from marquee.serving.status import Status


@click.command()
@AS_JSON
def models(as_json: bool) -> None:
    """List what the server serves: versions, workers, queue, memory, archive.

    The default version answers requests that name none. Retired versions are registered without
    workers. Memory is what the workers hold in RAM; the archive is the first 12 hex digits of its
    file's SHA-256. Weights are the demo's, or your file's name and SHA-256.
    """
    from marquee.torchserve.modeltable import COLUMNS, REPLACED

    states = marquee.models(Project.find())
    if as_json:
        click.echo(_json([asdict(one) for one in states]))
        return
    rows = [[printable(cell(one)) for cell in COLUMNS.values()] for one in states]
    show_table([*COLUMNS], rows)
    if any(one.replaced for one in states):
        click.echo(REPLACED)


@click.command()
@click.option("--ready", is_flag=True, help="Only tell, by the exit code, whether all is ready.")
@AS_JSON
def status(ready: bool, as_json: bool) -> None:
    """Show the server: process, Java, addresses, tokens, readiness, risks.

    Each model is asked its own example, which takes as long as the slowest. The exit code is 0
    when a server of this project runs, with --ready only when every model of the model store is
    ready, else 1. Keys themselves are never shown.
    """
    status = marquee.status(Project.find())
    is_ready = status.readiness is not None and status.readiness.ready
    if as_json:
        click.echo(_json(asdict(status) | {"ready": is_ready, "readiness": _reasons(status)}))
    elif ready:
        click.echo("ready" if is_ready else f"not ready: {_summary(status)}")
    else:
        _show_status(status)
    good = is_ready if ready else status.process is not None
    sys.exit(0 if good else 1)


def _show_status(status: Status) -> None:
    rows = [*_process_rows(status), *_token_rows(status)]
    answering = {True: "answers", False: "does not answer"}
    rows += [(name, f"{a.url}  {answering[a.answers]}") for name, a in status.addresses.items()]
    reasons = _reasons(status) or {"": status.problem}
    rows += [("models", reason) for reason in reasons.values() if reason]
    if status.readiness is not None and status.readiness.ready:
        count = len(status.readiness.models)
        # Archives of others rarely hold an example.
        rows.append(("models", f"all {count} are ready, those with an example have answered it"))
    show_table((), rows)
    for warning in status.warnings:
        click.echo(f"Warning: {warning}", err=True)


def _process_rows(status: Status) -> list[tuple[str, str]]:
    if status.process is None:
        return [("server", "not running")]
    from marquee.torchserve.modeltable import megabytes

    process = status.process
    since = datetime.now(process.since.tzinfo) - process.since
    heap = f", heap up to {process.heap}" if process.heap else ""
    java = f"{process.java or 'version unknown'}, {megabytes(process.memory)}{heap}"
    ray = f"{process.ray}, {megabytes(process.memory)}; workers on {process.nodes} node(s)"
    return [
        ("server", f"running for {_duration(since)}, process {process.pid}"),
        ("Ray", ray) if process.ray else ("Java", java),
        ("workers", f"{megabytes(process.workers)} together"),
    ]


def _token_rows(status: Status) -> list[tuple[str, str]]:
    if status.tokens is None:
        return [("tokens", "turned off")]
    if not status.tokens:
        return [("tokens", "on; none are there while no server runs")]
    rows = []
    for kind, token in status.tokens.items():
        left = "does not expire" if token.left is None else _left(token.left)
        rows.append(("tokens", f"on; {kind} key {_duration(token.age)} old, {left}"))
    return rows


def _left(left: timedelta) -> str:
    if left < timedelta():
        return "expired, renewed when next used"
    return f"expires in {_duration(left)}"


def _reasons(status: Status) -> dict[str, str | None] | None:
    """Return why each version is not ready, None where it is, by "name version"."""
    if status.readiness is None:
        return None
    return {
        " ".join(model): reason and f"{' '.join(model)} {reason}"
        for model, reason in status.readiness.models.items()
    }


def _summary(status: Status) -> str:
    reasons = [reason for reason in (_reasons(status) or {}).values() if reason]
    return "; ".join(reasons) or status.problem or "no model is configured"


@click.command()
@click.argument("model", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until Ctrl-C.")
@click.option(
    "--level",
    type=click.Choice(["debug", "info", "warn", "error"], case_sensitive=False),
    default="debug",
    show_default=True,
    help="The lowest that is shown; tracebacks are errors.",
)
@click.option(
    "--request", metavar="ID", help="Only the story of the answer with this x-request-id."
)
@click.option(
    "-n", "--last", type=click.IntRange(0), default=50, show_default=True, help="How many lines."
)
def logs(model: str | None, follow: bool, level: str, request: str | None, last: int) -> None:
    """Show the last lines of all logs, merged by time; of one MODEL if named.

    These are requests, what workers say, and TorchServe's warnings. Successful look-ups of the
    management address are left out, rotated files are not read.
    """
    lines = marquee.logs(
        Project.find(), model, level=level.upper(), request=request, last=last, follow=follow
    )
    for line in lines:
        origin = f"{line.model} {line.version}".strip() or line.source
        stamp = line.time.replace("T", " ")
        click.echo(f"{stamp} {line.level:5} {origin:16} {line.text}")


def _json(value: Any) -> str:
    """Print times as ISO 8601 in UTC and durations in seconds."""

    def plain(one: Any) -> Any:
        return one.total_seconds() if isinstance(one, timedelta) else one.isoformat()

    return json.dumps(value, indent=2, default=plain)


def _duration(span: timedelta) -> str:
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"

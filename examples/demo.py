"""``marquee cloud demo``: the five examples through the five pipelines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from deploy.local.services import SPANS
from deploy.local.state import RunningCloud, running
from examples.pipelines import PIPELINES, Client
from marquee import interrupts
from marquee.errors import MarqueeError
from marquee.project import Project


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        stages: what ran, in order, each with its seconds.
        problem: why it failed, or nothing.
    """

    pipeline: str
    words: str
    stages: tuple[tuple[str, float], ...]
    seconds: float
    picture: Path | None = None
    problem: str = ""


def run(project: Project, folder: Path) -> int:
    """Show the demo in the running cloud, or in one for the purpose; return the exit code."""
    console = Console(highlight=False)
    with interrupts.raised(), _cloud(project, console) as cloud, Client(project, cloud) as client:
        rows = [_row(name, client, cloud, folder) for name in PIPELINES]
    console.print(table(rows))
    for row in rows:
        if row.problem:
            console.print(f"{row.pipeline} failed: {row.problem}", markup=False, soft_wrap=True)
        else:
            console.print(f"{row.picture}", markup=False, soft_wrap=True)
    return int(any(row.problem for row in rows))


@contextmanager
def _cloud(project: Project, console: Console) -> Iterator[RunningCloud]:
    if known := running(project):
        yield known
        return
    # Seconds, for nothing where one runs.
    from deploy.local.cloud import Cloud, CloudOptions  # noqa: PLC0415
    from deploy.local.up import start  # noqa: PLC0415

    with Cloud(project, CloudOptions(port=0, api_port=0)) as cloud:
        with console.status("Starting") as status:
            known = start(cloud, status)
        yield known


def _row(name: str, client: Client, cloud: RunningCloud, folder: Path) -> Row:
    began = time.time()
    words, picture, problem = "", None, ""
    try:
        answer = interrupts.waited(lambda: PIPELINES[name](client))
        words = answer.words
        picture = folder / f"{name}.png"
        folder.mkdir(parents=True, exist_ok=True)
        answer.picture.save(picture)
    except (MarqueeError, httpx.HTTPError) as error:
        problem = str(error) or type(error).__name__
    seconds = time.time() - began
    return Row(name, words, _stages(cloud, began), seconds, picture, problem)


def _stages(cloud: RunningCloud, moment: float) -> tuple[tuple[str, float], ...]:
    """Return the functions and endpoints that ran since; polls of a job are one line."""
    answer = httpx.get(f"{cloud.address}{SPANS}", params={"since": moment}, trust_env=False)
    summed: dict[str, float] = {}
    spans: list[dict[str, Any]] = answer.json()
    for span in spans:
        kind = "model" if span["stage"] == "endpoint" else span["name"].rpartition("-")[2]
        summed[kind] = summed.get(kind, 0.0) + span["seconds"]
    return tuple(summed.items())


def table(rows: list[Row]) -> Table:
    """Return the rows as a table: seconds of each function, and of the model within."""
    made = Table(title="The five pipelines, seconds")
    for heading in ("pipeline", "what came out", "stages", "in all"):
        made.add_column(heading, justify="right" if heading == "in all" else "left")
    for row in rows:
        stages = ", ".join(f"{name} {seconds:.2f}" for name, seconds in row.stages)
        made.add_row(row.pipeline, row.words or "failed", stages, f"{row.seconds:.2f}")
    return made

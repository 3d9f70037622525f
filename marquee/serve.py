"""``marquee serve``: a server in the foreground, from start to a clean stop."""

from __future__ import annotations

import os
import signal
import sys
import time
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from marquee import preflight, server
from marquee.examples import curl_lines
from marquee.project import Project
from marquee.server import ModelId, Server

WATCH_SECONDS = 0.5


class _Stop(Exception):
    """SIGINT or SIGTERM arrived."""


def run(project: Project) -> int:
    """Serve until told to stop; return the exit code: 0 after a stop, 1 if the server died."""
    console = Console(highlight=False, soft_wrap=True)
    preflight.check(project)  # outside of the try: what runs already is not ours to stop
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _raise_stop)
    try:
        running = server.start(project)
        _wait_with_progress(project, running, console)
        _announce(project, console)
        return _watch(running)
    except _Stop:
        return 0
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not cut the stop short
        if server.stop(project):
            console.print("Stopped.")


def _raise_stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stop


def _wait_with_progress(project: Project, running: Server, console: Console) -> None:
    total = len(server.models(project))
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[last]}"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task("Loading models", total=total, last="")

        def loaded(model: ModelId) -> None:
            progress.update(task, advance=1, last=f"{model[0]} {model[1]}")

        running.wait_ready(loaded)


def _announce(project: Project, console: Console) -> None:
    properties = project.properties
    console.print(
        f"Ready: inference {properties['inference_address']}, "
        f"management {properties['management_address']}, "
        f"metrics {properties['metrics_address']}/metrics"
    )
    console.print("Try, from another shell in this folder:")
    for line in curl_lines(project):
        console.print(f"  {line}", markup=False)
    console.print("Ctrl-C stops everything.")
    sys.stdout.flush()


def _watch(running: Server) -> int:
    """Show what the server prints from now on, until it ends."""
    with server.console_log(running.project).open(errors="replace") as printed:
        printed.seek(0, os.SEEK_END)
        while running.alive:
            sys.stdout.write(printed.read())
            sys.stdout.flush()
            time.sleep(WATCH_SECONDS)
    words = server.last_words(running.project)
    Console(stderr=True).print(f"Error: TorchServe ended by itself: {words}", markup=False)
    return 1

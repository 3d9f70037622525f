"""``marquee serve``: a server in the foreground, from start to a clean stop."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.serving.door import Door
from marquee.torchserve import exposure, preflight, server
from marquee.torchserve.curl import curl_lines
from marquee.torchserve.lastwords import last_words
from marquee.torchserve.loaded import ModelId, models
from marquee.torchserve.server import Server

WATCH_SECONDS = 0.5


class _Stop(Exception):
    """SIGINT or SIGTERM arrived."""


def run(project: Project, *, front: bool = False) -> int:
    """Serve until told to stop; return the exit code: 0 after a stop, 1 if the server died.

    Args:
        project: what to serve.
        front: whether HAProxy takes the requests, with TorchServe behind it.

    Raises:
        MarqueeError: why it does not start, or what ended it.
    """
    console = Console(highlight=False, soft_wrap=True)
    preflight.check(project, front=front)  # before the try: what runs already is not ours to stop
    door = Door(project) if front else None
    _warn(project)
    running: Server | None = None
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _raise_stop)
    try:
        running = server.start(project, door.prepare() if door else {})
        if door:
            door.open(lambda: running.alive)
        _wait_with_progress(project, running, console)
        if door:
            door.wait_ready()
        _announce(project, console)
        return _watch(running, door)
    except _Stop:
        return 0
    except MarqueeError:
        if running is not None and running.end_is_wanted:
            return 0
        raise
    finally:
        hurry = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            # A second Ctrl-C must not cut the stop short; it only ends the wait for requests.
            signal.signal(number, lambda *_: hurry.set())
        if door:
            _close(door, console, hurry)
        elsewhere = running is not None and not server.pid_file(project).exists()
        if server.stop(project) or elsewhere:
            console.print("Stopped.")


def _close(door: Door, console: Console, hurry: threading.Event) -> None:
    """Drain the front door and end it."""

    def told(count: int) -> None:
        console.print(
            f"Answering {count} requests in flight, for up to {door.settings.drain_timeout} s; "
            "Ctrl-C does not wait for them."
        )

    cut_off = door.close(told, hurry.is_set)
    if cut_off:
        console.print(f"{cut_off} requests were cut off.")


def _warn(project: Project) -> None:
    for warning in [*preflight.left_out(project), *exposure.warnings(project.properties)]:
        Console(stderr=True, soft_wrap=True).print(f"Warning: {warning}", markup=False)


def _raise_stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stop


def _wait_with_progress(project: Project, running: Server, console: Console) -> None:
    total = len(models(project))
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
    lines = [*curl_lines(project, {name for name, _ in models(project)})]
    if lines:
        console.print("Try, from another shell in this folder:")
    for line in lines:
        console.print(f"  {line}", markup=False)
    console.print("Ctrl-C stops everything.")
    sys.stdout.flush()


def _watch(running: Server, door: Door | None) -> int:
    """Show what the server prints from now on, until it ends."""
    with server.console_log(running.project).open(errors="replace") as printed:
        printed.seek(0, os.SEEK_END)
        while running.alive:
            sys.stdout.write(printed.read())
            sys.stdout.flush()
            if door and not door.check():
                return 0  # stopped from elsewhere
            time.sleep(WATCH_SECONDS)
    if (door and door.haproxy.closing) or running.end_is_wanted:
        return 0
    raise MarqueeError(f"TorchServe ended by itself: {last_words(running.project)}")

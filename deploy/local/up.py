"""``marquee cloud up``: the cloud in the foreground, from start to a clean stop."""

from __future__ import annotations

import subprocess
import sys

from rich.console import Console
from rich.status import Status

from deploy.local import state
from deploy.local.cloud import Cloud, CloudOptions
from marquee import interrupts
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.torchserve.curl import command
from marquee.torchserve.lastwords import last_words
from marquee.torchserve.server import pid_file, running_pid

WATCH_SECONDS = 0.5
DETACH_SECONDS = 600


def run(project: Project, options: CloudOptions) -> int:
    """Keep a cloud up until a signal comes; return the exit code: 1 if TorchServe died."""
    console = Console(highlight=False, soft_wrap=True)
    try:
        with interrupts.raised(), Cloud(project, options) as cloud:
            with console.status("Starting") as status:
                running = start(cloud, status)
            announce(project, running, console)
            console.print("Ctrl-C stops everything.")
            return _watch(project, console)
    except interrupts.Interrupted:
        return 0


def start(cloud: Cloud, status: Status) -> state.RunningCloud:
    """Start a cloud and show what is being started; a signal ends it after the part at hand."""

    def begin(part: str) -> None:
        interrupts.check()
        status.update(f"Starting {part}")

    return cloud.start(begin)


def _watch(project: Project, console: Console) -> int:
    while running_pid(project) is not None:
        interrupts.pause(WATCH_SECONDS)
    if not pid_file(project).exists():
        return 0  # stopped from elsewhere: whoever does takes the file away
    console.print(f"Error: TorchServe ended by itself: {last_words(project)}", markup=False)
    return 1


def detach(project: Project, words: list[str]) -> None:
    """Start ``marquee cloud up`` with ``words`` in the background and return when it is up.

    Raises:
        MarqueeError: it did not start; its own words.
    """
    project.logs.mkdir(parents=True, exist_ok=True)
    log = project.logs / "cloud-console.log"
    with log.open("w") as printed:
        process = subprocess.Popen(
            [sys.executable, "-m", "marquee.cli", "cloud", "up", *words],
            cwd=project.root,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def is_up() -> bool:
        running = state.running(project)
        return running is not None and running.pid == process.pid

    interrupts.until(lambda: is_up() or process.poll() is not None, DETACH_SECONDS, WATCH_SECONDS)
    running = state.running(project)
    if running is None or running.pid != process.pid:
        lines = log.read_text(errors="replace").strip().splitlines()
        raise MarqueeError(f"the cloud did not start: {lines[-1] if lines else f'see {log}'}")
    announce(project, running, Console(highlight=False, soft_wrap=True))


def announce(project: Project, running: state.RunningCloud, console: Console) -> None:
    """Print the addresses, and how programs find them."""
    lines = [f"Ready: services {running.address}, API {running.api_url}"]
    lines += [f"  {name:18} {value}" for name, value in sorted(running.outputs.items())]
    lines += [
        "In another shell in this folder, for any program that uses AWS's SDK, or the AWS CLI:",
        f'  eval "$({command(project)} cloud env)"',
    ]
    console.print("\n".join(lines), markup=False)
    sys.stdout.flush()

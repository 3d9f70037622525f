"""``marquee cloud up``: the cloud in the foreground, from start to a clean stop."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from types import FrameType

from rich.console import Console

from deploy.local import account, state
from deploy.local.cloud import Cloud, Options
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.torchserve.curl import command
from marquee.torchserve.lastwords import last_words
from marquee.torchserve.server import pid_file, running_pid

WATCH_SECONDS = 0.5
DETACH_SECONDS = 600


class _Stop(Exception):
    """SIGINT or SIGTERM arrived."""


def run(project: Project, options: Options) -> int:
    """Keep a cloud up until told to stop; return the exit code: 1 if TorchServe died."""
    console = Console(highlight=False, soft_wrap=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _raise_stop)
    cloud = Cloud(project, options)
    try:
        with console.status("Starting") as status:
            known = cloud.start(lambda what: status.update(f"Starting {what}"))
        announce(project, known, console)
        console.print("Ctrl-C stops everything.")
        return _watch(project, console)
    except _Stop:
        return 0
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not cut the stop short
        cloud.close()


def _raise_stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stop


def _watch(project: Project, console: Console) -> int:
    while running_pid(project) is not None:
        time.sleep(WATCH_SECONDS)
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
    with log.open("w") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "marquee.cli", "cloud", "up", *words],
            cwd=project.root,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + DETACH_SECONDS
    while (known := state.running(project)) is None or known.pid != process.pid:
        if process.poll() is not None or time.monotonic() > deadline:
            lines = log.read_text(errors="replace").strip().splitlines()
            raise MarqueeError(f"the cloud did not start: {lines[-1] if lines else f'see {log}'}")
        time.sleep(WATCH_SECONDS)
    announce(project, known, Console(highlight=False, soft_wrap=True))


def announce(project: Project, known: state.State, console: Console) -> None:
    """Print the addresses, and how programs find them."""
    console.print(f"Ready: services {known.address}, API {known.api_url}", markup=False)
    for name, value in sorted(known.outputs.items()):
        console.print(f"  {name:18} {value}", markup=False)
    told = "In another shell in this folder, for any program that uses AWS's SDK, or the AWS CLI:"
    console.print(told, markup=False)
    console.print(f'  eval "$({command(project)} cloud env)"', markup=False)
    sys.stdout.flush()


def environment(known: state.State) -> Mapping[str, str]:
    """Return what programs need: the SDK's variables, and the API's address and key."""
    return {
        **account.variables(known.address),
        "MARQUEE_API_URL": known.api_url,
        "MARQUEE_API_KEY": known.api_key,
    }


def exports(known: state.State) -> str:
    """Return the environment as shell lines."""
    lines = (f"export {name}={shlex.quote(value)}" for name, value in environment(known).items())
    return "\n".join(lines)

"""What a running cloud leaves on disk for the other commands."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from marquee.errors import MarqueeError
from marquee.project import Project

STOP_SECONDS = 60


@dataclass(frozen=True)
class State:
    """A cloud that was started.

    Attributes:
        pid, born: its process, and when that began, in seconds since the epoch.
        address: of all services.
        api_url: of the stack's API, stage included.
        api_key: what the API wants in ``x-api-key``; the file is its owner's alone.
        temp: its temporary folder.
        owns_server: whether it has started TorchServe, and stops it.
        outputs: of the stack.
    """

    pid: int
    born: float
    address: str
    api_url: str
    api_key: str
    temp: str
    owns_server: bool
    outputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def process(self) -> psutil.Process | None:
        """Its process, if it still runs."""
        try:
            process = psutil.Process(self.pid)
            same = process.create_time() == self.born
            alive = same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return None
        return process if alive else None


def path(project: Project) -> Path:
    """Return where the state is kept."""
    return project.state / "cloud.json"


def write(project: Project, state: State) -> None:
    """Keep the state; nobody else can read it."""
    project.state.mkdir(mode=0o700, exist_ok=True)
    target = path(project)
    fresh = target.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        json.dump(asdict(state), out)
    fresh.replace(target)


def read(project: Project) -> State | None:
    """Return what was kept, of a cloud that runs or did not end properly; None without one.

    Raises:
        MarqueeError: the file is damaged.
    """
    try:
        return State(**json.loads(path(project).read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise MarqueeError(f"{path(project)} is damaged; remove it") from error


def running(project: Project) -> State | None:
    """Return the running cloud of the project, or None."""
    state = read(project)
    return state if state is not None and state.process is not None else None


def forget(project: Project) -> None:
    """Remove the state."""
    path(project).unlink(missing_ok=True)


def down(project: Project) -> bool:
    """Stop the project's cloud, and clear up after one that did not end properly.

    Returns:
        Whether there was anything to stop or to clear up.
    """
    from marquee.torchserve.server import stop as stop_server  # noqa: PLC0415 - slow to import

    state = read(project)
    if state is None:
        return False
    if process := state.process:
        process.send_signal(signal.SIGTERM)
        _wait(process)
    if state.owns_server:
        stop_server(project)
    shutil.rmtree(state.temp, ignore_errors=True)
    forget(project)
    return True


def _wait(process: psutil.Process) -> None:
    try:
        process.wait(timeout=STOP_SECONDS)
    except psutil.TimeoutExpired:
        for one in [*process.children(recursive=True), process]:
            one.kill()

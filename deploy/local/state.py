"""What a running cloud leaves on disk for the other commands."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from deploy.local import account
from marquee import processes
from marquee import state as project_state
from marquee.errors import MarqueeError
from marquee.project import Project

STOP_SECONDS = 60


@dataclass(frozen=True)
class RunningCloud:
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
        process = processes.running(self.pid)
        return process if process is not None and process.create_time() == self.born else None

    @property
    def environment(self) -> Mapping[str, str]:
        """What programs need: the SDK's variables, and the API's address and key."""
        ours = {"MARQUEE_API_URL": self.api_url, "MARQUEE_API_KEY": self.api_key}
        return account.variables(self.address) | ours


def path(project: Project) -> Path:
    """Return where the state is kept."""
    return project.state / "cloud.json"


def write(project: Project, cloud: RunningCloud) -> None:
    """Keep the state; nobody else can read it."""
    project_state.folder(project)
    project_state.write(path(project), asdict(cloud))


def read(project: Project) -> RunningCloud | None:
    """Return what was kept, of a cloud that runs or did not end properly; None without one.

    Raises:
        MarqueeError: the file is damaged.
    """
    kept = project_state.read(path(project))
    try:
        return RunningCloud(**kept) if kept else None
    except TypeError as error:
        raise MarqueeError(f"{path(project)} is damaged; remove it") from error


def running(project: Project) -> RunningCloud | None:
    """Return the running cloud of the project, or None."""
    cloud = read(project)
    return cloud if cloud is not None and cloud.process is not None else None


def forget(project: Project) -> None:
    """Remove the state."""
    path(project).unlink(missing_ok=True)


def down(project: Project) -> bool:
    """Stop the project's cloud, and clear up after one that did not end properly.

    Returns:
        Whether there was anything to stop or to clear up.
    """
    from marquee.torchserve.server import stop as stop_server  # noqa: PLC0415 - slow to import

    cloud = read(project)
    if cloud is None:
        return False
    if process := cloud.process:
        processes.end(process, STOP_SECONDS)
    if cloud.owns_server:
        stop_server(project)
    shutil.rmtree(cloud.temp, ignore_errors=True)
    forget(project)
    return True

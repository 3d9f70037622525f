"""The Ray server of a project, found from whatever process: asked, told, stopped.

It is its own front door. What HAProxy is told by its sockets, it is told at its management address.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil

from marquee import processes
from marquee.errors import MarqueeError
from marquee.front.settings import read
from marquee.project import Project
from marquee.torchserve.management import Management

# In the command line of `marquee ray serve`.
WORD = "ray"
# Beyond the time for requests in flight: until Ray has ended its processes.
STOP_SECONDS = 30


class RayManagement(Management):
    """What a Ray server is asked beyond TorchServe's management API."""

    def split(self, model: str, version: str, share: float) -> None:
        """Send this share (0 to 1) of the model's requests to ``version``."""
        query = urlencode({"version": version, "share": share})
        failure = f"cannot give {model} {version} its share"
        self._wanted("PUT", f"/canaries/{model}?{query}", failure)

    def unsplit(self, model: str) -> None:
        """Send all of the model's requests to its default version."""
        self._wanted("DELETE", f"/canaries/{model}", f"cannot end the canary of {model}")

    def readiness(self) -> dict[str, Any]:
        """Return what is known of the models, as the front door's ``/ping`` says it."""
        answer = self._wanted("GET", "/readiness", "cannot tell the readiness of its models")
        body: dict[str, Any] = answer.json()
        return body


class RayServer:
    """A running ``marquee ray serve``."""

    def __init__(self, project: Project, process: psutil.Process) -> None:
        self._project, self.process = project, process
        self.folder = folder_of(project)

    def set_canary(self, model: str, version: str, share: float) -> None:
        """Send this share (0 to 1) of the model's requests to ``version`` from now on."""
        with RayManagement.of(self._project) as api:
            api.split(model, version, share)

    def remove_canary(self, model: str) -> None:
        """Send all of the model's requests to its default version from now on."""
        with RayManagement.of(self._project) as api:
            api.unsplit(model)

    def ping(self) -> dict[str, Any]:
        """Return what is known of the models now.

        Raises:
            MarqueeError: they have not been asked, or nobody answers.
        """
        with RayManagement.of(self._project) as api:
            return api.readiness()

    def stop(self) -> None:
        """Have it answer what is in flight, and end; insist where it takes far too long."""
        drain = read(self._project).drain_timeout
        processes.end(self.process, drain + STOP_SECONDS)


def folder_of(project: Project) -> Path:
    """Return the folder of what the server tells other processes."""
    return project.temp / "rayserver"


def pid_file(project: Project) -> Path:
    """Return the file with the server's process id."""
    return folder_of(project) / "serve.pid"


def running(project: Project) -> RayServer | None:
    """Return the project's Ray server, or None if none runs."""
    process = processes.of_pid_file(pid_file(project), WORD)
    return None if process is None else RayServer(project, process)


def check_none(project: Project) -> None:
    """Refuse a second server of the project.

    Raises:
        MarqueeError: a Ray server runs.
    """
    server = running(project)
    if server is not None:
        raise MarqueeError(
            f"a Ray server of this project is already running (process {server.process.pid}); "
            "stop it with 'marquee stop', or give this one its own TEMP folder and ports"
        )

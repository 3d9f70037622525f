"""Wait for a version's workers to load."""

from __future__ import annotations

import time

from marquee.errors import MarqueeError
from marquee.interrupts import pause
from marquee.project import Project
from marquee.torchserve.loads import LogMarks, failed_loads, why
from marquee.torchserve.management import Management, Version

POLL_SECONDS = 0.2


def wait_loaded(
    project: Project, api: Management, name: str, version: str, *, since: LogMarks, seconds: float
) -> Version:
    """Return when all wanted workers of a version have loaded.

    Raises:
        MarqueeError: a worker failed to load, with the words of the traceback that ended it; or
            it took longer than ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = api.describe(name, version)
        if found is None:
            raise MarqueeError(f"{name} {version} is not registered any more")
        if found.ready:
            return found
        _check_failed(project, name, version, since)
        if time.monotonic() > deadline:
            raise MarqueeError(
                f"{name} {version} has not loaded after {seconds:.0f} s; its worker's last words "
                f"are in {project.logs / 'model_log.log'}"
            )
        pause(POLL_SECONDS)


def _check_failed(project: Project, name: str, version: str, since: LogMarks) -> None:
    if failed_loads(project, name, version, since):
        raise MarqueeError(
            f"{name} {version} does not load: {why(project, name, version, since, pause)}; the "
            f"whole story is in {project.logs / 'model_log.log'}"
        )

"""Wait for a version's workers to load."""

from __future__ import annotations

import time

from marquee.errors import MarqueeError
from marquee.interrupts import pause
from marquee.project import Project
from marquee.serving.management import Management, Version
from marquee.serving.server import LogMarks, load_failure

POLL_SECONDS = 0.2
# The traceback reaches its log after the server has noticed the worker's end: on a busy machine a
# good while after.
TRACEBACK_SECONDS = 3.0


def wait_loaded(
    project: Project, api: Management, name: str, version: str, *, since: LogMarks, seconds: float
) -> Version:
    """Return when all wanted workers of a version have loaded.

    Raises:
        MarqueeError: a worker failed to load, with the first traceback's own words; or it took
            longer than ``seconds``.
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
    failure = load_failure(project, name, version, since)
    if failure is None:
        return
    deadline = time.monotonic() + TRACEBACK_SECONDS
    while not failure.traced and time.monotonic() < deadline:
        pause(POLL_SECONDS)
        failure = load_failure(project, name, version, since) or failure
    raise MarqueeError(
        f"{name} {version} does not load: {failure.cause}; the whole story is in "
        f"{project.logs / 'model_log.log'}"
    )

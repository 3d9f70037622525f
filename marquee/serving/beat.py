"""What is looked at every second while a server runs, whether anybody asks or not."""

from __future__ import annotations

import logging
import threading
from typing import Any

from marquee.errors import MarqueeError
from marquee.front.traffic import Traffic
from marquee.interrupts import until
from marquee.project import Project
from marquee.torchserve.readiness import Readiness
from marquee.versions import canaries

log = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
READY_SECONDS = 120


class Beat(threading.Thread):
    """Looks at everything once a second.

    Attributes:
        ready: whether every model was, when it looked last.
        problem: why not.
    """

    def __init__(self) -> None:
        super().__init__(name="keeper", daemon=True)
        self._ended = threading.Event()
        self.ready = False
        self.problem = ""

    def run(self) -> None:
        """Beat until ended; a beat that fails is tried again, and /ping goes stale meanwhile."""
        while not self._ended.wait(BEAT_SECONDS):
            try:
                self.beat()
            except (MarqueeError, OSError) as error:  # OSError: the folder goes at a stop
                self.ready, self.problem = False, str(error)
            except Exception as error:  # noqa: BLE001 - nobody else would beat on
                self._note_fault(error)

    def _note_fault(self, error: Exception) -> None:
        """Tell an error of ours once, not every second."""
        problem = f"the thread that asks the models failed ({type(error).__name__}: {error})"
        if problem != self.problem:
            log.error("%s", problem, exc_info=error)
        self.ready, self.problem = False, problem

    def end(self) -> None:
        """Beat no more."""
        self._ended.set()

    def beat(self) -> None:
        """Look at everything once.

        Raises:
            MarqueeError: the server or the door does not answer.
        """
        raise NotImplementedError

    def wait_ready(self) -> None:
        """Return when every model has answered its example.

        Raises:
            MarqueeError: which one did not, and what it did instead.
        """
        if not until(lambda: self.ready, READY_SECONDS):
            raise MarqueeError(f"not all models are ready after {READY_SECONDS} s: {self.problem}")

    def _note(self, readiness: Readiness, ready: bool) -> None:
        self.ready = ready
        self.problem = "; ".join(
            f"{name} {version} {reason}"
            for (name, version), reason in readiness.models.items()
            if reason
        )


def ping_body(readiness: Readiness, ready: bool) -> dict[str, Any]:
    """Return what ``/ping`` says of the models."""
    models = {
        name: {"version": version, "ready": not reason} | ({"why": reason} if reason else {})
        for (name, version), reason in readiness.models.items()
    }
    return {"status": "Healthy" if ready else "Unhealthy", "models": models}


def lively(project: Project, traffic: Traffic, name: str, version: str) -> float | None:
    """Return when a version last answered somebody with success, by ``time.monotonic``."""
    canary = canaries.load(project).get(name)
    own = traffic.last_success(name, version)
    if canary is not None and canary.version == version:
        return own
    return max(filter(None, (own, traffic.last_success(name))), default=None)

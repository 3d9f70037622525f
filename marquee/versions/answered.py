"""Wait until a version's workers have answered all that they have taken: by proof, not by guess.

TorchServe tells what waits for a worker, not what a worker holds. What proves it, best first:
a worker that answers a request sent now has answered all that it took before; the front door
counts the requests that it passed on; TorchServe ends a worker that takes longer than its
responseTimeout.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import psutil

from marquee.errors import MarqueeError
from marquee.front.process import Haproxy, running
from marquee.interrupts import pause
from marquee.project import Project
from marquee.torchserve.management import READY, Management, Version
from marquee.versions.manner import Manner
from marquee.versions.probe import WORKER_HEADER, Probe

# Beyond responseTimeout: until TorchServe has noticed, and ended the worker.
SPARE_SECONDS = 10.0
# Between two last requests: at first, and at the most.
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 2.0
# So many answers in a row that do not tell their worker: the handler is not one of ours.
SILENT_ANSWERS = 3
POLL_SECONDS = 0.2
GRPC_PORT = 7070  # TorchServe's own default


@dataclass
class Workers:
    """The workers of a version, which are waited for.

    Attributes:
        project, api: the server.
        version: as it was described last.
        manner: how it answers.
    """

    project: Project
    api: Management
    version: Version
    manner: Manner

    def wait(self) -> None:
        """Return when each request is answered that a worker took before this was called.

        Raises:
            MarqueeError: that cannot be known of this version, or requests take too long.
        """
        limit = time.monotonic() + self.longest_seconds
        if (self.manner.in_turn and self.heard(limit)) or self._counted(limit):
            return
        if not self.manner.at_once:
            raise MarqueeError(self.unknown())
        pause(max(0.0, limit - time.monotonic()))

    def idle(self, limit: float) -> bool:
        """Whether no worker has a request in hand, while none comes.

        Raises:
            MarqueeError: that cannot be known of this version.
        """
        front = self._door()
        if front is not None:
            return front.in_flight(self.version.name, self.version.version) == 0
        # A request that it does not understand may fail those of clients in the same batch.
        harmless = self.manner.asked or self.version.batch_size == 1
        heard = self.heard(limit) if self.manner.in_turn and harmless else None
        if heard is None:
            raise MarqueeError(self.unknown())
        return heard

    def _counted(self, limit: float) -> bool:
        """Whether the front door has answers for all that it passed on before, until the limit."""
        front = self._door()
        if front is None:
            return False
        epoch = front.begin_epoch()
        while front.in_flight(self.version.name, self.version.version, before=epoch):
            if time.monotonic() > limit:
                return False
            pause(POLL_SECONDS)
        return True

    def _door(self) -> Haproxy | None:
        """Return the front door, if it counts and all requests pass it; those by gRPC do not."""
        port = int(self.project.properties.get("grpc_inference_port", GRPC_PORT))
        front = None if is_connected(port) else running(self.project)
        try:
            if front is not None:
                front.in_flight(self.version.name, self.version.version)
        except MarqueeError:
            return None  # it was started by a marquee that did not count
        return front

    @property
    def longest_seconds(self) -> float:
        """How long a worker can have a batch in hand before TorchServe ends it."""
        return self.version.response_timeout + self.version.max_batch_delay / 1000 + SPARE_SECONDS

    def heard(self, limit: float) -> bool | None:
        """Whether each worker has answered a request sent from now on, until the limit.

        None: it is not told which worker answers.
        """
        missing, silent, between = self._pids(), 0, FIRST_PAUSE
        with Probe(self.project, self.version.name, self.longest_seconds) as probe:
            known: set[int] = set()
            while missing and silent < SILENT_ANSWERS and time.monotonic() < limit:
                start = time.monotonic()
                found = self._ask(probe)
                known, silent = known | found, 0 if found else silent + 1
                missing = self._pids() - known  # one that died is replaced by another
                if missing:
                    took = time.monotonic() - start
                    pause(min(LONGEST_PAUSE, max(between, took)))
                    between *= 2
        return None if silent == SILENT_ANSWERS else not missing

    def _ask(self, probe: Probe) -> set[int]:
        """Return the worker that answers a request, if that is known: a sole one need not tell."""
        sole = self._pids()
        try:
            answer = probe.answer(self.manner.last_request, self.version.version)
        except MarqueeError:
            return set()  # its worker ended under it, or nobody answers any more
        told = answer.headers.get(WORKER_HEADER, "")
        if told.isdecimal():
            return {int(told)}
        return sole if len(sole) == 1 and answer.status_code == 200 else set()

    def _pids(self) -> set[int]:
        """Return the workers that may hold requests: those that have loaded."""
        found = self.api.describe(self.version.name, self.version.version)
        listed = found.workers if found else ()
        return {int(worker["pid"]) for worker in listed if worker["status"] == READY}

    def unknown(self) -> str:
        name, version = self.version.name, self.version.version
        return (
            f"whether a worker of {name} {version} still has requests in hand cannot be known: "
            "its answers do not tell the worker, and no front door counts its requests; it keeps "
            "its workers. Serve with: marquee serve --front; or in a quiet hour: marquee scale "
            f"{name} --version {version} --workers N --force"
        )


def is_connected(port: int) -> bool:
    """Whether somebody has a connection to a local port; also where that cannot be seen."""
    try:
        found = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return True
    return any(
        one.laddr and one.laddr.port == port and one.status == psutil.CONN_ESTABLISHED
        for one in found
    )

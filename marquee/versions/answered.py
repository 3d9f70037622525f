"""Wait until a version's workers have answered all that they have taken: by proof, not by guess.

TorchServe tells what waits for a worker, not what a worker holds. What proves it, best first:
a worker that answers a request sent now has answered all that it took before; the front door
counts the requests that it passed on; TorchServe ends a worker that takes longer than its
responseTimeout. What can be believed depends on how the workers answer, which the archive tells.
"""

from __future__ import annotations

import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from marquee.archives import reader
from marquee.archives.golden import ArchiveRequest, ExampleRequest, requests_of
from marquee.errors import MarqueeError
from marquee.front.process import Haproxy, running
from marquee.interrupts import pause, until
from marquee.project import Project
from marquee.torchserve.inference import Inference
from marquee.torchserve.management import READY, Management, Version

# With these settings a worker has several batches in hand at a time, in an order of its own.
MINGLING = ("asyncCommunication", "continuousBatching", "sequenceBatching", "stateful")
# A handler that answers in pieces may take responseTimeout anew for each.
IN_PIECES = b"send_intermediate_predict_response"
# Of a source larger than this nothing is believed.
MAX_BYTES = 1 << 20
NOTHING = ExampleRequest(b"", {}, "an empty request")
# On every answer of marquee's own handlers: the process id of the worker that gave it.
WORKER_HEADER = "x-marquee-worker"
# Beyond responseTimeout: until TorchServe has noticed, and ended the worker.
SPARE_SECONDS = 10.0
# Between two last requests: at first, and at the most.
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 2.0
# So many answers in a row that do not tell their worker: the handler is not one of ours.
SILENT_ANSWERS = 3
POLL_SECONDS = 0.2
GRPC_PORT = 7070  # TorchServe's own default


@dataclass(frozen=True)
class Manner:
    """How a worker answers; the defaults are what is believed of an unknown archive.

    Attributes:
        requests: what it understands.
        in_turn: whether it answers one batch before it takes the next.
        at_once: whether ``responseTimeout`` bounds all of an answer, not each piece of it.
    """

    requests: Sequence[ArchiveRequest] = ()
    in_turn: bool = False
    at_once: bool = False

    @property
    def last_request(self) -> ArchiveRequest:
        """What to send to a worker in order to hear from it; any answer will do."""
        return self.requests[0] if self.requests else NOTHING

    @classmethod
    def of(cls, store: Path, version: Version) -> Manner:
        """Read the archive of a version from the model store."""
        archive = store / Path(version.archive).name
        if not version.archive or not archive.exists():
            return cls()
        requests = requests_of(archive)
        try:
            config = reader.config(archive)
        except MarqueeError:
            return cls(requests)
        if reader.suffix_of(archive) in reader.TARS:
            return cls(requests)  # its sources are not looked through
        mingling = any(config.get(name) for name in MINGLING)
        return cls(requests, in_turn=not mingling, at_once=not (mingling or _in_pieces(archive)))


def _in_pieces(archive: Path) -> bool:
    """Whether some source in an archive has the word for answers in pieces."""
    if archive.is_dir():
        paths = (path for path in archive.rglob("*.py") if path.is_file())
        return any(_says_so(path.open("rb")) for path in paths)
    with zipfile.ZipFile(archive) as opened:
        names = (name for name in opened.namelist() if name.endswith(".py"))
        return any(_says_so(opened.open(name)) for name in names)


def _says_so(source: IO[bytes]) -> bool:
    with source:
        text = source.read(MAX_BYTES + 1)
    return len(text) > MAX_BYTES or IN_PIECES in text


class Workers:
    """The workers of a version, as it was described last, which are waited for."""

    def __init__(self, project: Project, api: Management, version: Version) -> None:
        self.project, self.api, self.version = project, api, version
        self.manner = Manner.of(project.model_store, version)

    def wait(self) -> None:
        """Return when each request is answered that a worker took before this was called.

        Raises:
            MarqueeError: that cannot be known of this version, or requests take too long.
        """
        limit = time.monotonic() + self.longest_seconds
        if (self.manner.in_turn and self._heard(limit)) or self._counted(limit):
            return
        if not self.manner.at_once:
            raise MarqueeError(self._unknown())
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
        harmless = self.manner.requests or self.version.batch_size == 1
        heard = self._heard(limit) if self.manner.in_turn and harmless else None
        if heard is None:
            raise MarqueeError(self._unknown())
        return heard

    @property
    def longest_seconds(self) -> float:
        """How long a worker can have a batch in hand before TorchServe ends it."""
        return self.version.response_timeout + self.version.max_batch_delay / 1000 + SPARE_SECONDS

    def _counted(self, limit: float) -> bool:
        """Whether the front door has answers for all that it passed on before, until the limit."""
        front = self._door()
        if front is None:
            return False
        before, name, version = front.begin_epoch(), self.version.name, self.version.version
        return until(
            lambda: front.in_flight(name, version, before=before) == 0,
            limit - time.monotonic(),
            POLL_SECONDS,
        )

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

    def _heard(self, limit: float) -> bool | None:
        """Whether each worker has answered a request sent from now on, until the limit.

        None: it is not told which worker answers.
        """
        missing, silent, between = self._pids(), 0, FIRST_PAUSE
        with Inference.of(self.project) as inference:
            known: set[int] = set()
            while missing and silent < SILENT_ANSWERS and time.monotonic() < limit:
                start = time.monotonic()
                answering = self._ask(inference)
                known, silent = known | answering, 0 if answering else silent + 1
                missing = self._pids() - known  # one that died is replaced by another
                if missing:
                    took = time.monotonic() - start
                    pause(min(LONGEST_PAUSE, max(between, took)))
                    between *= 2
        return None if silent == SILENT_ANSWERS else not missing

    def _ask(self, inference: Inference) -> set[int]:
        """Return the worker that answers a request, if that is known: a sole one need not tell."""
        sole, name, version = self._pids(), self.version.name, self.version.version
        request, seconds = self.manner.last_request, self.longest_seconds
        try:
            answer = inference.answer(name, version, request, seconds)
        except MarqueeError:
            return set()  # its worker ended under it, or nobody answers any more
        pid = answer.headers.get(WORKER_HEADER, "")
        if pid.isdecimal():
            return {int(pid)}
        return sole if len(sole) == 1 and answer.status_code == 200 else set()

    def _pids(self) -> set[int]:
        """Return the workers that may hold requests: those that have loaded."""
        described = self.api.describe(self.version.name, self.version.version)
        workers = described.workers if described else ()
        return {int(worker["pid"]) for worker in workers if worker["status"] == READY}

    def _unknown(self) -> str:
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
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return True
    return any(
        one.laddr and one.laddr.port == port and one.status == psutil.CONN_ESTABLISHED
        for one in connections
    )

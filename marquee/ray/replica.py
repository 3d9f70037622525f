"""A worker on Ray: one replica of a version's deployment, with the archive loaded in it."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

import ray
from ray import serve
from ray.util.metrics import Histogram

from marquee.archives import golden
from marquee.archives.worker import DECODE, OfflineWorker, WorkerReply, WorkerRequest, error_reply
from marquee.front.refusals import REFUSALS
from marquee.ray import hub as hubs
from marquee.ray.archive import folder_of, unpacked
from marquee.ray.batches import Batches
from marquee.ray.spec import ReplicaState, VersionSpec
from marquee.ray.telling import Teller, capture

logger = logging.getLogger(__name__)

REPORT_SECONDS = 1.0
# A worker that nobody asks is asked its own example so often, or less: a share of its time.
IDLE_SECONDS = 30.0
EXAMPLE_SHARE = 0.05
# For its last answers and words to get out.
EXIT_SECONDS = 0.5
# Upper ends of a histogram's buckets, in seconds.
BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60]
STAGE = re.compile(r"([a-z]+);dur=([0-9.]+)")
_Loaded = tuple[OfflineWorker, "WorkerRequest | None"]


@dataclass(frozen=True)
class Common:
    """What all workers of a server have in common.

    Attributes:
        max_response_size: bytes that an answer may have.
        decode_input_request: whether handlers get JSON parsed, unless they ask for bytes.
    """

    max_response_size: int
    decode_input_request: bool


class Replica:
    """The deployment's class: loads an archive, and answers batches of requests.

    Args:
        spec: which, and how.
        common: what it has in common with all others.
    """

    def __init__(self, spec: VersionSpec, common: Common) -> None:
        self._spec, self._hub = spec, hubs.find()
        self._teller = Teller(self._hub)
        capture(self._teller, os.getpid(), spec.name, spec.version)
        self._state = _first_state(spec)
        self._proved = self._took = 0.0
        # Its own thread, and always the same: threads of a network's sums belong to the thread that
        # set them, and an answer that never comes must not keep the replica from saying so.
        self._thread = ThreadPoolExecutor(1, "model")
        loading = self._thread.submit(self._load, common)
        try:
            self._worker, self._example = self._loaded(loading)
        except BaseException:
            self._fail()
            raise
        self._state = replace(self._state, state="ready")
        self._stages = Histogram(
            "marquee_stage_seconds",
            "Seconds that a stage took for a request",
            BUCKETS,
            ("model", "version", "stage"),
        )
        delay = spec.max_batch_delay / 1000
        self._batches = Batches[WorkerRequest, WorkerReply](self._answer, spec.batch_size, delay)
        self._tasks: list[asyncio.Task[None]] = []

    def _load(self, common: Common) -> _Loaded:
        """Load the archive, and have it answer its own example; in the model's thread."""
        context = ray.get_runtime_context()
        session = Path(context.get_temp_dir()) / context.get_session_name()
        folder = unpacked(self._spec, self._hub, folder_of(session))
        _environment(folder, common)
        gpu = 0 if ray.get_gpu_ids() else None  # Ray shows it that one alone
        worker = OfflineWorker(folder, self._spec.batch_size, gpu)
        example = golden.example_of(folder)
        if example is None:
            return worker, None
        request = WorkerRequest(example.headers, example.body)
        (reply,) = worker.ask(request)
        if reply.status >= 500:
            said = reply.raised or reply.body[:300].decode(errors="replace")
            raise ValueError(f"the model's own example was answered with {reply.status}: {said}")
        self._proved = time.monotonic()
        return worker, request

    def _loaded(self, loading: Future[_Loaded]) -> _Loaded:
        """Return what is being loaded, and tell the hub meanwhile that this worker lives.

        Raises:
            Exception: whatever the archive's code raises.
        """
        deadline = time.monotonic() + self._spec.startup_timeout
        self._report()
        while not wait([loading], REPORT_SECONDS).done:
            self._report()
            if time.monotonic() > deadline:
                self._fail_at(f"it has not loaded after {self._spec.startup_timeout:g} s")
                os._exit(1)  # nothing else ends what it is doing
        return loading.result()

    def _fail(self) -> None:
        self._fail_at(traceback.format_exc())

    def _fail_at(self, reason: str) -> None:
        sys.stderr.write(reason)
        self._teller.flush()
        self._state = replace(self._state, state="failed", reason=reason)
        ray.get(self._hub.report.remote(self._state))

    async def ask(self, request: WorkerRequest) -> WorkerReply | None:
        """Answer a request; None where it was not begun, since this worker is about to leave."""
        self._start()
        return await self._batches.ask(request)

    def _start(self) -> None:
        if not self._tasks:
            loop = asyncio.get_running_loop()
            self._tasks = [
                loop.create_task(self._batches.run()),
                loop.create_task(self._tell()),
            ]

    async def _tell(self) -> None:
        """Tell the hub how this worker is, also while Serve lets it answer its last requests."""
        while True:
            self._report()
            await asyncio.sleep(REPORT_SECONDS)

    async def _answer(self, requests: Sequence[WorkerRequest]) -> Sequence[WorkerReply]:
        """Answer a batch; a worker that does not in time is ended, as TorchServe ends it."""
        started = time.monotonic()
        loop = asyncio.get_running_loop()
        asked = loop.run_in_executor(self._thread, self._ask, _apart(requests))
        done, _ = await asyncio.wait([asked], timeout=self._spec.response_timeout)
        replies = asked.result() if done else None
        if replies is None:
            if not done:
                seconds = self._spec.response_timeout
                logger.error("no answer within %g s (responseTimeout)", seconds)
            self._leave()
            return [error_reply(500, REFUSALS["worker_ended"].message)] * len(requests)
        if any(reply.status < 500 for reply in replies):
            self._proved = time.monotonic()
            self._took = self._proved - started
        for reply in replies:
            self._note(reply)
        return replies

    def _ask(self, requests: Sequence[WorkerRequest]) -> Sequence[WorkerReply] | None:
        """Have the model answer, in its thread; None where its code wants to end the process."""
        try:
            return self._worker.ask(*requests)
        except BaseException:
            logger.exception("the handler ended its worker")
            return None

    def _note(self, reply: WorkerReply) -> None:
        if reply.raised is not None:
            logger.error("%s", reply.raised)
        for stage, milliseconds in STAGE.findall(reply.headers.get("server-timing", "")):
            tags = {"model": self._spec.name, "version": self._spec.version, "stage": stage}
            self._stages.observe(float(milliseconds) / 1000, tags)

    def _leave(self) -> None:
        """Give back what has not been begun, and end this process once the answers are out."""
        logger.error("this worker exits, and is replaced")
        self._batches.close()
        self._teller.flush()
        asyncio.get_running_loop().call_later(EXIT_SECONDS, os._exit, 1)

    async def check_health(self) -> None:
        """Ask this worker its own example where nobody asks it anything.

        Raises:
            RuntimeError: it fails on it, or takes no more requests.
        """
        self._start()
        if any(task.done() for task in self._tasks):
            raise RuntimeError("this worker takes no more requests")
        pause = max(IDLE_SECONDS, self._took / EXAMPLE_SHARE)
        if self._example is None or time.monotonic() - self._proved < pause:
            return
        if self._batches.in_hand:
            return  # what it does now will prove it, or end it
        reply = await self._batches.ask(self._example)
        if reply is not None and reply.status >= 500:
            raise RuntimeError(f"the model answers its own example with {reply.status}")

    def _report(self) -> None:
        batches = getattr(self, "_batches", None)
        self._state = replace(
            self._state,
            memory=_resident(),
            in_hand=batches.in_hand if batches else 0,
            handled=batches.handled if batches else 0,
        )
        self._hub.report.remote(self._state)

    def __del__(self) -> None:
        """Say that this worker is gone; Serve calls it once the last answer is out."""
        self._teller.flush()
        self._hub.gone.remote(self._state.replica)


def _first_state(spec: VersionSpec) -> ReplicaState:
    gpus = ray.get_gpu_ids()
    return ReplicaState(
        name=spec.name,
        version=spec.version,
        replica=serve.get_replica_context().replica_id.to_full_id_str(),
        state="starting",
        pid=os.getpid(),
        node=ray.get_runtime_context().get_node_id(),
        device=f"gpu {gpus[0]}" if gpus else "cpu",
        started=time.time(),
    )


def _environment(folder: Path, common: Common) -> None:
    """Make this process what a worker of TorchServe's is: the archive first, its limits known."""
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    os.chdir(folder)
    config = folder.with_suffix(f".{common.max_response_size}.properties")
    config.write_text(f"max_response_size={common.max_response_size}\n")
    os.environ["TS_CONFIG_FILE"] = str(config)
    os.environ[DECODE] = str(common.decode_input_request).lower()


def _apart(requests: Sequence[WorkerRequest]) -> list[WorkerRequest]:
    """Return the requests of a batch with ids of which there are no two, whatever clients send."""
    seen: set[str] = set()
    found = []
    for number, request in enumerate(requests):
        own = request if request.id not in seen else replace(request, id=f"{request.id}-{number}")
        seen.add(own.id)
        found.append(own)
    return found


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

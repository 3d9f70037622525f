"""Ask versions of a model what their archive knows the answer to, and how long they take."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from marquee.archives.example import ArchiveRequest, ExampleRequest
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.torchserve.inference import Inference

# Requests whose times are compared, and how often each is sent to either version, at the most.
TIMED_REQUESTS = 3
ROUNDS = 15
TIMED_SECONDS = 5.0
# On every answer of marquee's own handlers: the process id of the worker that gave it.
WORKER_HEADER = "x-marquee-worker"


def told(asked: Sequence[ArchiveRequest]) -> str:
    """Say in words what it means that all of these were answered."""
    if not asked:
        return "the archive has neither golden requests nor an example: it loads, that is all"
    if isinstance(asked[0], ExampleRequest):
        return "its example is answered; the archive has no golden requests"
    return f"{len(asked)} golden requests answered as expected"


class Probe:
    """Asks versions of one model of the project's server, for its operator."""

    def __init__(self, project: Project, model: str, seconds: float) -> None:
        self._model, self._seconds = model, seconds
        self._inference = Inference.of(project)

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *_: object) -> None:
        self._inference.close()

    def ask(self, question: ArchiveRequest, version: str | None) -> float:
        """Send a request to a version (None: the default); return the seconds it took.

        Raises:
            MarqueeError: the answer is not what the question expects, or there is none.
        """
        start = time.perf_counter()
        answer = self.answer(question, version)
        seconds = time.perf_counter() - start
        kind = answer.headers.get("content-type", "")
        problem = question.problem(answer.status_code, kind, answer.content)
        if problem is not None:
            raise MarqueeError(problem)
        return seconds

    def answer(self, question: ArchiveRequest, version: str | None) -> httpx.Response:
        """Send a request to a version (None: the default); return its answer, whatever it is.

        Raises:
            MarqueeError: there is none.
        """
        return self._inference.answer(self._model, version, question, self._seconds)

    def answered(self, question: ArchiveRequest, version: str) -> bool:
        """Send a request and wait for an answer of any kind; return whether one came."""
        anything = ExampleRequest(question.body, question.headers, question.name)
        try:
            self.ask(anything, version)
        except MarqueeError:
            return False
        return True


@dataclass(frozen=True)
class Latency:
    """Median milliseconds of the same requests to two versions; None where one has no answer."""

    old_ms: float | None
    new_ms: float | None

    def problem(self, slowdown: float, floor_ms: float) -> str | None:
        """Return why the new version is too slow, or None.

        Too slow is more than ``slowdown`` times the old one and more than ``floor_ms`` above it:
        on a busy machine a few milliseconds are noise.
        """
        if self.old_ms is None or self.new_ms is None:
            return None
        if self.new_ms <= max(self.old_ms * slowdown, self.old_ms + floor_ms):
            return None
        return (
            f"it takes {self.new_ms:.1f} ms for its golden requests, the old one "
            f"{self.old_ms:.1f} ms; at most {slowdown:g} times that is taken (--max-slowdown)"
        )


def compare(probe: Probe, asked: Sequence[ArchiveRequest], old: str, new: str) -> Latency:
    """Time some requests to both versions in turns, so that the machine's mood falls on both."""
    times: dict[str, list[float]] = {old: [], new: []}
    timed = list(asked[:TIMED_REQUESTS])
    deadline = time.monotonic() + TIMED_SECONDS
    for _ in range(ROUNDS):
        for question in timed:
            for version, seen in times.items():
                start = time.perf_counter()
                # The old version may know nothing of this request, and answer accordingly.
                if probe.answered(question, version):
                    seen.append(time.perf_counter() - start)
        if time.monotonic() > deadline:
            break
    medians = [1000 * statistics.median(seen) if seen else None for seen in times.values()]
    return Latency(*medians)

"""Ask versions of a model what their archive knows the answer to, and how long they take."""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from marquee.archives.golden import ArchiveRequest, ExampleRequest
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.torchserve.inference import Inference
from marquee.versions.judgement import is_slower

# Requests whose times are compared, and how often each is sent to either version, at the most.
TIMED_REQUESTS = 3
ROUNDS = 15
TIMED_SECONDS = 5.0
# A version that is asked again and again may miss one answer; two in a row are a problem.
ASK_SECONDS = 1.0
MISSES = 2


@dataclass(frozen=True)
class Probe:
    """Asks versions of one model for its operator, who waits so many seconds for an answer."""

    inference: Inference
    model: str
    seconds: float

    def ask(self, request: ArchiveRequest, version: str | None) -> None:
        """Send a request to a version (None: the default).

        Raises:
            MarqueeError: the answer is not what the request expects, or there is none.
        """
        answer = self.inference.answer(self.model, version, request, self.seconds)
        kind = answer.headers.get("content-type", "")
        problem = request.problem(answer.status_code, kind, answer.content)
        if problem is not None:
            raise MarqueeError(problem)

    def timed(self, request: ArchiveRequest, version: str) -> float | None:
        """Return the seconds until a version has answered, whatever it says; None if it fails."""
        start = time.perf_counter()
        try:
            answer = self.inference.answer(self.model, version, request, self.seconds)
        except MarqueeError:
            return None
        return time.perf_counter() - start if answer.status_code < 500 else None


def check(
    project: Project, model: str, version: str, requests: Sequence[ArchiveRequest], seconds: float
) -> str:
    """Ask a version all that its archive is asked; return in words what the answers prove.

    Raises:
        MarqueeError: an answer is not as expected, or takes longer than ``seconds``.
    """
    with Inference.of(project) as inference:
        probe = Probe(inference, model, seconds)
        for request in requests:
            probe.ask(request, version)
    if not requests:
        return "the archive has neither golden requests nor an example: it loads, that is all"
    if not have_answers(requests):
        return "its example is answered; the archive has no golden requests"
    return f"{len(requests)} golden requests answered as expected"


def have_answers(requests: Sequence[ArchiveRequest]) -> bool:
    """Whether the answer to some of an archive's requests is known."""
    return any(not isinstance(request, ExampleRequest) for request in requests)


class RepeatedAsker(threading.Thread):
    """Asks the default version on its own: one that hangs cannot hold up the way back.

    Attributes:
        problem: what was wrong with too many answers in a row; None as long as all is well.
    """

    def __init__(
        self, project: Project, model: str, requests: Sequence[ArchiveRequest], seconds: float
    ) -> None:
        super().__init__(daemon=True)
        self._project, self._model = project, model
        self._requests, self._seconds = requests, seconds
        self._over = threading.Event()
        self.problem: str | None = None

    def run(self) -> None:
        """Ask one request after the other, until stopped or too many answers were missed."""
        try:
            with Inference.of(self._project) as inference:
                self._ask_on(Probe(inference, self._model, self._seconds))
        except Exception as error:  # noqa: BLE001 - a version that nobody asks must not pass
            self.problem = f"it could not be asked ({type(error).__name__}: {error})"

    def _ask_on(self, probe: Probe) -> None:
        misses = 0
        for request in itertools.cycle(self._requests):
            if self._over.wait(ASK_SECONDS):
                return
            try:
                probe.ask(request, None)
                misses = 0
            except MarqueeError as error:
                misses += 1
                if misses == MISSES:
                    self.problem = f"{error} (asked {MISSES} times)"
                    return

    def stop(self) -> None:
        """Ask no more; an answer that is still to come is not waited for."""
        self._over.set()


@dataclass(frozen=True)
class Latency:
    """Median milliseconds of the same requests to two versions; None where one has no answer."""

    old_ms: float | None
    new_ms: float | None

    def problem(self, max_slowdown: float) -> str | None:
        """Return why the new version is too slow, or None."""
        if self.old_ms is None or self.new_ms is None:
            return None
        if not is_slower(self.new_ms, self.old_ms, max_slowdown):
            return None
        return (
            f"it takes {self.new_ms:.1f} ms for its golden requests, the old one "
            f"{self.old_ms:.1f} ms; at most {max_slowdown:g} times that is taken (--max-slowdown)"
        )


def compare(probe: Probe, requests: Sequence[ArchiveRequest], old: str, new: str) -> Latency:
    """Time some requests to both versions in turns, so that the machine's mood falls on both."""
    times: dict[str, list[float]] = {old: [], new: []}
    deadline = time.monotonic() + TIMED_SECONDS
    for _ in range(ROUNDS):
        for request in requests[:TIMED_REQUESTS]:
            for version, taken in times.items():
                # The old version may know nothing of this request, and answer accordingly.
                seconds = probe.timed(request, version)
                taken.extend([] if seconds is None else [seconds])
        if time.monotonic() > deadline:
            break
    medians = [1000 * statistics.median(taken) if taken else None for taken in times.values()]
    return Latency(*medians)
